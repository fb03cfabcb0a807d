//! [`CheckpointError`]: weights that cannot be loaded or written.

use std::path::PathBuf;

use super::one_line::OneLine;

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
    #[error("{} is damaged: {}", path.display(), OneLine(reason))]
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

    /// A pickle asks for something that weights do not need. Nothing in it was executed.
    #[error(
        "{} asks for {}, which the weights of a model do not need; nothing in the file was executed",
        path.display(), OneLine(found)
    )]
    Pickle {
        /// Weight file.
        path: PathBuf,
        /// Function, class or instruction that was found, such as `` `os.system` ``.
        found: String,
    },

    /// The folder holds an adapter (PEFT), which is not a complete model without its base model.
    #[error(
        "{} belongs to an adapter{}, expected a complete model: merge the adapter into its base model with merge_and_unload() from the Python package peft, and save the result",
        path.display(), base.as_ref().map(|base| format!(" for {}", OneLine(base))).unwrap_or_default()
    )]
    Adapter {
        /// The adapter's configuration.
        path: PathBuf,
        /// Base model that the adapter names.
        base: Option<String>,
    },

    /// The checkpoint holds a model of another family or with another head.
    #[error("expected a DistilBertForSequenceClassification, found {}", OneLine(found))]
    OtherModel {
        /// Class or description of the model.
        found: String,
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
    #[error("tensor `{name}` should be F32, F16 or BF16, found {}", OneLine(found))]
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

    /// A weight is outside the range of the requested precision.
    #[error(
        "tensor `{name}` holds {found} at element {index}, which is outside the range of the requested precision"
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
