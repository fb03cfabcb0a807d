//! What ends the program early, and the exit status that it ends with.

use std::path::{Path, PathBuf};
use std::{io, iter};

use clap::error::ErrorKind;
use clap::{Args, Command};
use distilbert::{CheckpointError, DeviceError, Error, ExplainError};

use crate::table::input::STANDARD;

/// The status of a program that ends early: the command line or a file is not as it should be. `clap` has the
/// same; 1 says that the work is done, but that some texts or rows have failed.
pub const EARLY: u8 = 2;

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("the bundled model is at none of {}: name a model folder with --model", list(.looked_at))]
    NoBundledModel { looked_at: Vec<PathBuf> },

    #[error(transparent)]
    Library(#[from] Error),

    #[error(transparent)]
    Evaluation(#[from] distilbert_evaluate::Error),

    #[error("--html and --svg take one text, found {found}")]
    NotOneText { found: usize },

    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot read {}", name(path))]
    File { path: PathBuf, source: io::Error },

    #[error("{} has no texts", name(path))]
    NoTexts { path: PathBuf },

    /// A line, counted from 1, that is not as it should be.
    #[error("{}, line {line}: {reason}", name(path))]
    Line { path: PathBuf, line: u64, reason: String },

    /// A row, counted from 1, and the line that it begins on.
    #[error("{}, {}row {row}: {reason}", name(path), line.map_or(String::new(), |line| format!("line {line}, ")))]
    Row { path: PathBuf, line: Option<u64>, row: u64, reason: String },

    #[error(
        "the name of {} does not tell its format: say --format csv, tsv, jsonl or parquet",
        name(path)
    )]
    UnknownFormat { path: PathBuf },

    #[error("{} exists: --resume goes on with it, --overwrite begins anew", path.display())]
    OutputExists { path: PathBuf },

    /// What is to be resumed was not made of the same rows, in the same way.
    #[error(
        "{} does not come from this input, model and options: {reason}; --overwrite begins anew",
        path.display()
    )]
    OtherOutput { path: PathBuf, reason: String },

    #[cfg(feature = "parquet")]
    #[error("{}: {reason}", path.display())]
    Parquet { path: PathBuf, reason: String },

    #[cfg(not(feature = "parquet"))]
    #[error("{} is Parquet: build the program with --features parquet", path.display())]
    NoParquet { path: PathBuf },

    #[cfg(feature = "parquet")]
    #[error("Parquet is read from files and written to files, not to standard streams")]
    ParquetStream,

    #[error("--output names another format than --input, {}", path.display())]
    OtherFormat { path: PathBuf },

    #[error("{} is the input", path.display())]
    OutputIsInput { path: PathBuf },

    #[error("cannot read standard input")]
    Input(#[source] io::Error),

    #[error("cannot write the output")]
    Output(#[source] io::Error),
}

impl Failure {
    /// Whether the output's reader has closed it, as `head` does.
    pub fn is_closed_output(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Returns the error with its causes, and the option that helps.
    pub fn message(&self) -> String {
        let hint = if let Self::Library(error) = self { hint(error) } else { "" };
        chain(self) + hint
    }
}

/// Returns the messages of an error and of its causes: `message: cause`.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Ends the program over options of a command that do not go together.
pub fn end_over_usage<A: Args>(command: &'static str, message: &str) -> ! {
    A::augment_args(Command::new(command)).error(ErrorKind::ArgumentConflict, message).exit()
}

/// The option or build that helps after an error of the library.
fn hint(error: &Error) -> &'static str {
    match error {
        Error::Checkpoint(CheckpointError::Exists { .. }) => ": name another folder",
        Error::Checkpoint(CheckpointError::Damaged { .. }) => "; copy or download it again",
        Error::Checkpoint(CheckpointError::OutOfRange { .. }) => ": use --precision f32",
        Error::Explain(ExplainError::NoProbability) => ": use --objective logit",
        Error::Explain(ExplainError::SameLabel { .. }) => ": name two labels",
        Error::Explain(ExplainError::NoToken { .. }) => ": choose another --replacement",
        Error::Device(DeviceError::CudaModel { .. }) => ": use --device cpu",
        Error::Device(DeviceError::CudaPrecision { .. }) => {
            ": use --precision f16 or int8, or --device cpu"
        }
        Error::Device(DeviceError::CudaNotBuilt) => ": build the program with --features cuda",
        Error::Checkpoint(CheckpointError::TensorflowNotBuilt { .. }) => {
            ": build the program with --features tensorflow"
        }
        _ => "",
    }
}

/// A table's name.
fn name(path: &Path) -> String {
    if path.as_os_str() == STANDARD {
        return "standard input".to_owned();
    }
    path.display().to_string()
}

fn list(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ")
}
