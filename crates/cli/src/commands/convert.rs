//! `distilbert convert`: writes a model as safetensors in a chosen number format.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use distilbert::Precision;

use crate::args::model_folder;
use crate::args::named::{Named, one_of};
use crate::failure::Failure;
use crate::render::terminal;

/// Convert a model to safetensors, in f32, f16, bf16 or int8
///
/// Reads model.safetensors or pytorch_model.bin, whole or in shards, or TensorFlow's tf_model.h5 (if the program was
/// built with the feature `tensorflow`). Writes config.json, a single model.safetensors and the tokenizer files. Models
/// in f32, f16 and bf16 also load in Hugging Face Transformers.
#[derive(Args)]
#[command(after_help = "Examples:
  distilbert convert path/to/tensorflow path/to/safetensors
  distilbert convert models/emotion emotion-f16 --dtype f16
  distilbert classify --model emotion-f16 \"I can't believe we won!\"")]
pub struct Arguments {
    /// Model to read, given as for --model in the other commands
    #[arg(value_name = "MODEL")]
    from: PathBuf,

    /// Folder to write to, created if missing
    #[arg(value_name = "OUT_DIR")]
    to: PathBuf,

    /// Number format of the weights; only this engine reads int8 [default: the format of the input]
    #[arg(long, value_name = "TYPE", value_parser = one_of(stored()))]
    dtype: Option<Precision>,

    /// Fill in pruned heads and neurons with zeros, so that Transformers loads a model that was pruned per layer
    #[arg(long, conflicts_with = "dtype")]
    pad: bool,
}

/// Returns the precisions in which weights can be stored.
fn stored() -> Vec<Precision> {
    let is_stored =
        |precision: &Precision| !matches!(precision, Precision::Cascade { .. } | Precision::Auto);
    Precision::all().into_iter().filter(is_stored).collect()
}

pub fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let from = model_folder::locate(&arguments.from)?;
    if arguments.pad {
        distilbert::pad(from, &arguments.to)?;
    } else {
        distilbert::convert(from, &arguments.to, arguments.dtype)?;
    }
    terminal::print(&format!("{}\n", arguments.to.display()))?;
    Ok(ExitCode::SUCCESS)
}
