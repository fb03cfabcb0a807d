//! The program `distilbert`: classifies texts, explains predictions, and evaluates and converts models.

mod args;
mod commands;
mod failure;
mod render;
mod table;
mod texts;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::failure::Failure;

/// Classify texts with DistilBERT
#[derive(Parser)]
#[command(
    name = "distilbert",
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
    let matches = Cli::command().get_matches();
    let name = matches.subcommand_name().unwrap_or_default().to_owned();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match run(cli.command) {
        Ok(status) => status,
        // Output that nobody reads anymore is not an error.
        Err(failure) if failure.is_closed_output() => ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => exit_with_usage(Cli::command(), &name, message),
        Err(failure) => {
            render::terminal::print_error(failure.message());
            ExitCode::from(failure::STOPPED_EARLY)
        }
    }
}

fn run(command: Commands) -> Result<ExitCode, Failure> {
    match command {
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
    }
}

/// Exits because options of a subcommand do not go together, and prints its usage.
fn exit_with_usage(mut program: Command, subcommand: &str, message: &str) -> ! {
    // Sets the full names of the subcommands.
    program.build();
    let command = match program.find_subcommand_mut(subcommand) {
        Some(command) => command,
        None => &mut program,
    };
    command.error(ErrorKind::ArgumentConflict, message).exit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn default_values_parse() {
        for arguments in [
            &["classify", "text"][..],
            &["explain", "text"],
            &["faithfulness", "data.csv"],
            &["evaluate", "data.csv"],
            &["compare", "data.csv"],
            &["convert", "in", "out"],
            &["bench"],
            &["info"],
        ] {
            let arguments = [&["distilbert"], arguments].concat();
            assert!(Cli::try_parse_from(&arguments).is_ok(), "{arguments:?}");
        }
    }
}
