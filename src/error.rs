//! [`Error`]: every variant names the thing at fault, what was expected and what was found.

use std::path::{Path, PathBuf};

use crate::device::Device;
use crate::names::ParseNameError;
use crate::precision::Precision;

/// Error of loading, converting or running a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },

    /// A file or folder could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// File or folder.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },

    /// A file that would be written already exists.
    #[error("{} already exists", path.display())]
    Exists {
        /// File.
        path: PathBuf,
    },

    /// The model folder does not exist or is not a folder.
    #[error("no model folder at {}: expected a folder with config.json and model.safetensors", path.display())]
    NoModel {
        /// Path of the model folder.
        path: PathBuf,
    },

    /// A JSON file of the model could not be parsed.
    #[error("{} is not valid: {reason}", path.display())]
    Json {
        /// File.
        path: PathBuf,
        /// Defect that was found.
        reason: String,
    },

    /// A field of `config.json` has an invalid value.
    #[error("config.json: `{field}` should be {expected}, found {found}")]
    Config {
        /// Name of the field.
        field: &'static str,
        /// Description of valid values.
        expected: String,
        /// Value in the file.
        found: String,
    },

    /// A weight file is damaged: it is truncated, or its header does not describe its data.
    #[error("{} is damaged: {reason}", path.display())]
    Checkpoint {
        /// Weight file.
        path: PathBuf,
        /// Defect that was found.
        reason: String,
    },

    /// A weight file was truncated or written to while it was being read.
    #[error("{} changed while it was being read: {reason}; load the model again", path.display())]
    FileChanged {
        /// The weight file.
        path: PathBuf,
        /// What was expected and what was found.
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

    /// The number of labels does not match the classification head.
    #[error("config.json names {labels} labels, but `classifier.weight` has {rows} rows")]
    LabelCount {
        /// Number of labels by `id2label` or `num_labels`.
        labels: usize,
        /// Number of rows of `classifier.weight`.
        rows: usize,
    },

    /// The tokenizer's files are missing or damaged.
    #[error("cannot load the tokenizer from {}: {reason}", path.display())]
    Tokenizer {
        /// File, or the model folder.
        path: PathBuf,
        /// Defect that was found.
        reason: String,
    },

    /// The tokenizer failed on a text.
    #[error("cannot tokenize the text: {0}")]
    Encode(String),

    /// A batch has no rows.
    #[error("the batch is empty, expected at least 1 row")]
    EmptyBatch,

    /// A row has no tokens.
    #[error("row {row} is empty, expected at least 1 token")]
    EmptyRow {
        /// Index of the row.
        row: usize,
    },

    /// Padded ids and mask differ in length or do not form whole rows.
    #[error(
        "input_ids and attention_mask should hold the same number of rows of {len}, found {ids} and {mask} values"
    )]
    PaddedShape {
        /// Number of ids.
        ids: usize,
        /// Number of mask values.
        mask: usize,
        /// Row length as given.
        len: usize,
    },

    /// A mask value is neither 0 nor 1.
    #[error("attention_mask of row {row} should be 0 or 1, found {found} at position {position}")]
    MaskValue {
        /// Index of the row.
        row: usize,
        /// Position in the row.
        position: usize,
        /// Value at that position.
        found: u32,
    },

    /// The first token of a row, which the classification head reads, is masked.
    #[error(
        "the first token of row {row} is masked, but the classification head reads it; padding belongs on the right"
    )]
    MaskedFirstToken {
        /// Index of the row.
        row: usize,
    },

    /// Every token of a row is masked.
    #[error("every token of row {row} is masked, expected at least 1 unmasked token")]
    MaskedRow {
        /// Index of the row.
        row: usize,
    },

    /// A token id is not in the model's vocabulary.
    #[error("token id {id} in row {row} should be below the vocabulary size {vocab_size}")]
    TokenId {
        /// Index of the row.
        row: usize,
        /// Token id.
        id: u32,
        /// Vocabulary size of the model.
        vocab_size: usize,
    },

    /// A row has more tokens than the model's position table has rows.
    #[error("row {row} has {tokens} tokens, but the model takes at most {limit}")]
    TooManyTokens {
        /// Index of the row.
        row: usize,
        /// Number of tokens, special and masked tokens included.
        tokens: usize,
        /// `max_position_embeddings` of the model.
        limit: usize,
    },

    /// The stride of [`Truncation::Windows`](crate::Truncation::Windows) leaves no room to advance.
    #[error("the stride of windows should be below {limit}, found {stride}")]
    Stride {
        /// Requested stride: the overlap of neighboring windows.
        stride: usize,
        /// Number of text tokens in one window.
        limit: usize,
    },

    /// The requested instruction set is unknown or not supported by the CPU.
    #[error("instruction set `{requested}` cannot be used: {reason}")]
    InstructionSet {
        /// Name given to the builder or in `DISTILBERT_ISA`.
        requested: String,
        /// Reason, with the instruction sets that can be used.
        reason: String,
    },

    /// The model has no backward pass, which explanations need.
    #[error("explanations need a model in f32 or f16 on the cpu, found {found} on {device}")]
    NoBackwardPass {
        /// Precision of the model.
        found: Precision,
        /// Device of the model.
        device: Device,
    },

    /// The model has no such label.
    #[error("there is no label `{requested}`; the labels are {}", labels.join(", "))]
    UnknownLabel {
        /// Requested label.
        requested: String,
        /// Labels of the model.
        labels: Vec<String>,
    },

    /// A label was to be explained against itself.
    #[error("label `{label}` cannot be explained against itself")]
    SameLabel {
        /// Label that was given twice.
        label: String,
    },

    /// The probability of a regression was to be explained.
    #[error("a regression has no probability, its value is the logit")]
    NoProbability,

    /// Integrated gradients or a perturbation were requested with 0 steps.
    #[error("at least 1 step is needed, found 0")]
    NoSteps,

    /// The token of a [`Replacement`](crate::explain::Replacement) is not in the vocabulary.
    #[error("the vocabulary lacks the token {token}")]
    NoToken {
        /// Text of the token.
        token: String,
    },

    /// The number of values does not match the tokens of an explanation.
    #[error("the explanation has {expected} tokens, found {found} values")]
    TokenValueCount {
        /// Number of tokens of the explanation.
        expected: usize,
        /// Number of values given.
        found: usize,
    },

    /// The number of relevances does not match the words of an explanation.
    #[error("the explanation has {expected} words, found {found} relevances")]
    RelevanceCount {
        /// Number of words of the explanation.
        expected: usize,
        /// Number of values given.
        found: usize,
    },

    /// An explanation is of a model with other labels.
    #[error(
        "the explanation is of a model with the labels {}, found a model with the labels {}",
        expected.join(", "), found.join(", ")
    )]
    OtherModel {
        /// Labels of the explained model.
        expected: Vec<String>,
        /// Labels of the model that was used.
        found: Vec<String>,
    },

    /// A text to explain would be split into several windows.
    #[error("text {row} has {tokens} tokens, but only a single window of {limit} can be explained")]
    ManyWindows {
        /// Index of the text.
        row: usize,
        /// Number of tokens, special tokens included.
        tokens: usize,
        /// `max_position_embeddings` of the model.
        limit: usize,
    },

    /// The model has no such attention head.
    #[error(
        "there is no attention head {head} in layer {layer}: the model has {layers} layers of {heads} heads"
    )]
    NoAttentionHead {
        /// Requested layer, counted from 0.
        layer: usize,
        /// Requested head, counted from 0.
        head: usize,
        /// Number of layers of the model.
        layers: usize,
        /// Number of heads per layer.
        heads: usize,
    },

    /// A name is not the name of a device.
    #[error(
        "there is no device `{requested}`; the names are cpu, cuda, cuda:N for the Nth GPU, auto"
    )]
    Device {
        /// Name as given.
        requested: String,
    },

    /// A GPU was requested, but the crate was built without the feature `cuda`.
    #[error("GPUs cannot be used: distilbert was built without the feature `cuda`")]
    CudaNotBuilt,

    /// No usable NVIDIA driver was found.
    #[error("no usable NVIDIA driver: {reason}")]
    CudaDriver {
        /// Reason, with what was looked for and found.
        reason: String,
    },

    /// There is no GPU with this number.
    #[error("there is no GPU {ordinal}: the NVIDIA driver shows {count}, counted from 0")]
    NoCudaDevice {
        /// Requested number.
        ordinal: usize,
        /// Number of GPUs.
        count: usize,
    },

    /// The GPU is too old for the kernels.
    #[error(
        "GPU {ordinal} ({name}) has compute capability {}.{}, but the kernels need {}.{} or newer",
        found.0, found.1, needed.0, needed.1
    )]
    CudaCapability {
        /// Number of the GPU.
        ordinal: usize,
        /// Name of the GPU.
        name: String,
        /// Compute capability of the GPU, major and minor.
        found: (u32, u32),
        /// Lowest compute capability that the kernels support.
        needed: (u32, u32),
    },

    /// The GPU has too little free memory.
    #[error("the GPU has {free} bytes of free memory, but {needed} are needed")]
    CudaMemory {
        /// Number of bytes to allocate.
        needed: usize,
        /// Number of free bytes.
        free: usize,
    },

    /// The CUDA kernels do not support the model's sizes.
    #[error("the CUDA kernels need `{field}` to be {expected}, but config.json gives {found}")]
    CudaModel {
        /// Field of `config.json`, or a quantity derived from it.
        field: &'static str,
        /// Description of supported values.
        expected: &'static str,
        /// Value of the model.
        found: usize,
    },

    /// There are no CUDA kernels for the requested precision.
    #[error("GPUs compute in f16 or int8, not in {requested}")]
    CudaPrecision {
        /// Requested precision.
        requested: Precision,
    },

    /// The NVIDIA driver failed.
    #[error("the GPU failed to {operation}: {reason}")]
    Cuda {
        /// Operation that failed.
        operation: &'static str,
        /// Error reported by the driver.
        reason: String,
    },

    /// A string is not the name of any value of an option.
    #[error(transparent)]
    Name(#[from] ParseNameError),

    /// Threads could not be started.
    #[error("cannot start {threads} threads: {reason}")]
    Threads {
        /// Requested number of threads.
        threads: usize,
        /// Error reported by the operating system.
        reason: String,
    },
}

impl Error {
    /// Returns `true` if the error is that a GPU or the CUDA backend cannot be used.
    pub(crate) fn is_gpu_error(&self) -> bool {
        matches!(
            self,
            Self::CudaNotBuilt
                | Self::CudaDriver { .. }
                | Self::NoCudaDevice { .. }
                | Self::CudaCapability { .. }
                | Self::CudaMemory { .. }
                | Self::CudaModel { .. }
                | Self::CudaPrecision { .. }
                | Self::Cuda { .. }
        )
    }
}

/// Returns the command that converts a pickle to safetensors.
fn conversion(pickle: &Path) -> String {
    let folder = pickle.parent().unwrap_or(pickle).display();
    format!(
        "python3 -c \"import transformers as t; t.AutoModelForSequenceClassification.from_pretrained('{folder}').save_pretrained('{folder}', safe_serialization=True)\""
    )
}

/// [`Result`](std::result::Result) with this crate's [`Error`] by default.
pub type Result<T, E = Error> = std::result::Result<T, E>;
