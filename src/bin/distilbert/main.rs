//! The program `distilbert`: classifies texts and says why, says what a model is and how good, and writes it
//! in other forms.

mod bench;
mod classify;
mod compare;
mod completions;
mod convert;
mod engine;
mod evaluate;
mod explain;
mod explanation;
mod failure;
mod faithfulness;
mod info;
mod labels;
mod lines;
mod long_text;
mod man;
mod model_folder;
mod objective;
mod progress;
mod quantize;
mod replacement;
mod report;
mod table;
mod terminal;
mod texts;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Classify texts with DistilBERT
#[derive(Parser)]
#[command(
    version,
    after_help = "Example:\n  distilbert classify \"I can't believe we won!\"",
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    command: Commands,
}

#[derive(Subcommand)]
enum Commands {
    Bench(bench::Arguments),
    Classify(classify::Arguments),
    Compare(compare::Arguments),
    Completions(completions::Arguments),
    Convert(convert::Arguments),
    Evaluate(evaluate::Arguments),
    Explain(explain::Arguments),
    Faithfulness(faithfulness::Arguments),
    Info(info::Arguments),
    Man(man::Arguments),
    Quantize(quantize::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Commands::Bench(arguments) => bench::run(arguments),
        Commands::Classify(arguments) => classify::run(arguments),
        Commands::Compare(arguments) => compare::run(arguments),
        Commands::Completions(arguments) => completions::run(arguments, Cli::command()),
        Commands::Convert(arguments) => convert::run(arguments),
        Commands::Evaluate(arguments) => evaluate::run(arguments),
        Commands::Explain(arguments) => explain::run(arguments),
        Commands::Faithfulness(arguments) => faithfulness::run(arguments),
        Commands::Info(arguments) => info::run(arguments),
        Commands::Man(arguments) => man::run(arguments, Cli::command()),
        Commands::Quantize(arguments) => quantize::run(arguments),
    };
    match outcome {
        Ok(status) => status,
        // Whoever reads the output has enough: that is no fault.
        Err(failure) if failure.is_closed_output() => ExitCode::SUCCESS,
        Err(failure) => {
            terminal::print_error(&failure);
            ExitCode::from(failure::EARLY)
        }
    }
}
