//! The program `distilbert`: classifies texts, explains predictions, and evaluates and converts models.

mod args;
mod commands;
mod failure;
mod files;
mod render;
mod table;
mod texts;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use crate::args::{Cli, Commands, exit_with_usage};
use crate::failure::Failure;

fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let name = matches.subcommand_name().unwrap_or_default().to_owned();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match run(cli.command) {
        Ok(status) => status,
        // Output that nobody reads anymore is not an error.
        Err(failure) if failure.is_closed_output() => ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => exit_with_usage(&name, message),
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
        #[cfg(feature = "prune")]
        Commands::Prune(arguments) => commands::prune::run(&arguments),
        Commands::Quantize(arguments) => commands::quantize::run(arguments),
        #[cfg(feature = "serve")]
        Commands::Serve(arguments) => commands::serve::run(arguments),
    }
}
