//! `distilbert quantize`: writes a model with int8 weights.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::args::model_folder::ModelFolder;
use crate::failure::Failure;
use crate::render::terminal;

/// Quantize a model to int8
///
/// The quantized model takes about a quarter of the space of an f32 model, loads faster, and gives the same results as
/// the original with `--precision int8`.
#[derive(Args)]
#[command(after_help = "Examples:
  distilbert quantize models/emotion-int8
  distilbert classify --model models/emotion-int8 \"I can't believe we won!\"")]
pub struct Arguments {
    /// Folder to write to, created if missing
    #[arg(value_name = "OUT_DIR")]
    out: PathBuf,

    #[command(flatten)]
    model: ModelFolder,
}

pub fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    distilbert::quantize(arguments.model.find()?, &arguments.out)?;
    terminal::print(&format!("{}\n", arguments.out.display()))?;
    Ok(ExitCode::SUCCESS)
}
