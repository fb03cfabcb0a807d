//! `distilbert man`: the manual, a page for the program and one for each of its commands.

use std::fs;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Command};
use clap_mangen::Man;

use crate::failure::Failure;

/// Write the manual: a page for the program and one for each command
#[derive(Args)]
#[command(after_help = "Examples:
  distilbert man | man -l -
  distilbert man ~/.local/share/man/man1 && man distilbert-classify")]
pub struct Arguments {
    /// Folder for all pages; without it, the program's goes to standard output
    #[arg(value_name = "OUT_DIR")]
    folder: Option<PathBuf>,
}

pub fn run(arguments: Arguments, mut program: Command) -> Result<ExitCode, Failure> {
    // Gives commands their full names.
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

fn page(command: Command) -> Vec<u8> {
    let mut page = Vec::new();
    // Memory takes all that is written.
    let _ = Man::new(command).render(&mut page);
    page
}
