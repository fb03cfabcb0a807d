//! `distilbert convert`: a model folder as safetensors, in the type asked for.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use distilbert::Precision;

use crate::failure::Failure;

/// Write a model as safetensors, in 32, 16 or 8 bits
///
/// Reads what `classify --model` reads: model.safetensors, its shards, or tf_model.h5 of TensorFlow (in a
/// program that was built with the feature `tensorflow`). Writes config.json, one model.safetensors and
/// the tokenizer's files. In f32 and f16 the folder loads in Hugging Face Transformers as well.
#[derive(Args)]
#[command(after_help = "Examples:
  distilbert convert path/to/tensorflow path/to/safetensors
  distilbert convert models/emotion emotion-f16 --dtype f16
  distilbert classify --model emotion-f16 \"I can't believe we won!\"")]
pub struct Arguments {
    /// Model folder to read
    #[arg(value_name = "IN_DIR")]
    from: PathBuf,

    /// Folder to write to; made if it is not there
    #[arg(value_name = "OUT_DIR")]
    to: PathBuf,

    /// The type of the weights [default: the one that they have]
    #[arg(long, value_name = "TYPE", value_enum)]
    dtype: Option<Name>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Name {
    /// 32 bits
    F32,
    /// 16 bits: half the space
    F16,
    /// 8 bits: a quarter of the space, as `distilbert quantize` writes it; for this program alone
    Int8,
}

pub fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let dtype = arguments.dtype.map(|name| match name {
        Name::F32 => Precision::F32,
        Name::F16 => Precision::F16,
        Name::Int8 => Precision::Int8,
    });
    distilbert::convert(&arguments.from, &arguments.to, dtype)?;
    writeln!(anstream::stdout(), "{}", arguments.to.display()).map_err(Failure::Output)?;
    Ok(ExitCode::SUCCESS)
}
