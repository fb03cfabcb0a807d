//! Errors that end the program, and its exit status.

use std::path::{Path, PathBuf};
use std::{io, iter};

#[cfg(feature = "hub")]
use distilbert::HubError;
use distilbert::{CheckpointError, DeviceError, Error, ExplainError, InputError, PrecisionError};

use crate::table::input::STANDARD;

/// Exit status of a run that stopped early: invalid arguments or an unusable file. `clap` uses the same status;
/// 1 means that the run finished but some texts or rows failed.
pub const STOPPED_EARLY: u8 = 2;

/// Error that ends the program.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Usage(&'static str),

    #[error("the bundled model was not found in {}: pass a model folder with --model", list(.searched))]
    NoBundledModel { searched: Vec<PathBuf> },

    /// A name is neither that of a folder nor that of a model that can be fetched.
    #[cfg(feature = "hub")]
    #[error("there is no folder {}, and no model with this name can be fetched from the Hub", model.display())]
    Hub { model: PathBuf, source: Error },

    #[error(transparent)]
    Library(#[from] Error),

    #[error(transparent)]
    Evaluation(#[from] distilbert_evaluate::Error),

    #[cfg(feature = "serve")]
    #[error(transparent)]
    Server(#[from] distilbert_server::ServerError),

    #[error("--html and --svg take exactly one text, found {found}")]
    NotOneText { found: &'static str },

    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },

    #[error("cannot read {}", table_name(path))]
    Read { path: PathBuf, source: io::Error },

    #[error("{} contains no texts", table_name(path))]
    NoTexts { path: PathBuf },

    /// Invalid line, counted from 1.
    #[error("{}, line {line}: {reason}", table_name(path))]
    Line { path: PathBuf, line: u64, reason: String },

    /// Invalid row, counted from 1, and the line on which it starts.
    #[error("{}, {}row {row}: {reason}", table_name(path), line.map_or(String::new(), |line| format!("line {line}, ")))]
    Row { path: PathBuf, line: Option<u64>, row: u64, reason: String },

    #[error(
        "cannot tell the format of {} from its name: pass --format csv, tsv, jsonl or parquet",
        table_name(path)
    )]
    UnknownFormat { path: PathBuf },

    #[error("{} already exists: pass --resume to continue or --overwrite to replace it", path.display())]
    OutputExists { path: PathBuf },

    /// The output to resume was written from other rows or with other options.
    #[error(
        "{} was written from a different input or with a different model or options ({reason}): pass --overwrite to replace it",
        path.display()
    )]
    OtherOutput { path: PathBuf, reason: String },

    #[cfg(feature = "parquet")]
    #[error("{}: {reason}", path.display())]
    Parquet { path: PathBuf, reason: String },

    #[cfg(not(feature = "parquet"))]
    #[error("{} is a Parquet file: build the program with --features parquet", path.display())]
    NoParquet { path: PathBuf },

    #[cfg(feature = "parquet")]
    #[error("Parquet requires files for --input and --output, not standard input or output")]
    ParquetStream,

    #[error("--output must have the same format as --input {}", path.display())]
    OtherFormat { path: PathBuf },

    #[error("{} is both --input and --output", path.display())]
    SameInputAndOutput { path: PathBuf },

    /// The output would overwrite a file that the command reads, under the same or another name.
    #[error("{}: choose another output", same_file(output, input))]
    OutputIsInput { output: PathBuf, input: PathBuf },

    #[cfg(feature = "parquet")]
    #[error("{} is not a regular file", path.display())]
    NotRegular { path: PathBuf },

    #[error("cannot read standard input")]
    Input(#[source] io::Error),

    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
}

impl Failure {
    /// Returns `true` if the reader of standard output closed it, as `head` does.
    pub fn is_closed_output(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Returns the message with its causes and the flag that helps.
    pub fn message(&self) -> String {
        let hint = match self {
            Self::Library(error) => hint(error),
            #[cfg(feature = "hub")]
            Self::Hub { source, .. } => hint(source),
            Self::Evaluation(error) => evaluation_hint(error),
            _ => "",
        };
        chain(self) + hint
    }
}

/// Returns the message of an error, followed by those of its causes.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Returns the flag or build option that resolves an error of the library.
fn hint(error: &Error) -> &'static str {
    match error {
        #[cfg(feature = "hub")]
        Error::Hub(error) => hub_hint(error),
        // A relative path of at most two parts can be meant as a name.
        #[cfg(not(feature = "hub"))]
        Error::Checkpoint(CheckpointError::NoModel { path })
            if path.is_relative() && path.components().count() <= 2 =>
        {
            "; to load a model from the Hugging Face Hub by name, build the program with --features hub"
        }
        Error::Checkpoint(CheckpointError::Exists { .. }) => ": choose another folder",
        Error::Checkpoint(CheckpointError::Damaged { .. }) => "; copy or download it again",
        Error::Checkpoint(CheckpointError::OutOfRange { .. }) => ": pass --precision f32",
        Error::Explain(ExplainError::NoProbability) => ": pass --objective logit",
        Error::Explain(ExplainError::SameLabel { .. }) => ": pass another label to --against",
        Error::Explain(ExplainError::NoToken { .. }) => ": pass another --replacement",
        Error::Explain(ExplainError::NoBackwardPass { .. }) => {
            ": pass --precision f32 --device cpu"
        }
        Error::Explain(ExplainError::ManyWindows { .. }) => ": pass --truncation right",
        Error::Input(InputError::Stride { .. }) => ": pass a smaller --stride",
        Error::Device(DeviceError::Threads { .. }) => ": pass a smaller --threads",
        Error::Device(DeviceError::InstructionSet { .. }) => ": change or unset DISTILBERT_ISA",
        Error::Device(DeviceError::CpuPrecision { .. }) => ": pass --precision f16",
        Error::Device(DeviceError::NoCudaDevice { .. })
        | Error::Device(DeviceError::CudaDriver { .. })
        | Error::Device(DeviceError::CudaCapability { .. })
        | Error::Device(DeviceError::CudaMemory { .. })
        | Error::Device(DeviceError::CudaModel { .. }) => ": pass --device cpu",
        Error::Device(DeviceError::CudaPrecision { .. }) => {
            ": pass --precision f16 or int8, or --device cpu"
        }
        Error::Precision(PrecisionError::QuantizedCascade | PrecisionError::RegressionCascade) => {
            ": pass another --precision"
        }
        Error::Device(DeviceError::CudaNotBuilt) => ": build the program with --features cuda",
        Error::Checkpoint(CheckpointError::TensorflowNotBuilt { .. }) => {
            ": build the program with --features tensorflow"
        }
        _ => "",
    }
}

/// Returns the flag or variable that resolves an error of the Hub.
#[cfg(feature = "hub")]
fn hub_hint(error: &HubError) -> &'static str {
    match error {
        HubError::NotCached { .. } => ": unset HF_HUB_OFFLINE to download it",
        HubError::RepositoryNotFound { .. } => "; for a private model, set HF_TOKEN",
        HubError::Unauthorized { .. } => ": set HF_TOKEN to a token that may read it",
        HubError::Gated { .. } => " with HF_TOKEN",
        HubError::RevisionNotFound { .. } | HubError::InvalidRevision { .. } => {
            ": pass another --revision"
        }
        HubError::InvalidToken => ": change HF_TOKEN",
        HubError::InvalidEndpoint { .. } => ": change or unset HF_ENDPOINT",
        _ => "",
    }
}

/// Returns the flag or build option that resolves an error of an evaluation.
fn evaluation_hint(error: &distilbert_evaluate::Error) -> &'static str {
    match error {
        distilbert_evaluate::Error::Model(error) => hint(error),
        _ => "",
    }
}

/// Returns the name of a table for messages.
fn table_name(path: &Path) -> String {
    if path.as_os_str() == STANDARD {
        return "standard input".to_owned();
    }
    path.display().to_string()
}

/// Returns the message that an output is an input.
fn same_file(output: &Path, input: &Path) -> String {
    let input_name = table_name(input);
    match output.as_os_str() == STANDARD {
        true => format!("standard output is the same file as {input_name}, an input"),
        false if output == input => format!("{input_name} is read by this command"),
        false => format!("{} is the same file as {input_name}, an input", output.display()),
    }
}

fn list(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ")
}
