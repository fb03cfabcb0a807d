//! The program `distilbert`: classifies texts and says why, says what a model is and how good, and writes it
//! in other forms.

mod args;
mod commands;
mod failure;
mod render;
mod table;
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
    Bench(commands::bench::Arguments),
    Classify(commands::classify::Arguments),
    Compare(commands::compare::Arguments),
    Completions(commands::completions::Arguments),
    Convert(commands::convert::Arguments),
    Evaluate(commands::evaluate::Arguments),
    Explain(commands::explain::Arguments),
    Faithfulness(commands::faithfulness::Arguments),
    Info(commands::info::Arguments),
    Man(commands::man::Arguments),
    Quantize(commands::quantize::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Commands::Bench(arguments) => commands::bench::run(arguments),
        Commands::Classify(arguments) => commands::classify::run(arguments),
        Commands::Compare(arguments) => commands::compare::run(arguments),
        Commands::Completions(arguments) => commands::completions::run(arguments, Cli::command()),
        Commands::Convert(arguments) => commands::convert::run(arguments),
        Commands::Evaluate(arguments) => commands::evaluate::run(arguments),
        Commands::Explain(arguments) => commands::explain::run(arguments),
        Commands::Faithfulness(arguments) => commands::faithfulness::run(arguments),
        Commands::Info(arguments) => commands::info::run(arguments),
        Commands::Man(arguments) => commands::man::run(arguments, Cli::command()),
        Commands::Quantize(arguments) => commands::quantize::run(arguments),
    };
    match outcome {
        Ok(status) => status,
        // Whoever reads the output has enough: that is no fault.
        Err(failure) if failure.is_closed_output() => ExitCode::SUCCESS,
        Err(failure) => {
            render::terminal::print_error(failure.message());
            ExitCode::from(failure::EARLY)
        }
    }
}
