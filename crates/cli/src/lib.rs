//! The program `distilbert`: classifies texts, explains predictions, and evaluates and converts models. As a library, it
//! is for other programs that offer the same commands, such as the Python package.

mod args;
mod commands;
mod failure;
mod files;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod render;
mod table;
mod texts;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use crate::args::{Cli, Commands, exit_with_usage};
use crate::failure::Failure;

/// Runs a command line, whose first argument is the program's name, and returns the exit code. Invalid arguments and
/// `--help` exit the process.
///
/// `bundled` is the folder of the bundled model; without it, the model is searched for beside the program.
pub fn run(arguments: impl IntoIterator<Item = OsString>, bundled: Option<PathBuf>) -> ExitCode {
    if let Some(folder) = bundled {
        args::model_folder::set_bundled(folder);
    }
    let matches = Cli::command().get_matches_from(arguments);
    let name = matches.subcommand_name().unwrap_or_default().to_owned();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match run_command(cli.command) {
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

fn run_command(command: Commands) -> Result<ExitCode, Failure> {
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
