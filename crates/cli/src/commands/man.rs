//! `distilbert man`: manual pages of the program and of each command.

use std::fs;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Command};
use clap_mangen::Man;

use crate::failure::Failure;

/// Print the program's manual page, or write the pages of the program and all commands to a folder
#[derive(Args)]
#[command(after_help = "Examples:
  distilbert man | man -l -
  distilbert man ~/.local/share/man/man1 && man distilbert-classify")]
pub struct Arguments {
    /// Folder to write all pages to [default: print the program's page]
    #[arg(value_name = "OUT_DIR")]
    folder: Option<PathBuf>,
}

pub fn run(arguments: Arguments, mut program: Command) -> Result<ExitCode, Failure> {
    // Sets the full names of the subcommands.
    program.build();
    let Some(folder) = arguments.folder else {
        stdout().write_all(&page(program)).map_err(Failure::Output)?;
        return Ok(ExitCode::SUCCESS);
    };
    let commands: Vec<Command> = program.get_subcommands().cloned().collect();
    fs::create_dir_all(&folder)
        .map_err(|source| Failure::Write { path: folder.clone(), source })?;
    for command in [program].into_iter().chain(commands) {
        let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
        let path = folder.join(format!("{name}.1"));
        fs::write(&path, page(command)).map_err(|source| Failure::Write { path, source })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Renders the manual page of a command.
fn page(command: Command) -> Vec<u8> {
    let mut page = Vec::new();
    // Writing to memory cannot fail.
    let _ = Man::new(command).render(&mut page);
    page
}
