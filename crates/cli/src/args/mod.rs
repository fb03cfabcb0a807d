//! The command line: its parser, and option groups that several commands share.

pub mod engine;
pub mod explanation;
pub mod labels;
pub mod long_texts;
pub mod model;
pub mod model_folder;
pub mod named;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use crate::commands;

/// Classify texts with DistilBERT
#[derive(Parser)]
#[command(
    name = "distilbert",
    version,
    after_help = "Example:\n  distilbert classify \"I can't believe we won!\"",
    disable_help_subcommand = true
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Commands,
}

#[derive(Subcommand)]
pub enum Commands {
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
    #[cfg(feature = "prune")]
    Prune(Box<commands::prune::Arguments>),
    Quantize(commands::quantize::Arguments),
    #[cfg(feature = "serve")]
    Serve(commands::serve::Arguments),
}

/// Exits because options of a subcommand do not go together, and prints its usage.
pub fn exit_with_usage(subcommand: &str, message: &str) -> ! {
    let mut program = Cli::command();
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
