//! [`CheckpointError`]: weights that cannot be loaded or written.

use std::path::{Path, PathBuf};

/// Errors from loading or writing the weights of a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The model folder does not exist or is not a folder.
    #[error("no model folder at {}: expected a folder with config.json and model.safetensors", path.display())]
    NoModel {
        /// Path of the model folder.
        path: PathBuf,
    },

    /// A file that would be written already exists.
    #[error("{} already exists", path.display())]
    Exists {
        /// File.
        path: PathBuf,
    },

    /// A weight file is damaged: it is truncated, or its header does not describe its data.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// Weight file.
        path: PathBuf,
        /// Defect that was found.
        reason: String,
    },

    /// A weight file was truncated or written to while it was being read.
    #[error("{} changed while it was being read: {reason}; load the model again", path.display())]
    FileChanged {
        /// Weight file.
        path: PathBuf,
        /// Change that was found.
        reason: String,
    },

    /// The weights are in TensorFlow's format, and the crate was built without the feature `tensorflow`.
    #[error(
        "{} holds TensorFlow weights, but distilbert was built without the feature `tensorflow`",
        path.display()
    )]
    TensorflowNotBuilt {
        /// Weight file.
        path: PathBuf,
    },

    /// The weights are pickled, as older versions of Transformers wrote them. Unpickling can run arbitrary code.
    #[error(
        "{} is a pickle, which is not supported because unpickling can run arbitrary code; to write model.safetensors beside it, run: {}",
        path.display(), conversion(path)
    )]
    Pickle {
        /// Weight file.
        path: PathBuf,
    },

    /// A tensor required by the configuration is missing from the checkpoint.
    #[error("tensor `{name}` of shape {expected:?} is missing from the checkpoint")]
    MissingTensor {
        /// Name of the tensor.
        name: String,
        /// Shape that `config.json` implies.
        expected: Vec<usize>,
    },

    /// A tensor's shape does not match the configuration.
    #[error("tensor `{name}` should have shape {expected:?}, found {found:?}")]
    TensorShape {
        /// Name of the tensor.
        name: String,
        /// Shape that `config.json` implies.
        expected: Vec<usize>,
        /// Shape in the file.
        found: Vec<usize>,
    },

    /// A tensor is stored in an unsupported number format.
    #[error("tensor `{name}` should be F32, F16 or BF16, found {found}")]
    TensorDtype {
        /// Name of the tensor.
        name: String,
        /// Number format in the file.
        found: String,
    },

    /// A weight is NaN or infinite.
    #[error("tensor `{name}` should hold finite numbers, found {found} at element {index}")]
    NotFinite {
        /// Name of the tensor.
        name: String,
        /// Row-major index of the first such element.
        index: usize,
        /// Value of the element.
        found: f32,
    },

    /// A weight is out of the range of the requested precision.
    #[error(
        "tensor `{name}` holds {found} at element {index}, which is out of the range of the requested precision"
    )]
    OutOfRange {
        /// Name of the tensor.
        name: String,
        /// Row-major index of the first such element.
        index: usize,
        /// Value of the element.
        found: f32,
    },
}

/// Returns the command that converts a pickle to safetensors.
fn conversion(pickle: &Path) -> String {
    let folder = pickle.parent().unwrap_or(pickle).display();
    format!(
        "python3 -c \"import transformers as t; t.AutoModelForSequenceClassification.from_pretrained('{folder}').save_pretrained('{folder}', safe_serialization=True)\""
    )
}
