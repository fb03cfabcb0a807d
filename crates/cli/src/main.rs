//! Runs the program with the arguments of this process.

use std::process::ExitCode;

fn main() -> ExitCode {
    distilbert_cli::run(std::env::args_os(), None)
}
