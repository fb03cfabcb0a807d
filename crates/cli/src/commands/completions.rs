//! `distilbert completions`: shell completions.

use std::io::{Write, stdout};
use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::{Shell, generate};

use crate::failure::Failure;

/// Print a shell completion script
#[derive(Args)]
#[command(after_help = "Examples:
  distilbert completions bash > ~/.local/share/bash-completion/completions/distilbert
  distilbert completions fish > ~/.config/fish/completions/distilbert.fish")]
pub struct Arguments {
    /// Shell to print completions for
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

pub fn run(arguments: Arguments, mut program: Command) -> Result<ExitCode, Failure> {
    let name = program.get_name().to_owned();
    let mut script = Vec::new();
    generate(arguments.shell, &mut program, name, &mut script);
    stdout().write_all(&script).map_err(Failure::Output)?;
    Ok(ExitCode::SUCCESS)
}
