//! The one error type: every variant names the thing, what was expected and what was found.

use std::path::{Path, PathBuf};

use crate::device::Device;
use crate::precision::Precision;

/// What can go wrong between a folder of weights and a prediction.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },

    /// A file or folder could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },

    /// A file that would be written is there already.
    #[error("{} is there already: name another folder", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },

    /// The model folder is not there, or it is not a folder.
    #[error("no model folder at {}: expected a folder with config.json and model.safetensors", path.display())]
    NoModel {
        /// The path as given.
        path: PathBuf,
    },

    /// A JSON file of the model could not be understood.
    #[error("{} is not valid: {reason}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// A field of `config.json` has a value that no model can have.
    #[error("config.json: `{field}` should be {expected}, found {found}")]
    Config {
        /// The field's name.
        field: &'static str,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },

    /// A weight file is damaged: truncated, or its header does not describe its data.
    #[error("{} is damaged: {reason}; copy or download it again", path.display())]
    Checkpoint {
        /// The weight file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// The weights are TensorFlow's, and the crate was built without what reads them.
    #[error(
        "{} holds weights of TensorFlow, which this build cannot read: build it with the feature `tensorflow`",
        path.display()
    )]
    TensorflowNotBuilt {
        /// The weight file.
        path: PathBuf,
    },

    /// The weights are pickled, as older versions of PyTorch's Transformers wrote them: a program that
    /// whoever reads it runs.
    #[error(
        "{} is a pickle, which is not read; to write model.safetensors beside it, run: {}",
        path.display(), conversion(path)
    )]
    Pickle {
        /// The weight file.
        path: PathBuf,
    },

    /// A tensor that the configuration calls for is not in the checkpoint.
    #[error("tensor `{name}` of shape {expected:?} is missing from the checkpoint")]
    MissingTensor {
        /// The tensor's name.
        name: String,
        /// The shape it should have.
        expected: Vec<usize>,
    },

    /// A tensor's shape disagrees with the configuration.
    #[error("tensor `{name}` should have shape {expected:?}, found {found:?}")]
    TensorShape {
        /// The tensor's name.
        name: String,
        /// The shape that `config.json` implies.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },

    /// A tensor is stored in a type that weights cannot have.
    #[error("tensor `{name}` should be F32, F16 or BF16, found {found}")]
    TensorDtype {
        /// The tensor's name.
        name: String,
        /// The type in the file.
        found: String,
    },

    /// A weight is NaN or infinite, so that every result would be.
    #[error("tensor `{name}` should hold finite numbers, found {found} at element {index}")]
    NotFinite {
        /// The tensor's name.
        name: String,
        /// Row-major index of the first such element.
        index: usize,
        /// Its value.
        found: f32,
    },

    /// A weight is too large for the precision asked for.
    #[error(
        "tensor `{name}` holds {found} at element {index}, which the precision asked for cannot express: use Precision::F32"
    )]
    OutOfRange {
        /// The tensor's name.
        name: String,
        /// Row-major index of the first such element.
        index: usize,
        /// Its value.
        found: f32,
    },

    /// `id2label` and the classification head disagree.
    #[error(
        "config.json names {labels} labels, but `classifier.weight` has {rows} rows: each row of the head needs one label"
    )]
    LabelCount {
        /// Labels in `id2label`, or `num_labels`.
        labels: usize,
        /// Rows of `classifier.weight`.
        rows: usize,
    },

    /// The tokenizer's files are missing or damaged.
    #[error("cannot make the tokenizer from {}: {reason}", path.display())]
    Tokenizer {
        /// The file or the model folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// The tokenizer failed on a text.
    #[error("cannot split the text into tokens: {0}")]
    Encode(String),

    /// There is nothing to classify.
    #[error("the batch is empty: give at least one row")]
    EmptyBatch,

    /// A row has no token at all.
    #[error("row {row} is empty: give at least one token")]
    EmptyRow {
        /// The row, counted from 0.
        row: usize,
    },

    /// Padded ids and mask do not have the shape that was declared.
    #[error(
        "input_ids ({ids} values) and attention_mask ({mask} values) should both hold whole rows of {len}"
    )]
    PaddedShape {
        /// Number of ids.
        ids: usize,
        /// Number of mask values.
        mask: usize,
        /// Declared length of a row.
        len: usize,
    },

    /// A mask value is neither 0 nor 1.
    #[error("attention_mask of row {row} should be 0 or 1, found {found} at position {position}")]
    MaskValue {
        /// The row, counted from 0.
        row: usize,
        /// The position in the row, counted from 0.
        position: usize,
        /// The value.
        found: u32,
    },

    /// The first token of a row is masked, but the model classifies by it.
    #[error(
        "row {row} has its first token masked: the model reads its answer there, so pad on the right"
    )]
    MaskedFirstToken {
        /// The row, counted from 0.
        row: usize,
    },

    /// Every token of a row is masked.
    #[error("row {row} is masked from end to end: give at least one token")]
    MaskedRow {
        /// The row, counted from 0.
        row: usize,
    },

    /// A token id is not in the model's vocabulary.
    #[error("token id {id} in row {row} should be below the vocabulary size {vocab_size}")]
    TokenId {
        /// The row, counted from 0.
        row: usize,
        /// The id.
        id: u32,
        /// The model's vocabulary size.
        vocab_size: usize,
    },

    /// A row is longer than the model's position table.
    #[error("row {row} has {tokens} tokens, but the model takes {limit} at most")]
    TooManyTokens {
        /// The row, counted from 0.
        row: usize,
        /// Its tokens, special ones and masked ones included.
        tokens: usize,
        /// The model's `max_position_embeddings`.
        limit: usize,
    },

    /// The overlap of [`Truncation::Windows`](crate::Truncation::Windows) leaves no room to advance.
    #[error("the windows' stride should be below {limit}, found {stride}")]
    Stride {
        /// The overlap asked for.
        stride: usize,
        /// Tokens of text that one window holds.
        limit: usize,
    },

    /// The instruction set asked for is unknown, or this machine lacks it.
    #[error("instruction set `{requested}` cannot be used: {reason}")]
    InstructionSet {
        /// The name as given to the builder or in `DISTILBERT_ISA`.
        requested: String,
        /// Why not, and what can be used.
        reason: String,
    },

    /// An explanation needs a backward pass, which there is for floating point on the processor alone.
    #[error("explanations need a model in f32 or f16 on the cpu, found {found} on {device}")]
    NoBackwardPass {
        /// The precision that the model was loaded with.
        found: Precision,
        /// Where it is computed.
        device: Device,
    },

    /// The model has no such label.
    #[error("there is no label `{requested}`; the labels are {}", labels.join(", "))]
    UnknownLabel {
        /// The label as given.
        requested: String,
        /// The model's labels.
        labels: Vec<String>,
    },

    /// A label cannot be explained against itself.
    #[error("`{label}` against itself explains nothing: name two labels")]
    SameLabel {
        /// The label given twice.
        label: String,
    },

    /// A regression has values, of which none is a probability.
    #[error("a regression has no probability: explain Objective::Logit, which is its value")]
    NoProbability,

    /// Integrated gradients, or a perturbation, were asked for without steps.
    #[error("at least 1 step is needed, found 0")]
    NoSteps,

    /// Methods of explanation were to be compared, but none is named.
    #[error("there is nothing to compare: name at least one method")]
    NoMethods,

    /// Methods of explanation were to be compared on texts that leave nothing to rank.
    #[error(
        "none of the {texts} texts has two words or more, so that every method ranks them alike"
    )]
    NoRankedText {
        /// Texts given.
        texts: usize,
    },

    /// A random order was to be compared with, but none drawn.
    #[error("at least 1 random order is needed, found 0")]
    NoRandomOrders,

    /// Intervals were asked for without resamples.
    #[error("at least 1 resample is needed, found 0")]
    NoResamples,

    /// Two models are to be compared that do not say the same things.
    #[error(
        "models of different labels cannot be compared: expected {}, found {}",
        .expected.join(", "), .found.join(", ")
    )]
    OtherLabels {
        /// The labels of the first model.
        expected: Vec<String>,
        /// Those of the second.
        found: Vec<String>,
    },

    /// Two models are to be compared that answer different questions.
    #[error("models of different kinds cannot be compared: expected {expected}, found {found}")]
    OtherProblemType {
        /// The first model's `problem_type`.
        expected: &'static str,
        /// That of the second.
        found: &'static str,
    },

    /// A regression has values, of which none is right or wrong.
    #[error("a regression has no labels to evaluate: expected a single-label or multi-label model")]
    NotClassification,

    /// Rows were to be evaluated by a model without labels.
    #[error("there is nothing to evaluate by: expected at least 1 label, found 0")]
    NoLabels,

    /// There is no labelled row.
    #[error("there is nothing to evaluate: give at least one labelled row")]
    NothingToEvaluate,

    /// Calibration was asked for with no bins, or with more than rows can fill.
    #[error("calibration should have 1 to {limit} bins, found {found}")]
    Bins {
        /// Bins asked for.
        found: usize,
        /// The most that there may be.
        limit: usize,
    },

    /// A row to evaluate has not one score for each label.
    #[error("row {row} should have {expected} scores, one for each label, found {found}")]
    ScoreCount {
        /// [What the row is called](crate::evaluate::Row::number).
        row: usize,
        /// Labels of the model.
        expected: usize,
        /// Scores given.
        found: usize,
    },

    /// A score of a row to evaluate is no probability.
    #[error("row {row} should have a probability from 0 to 1 for `{label}`, found {found}")]
    NotProbability {
        /// [What the row is called](crate::evaluate::Row::number).
        row: usize,
        /// The label.
        label: String,
        /// Its score.
        found: f32,
    },

    /// A true label of a row to evaluate is none of the model's.
    #[error(
        "row {row} has the label id {found}, but the model has {labels} labels, counted from 0"
    )]
    LabelId {
        /// [What the row is called](crate::evaluate::Row::number).
        row: usize,
        /// The id.
        found: usize,
        /// Labels of the model.
        labels: usize,
    },

    /// A row to evaluate by a single-label model has not one true label.
    #[error("row {row} has {found} true labels, but a single-label model's rows have one each")]
    TrueLabelCount {
        /// [What the row is called](crate::evaluate::Row::number).
        row: usize,
        /// How many it has.
        found: usize,
    },

    /// A replacement for words is not in the vocabulary.
    #[error("the vocabulary lacks {token}: choose another replacement")]
    NoToken {
        /// The token's spelling.
        token: String,
    },

    /// Values of tokens are not one for each.
    #[error("the explanation has {expected} tokens, found {found} values")]
    TokenValueCount {
        /// Tokens of the explanation.
        expected: usize,
        /// Values given.
        found: usize,
    },

    /// Values to order words by are not one for each.
    #[error("the explanation has {expected} words, found {found} values to order them by")]
    RelevanceCount {
        /// Words of the explanation.
        expected: usize,
        /// Values given.
        found: usize,
    },

    /// An explanation is of a model with other labels.
    #[error(
        "the explanation is of a model with the labels {}, found {}: ask the model that made it",
        expected.join(", "), found.join(", ")
    )]
    OtherModel {
        /// The labels of the explanation's model.
        expected: Vec<String>,
        /// The labels of the model that was asked.
        found: Vec<String>,
    },

    /// A text takes several windows, each of which has reasons of its own.
    #[error(
        "text {row} has {tokens} tokens, which take several windows of {limit}: explain a part of it, or use Truncation::Right"
    )]
    ManyWindows {
        /// The text, counted from 0.
        row: usize,
        /// Its tokens, special ones included.
        tokens: usize,
        /// The model's `max_position_embeddings`.
        limit: usize,
    },

    /// The model has no such layer, or its layers no such head.
    #[error(
        "there is no attention head {head} in layer {layer}: the model has {layers} layers of {heads} heads, counted from 0"
    )]
    NoAttentionHead {
        /// The layer asked for.
        layer: usize,
        /// The head asked for.
        head: usize,
        /// The model's layers.
        layers: usize,
        /// Heads of each.
        heads: usize,
    },

    /// There is no such device.
    #[error(
        "there is no device `{requested}`; the names are cpu, cuda, cuda:N for the Nth GPU, auto"
    )]
    Device {
        /// The name as given.
        requested: String,
    },

    /// The crate was built without its CUDA engine.
    #[error("this build cannot use GPUs: build it with the feature `cuda`")]
    CudaNotBuilt,

    /// There is no NVIDIA driver, or none that can be used.
    #[error("no NVIDIA driver to compute with: {reason}")]
    CudaDriver {
        /// What was looked for and found.
        reason: String,
    },

    /// There is no GPU of this number.
    #[error("there is no GPU {ordinal}: the NVIDIA driver shows {count}, counted from 0")]
    NoCudaDevice {
        /// The number asked for.
        ordinal: usize,
        /// How many there are.
        count: usize,
    },

    /// The GPU is too old for the kernels.
    #[error(
        "GPU {ordinal} ({name}) has compute capability {}.{}, but the kernels need {}.{} or newer",
        found.0, found.1, needed.0, needed.1
    )]
    CudaCapability {
        /// The GPU's number.
        ordinal: usize,
        /// Its name.
        name: String,
        /// Its compute capability.
        found: (u32, u32),
        /// The least that will do.
        needed: (u32, u32),
    },

    /// The GPU has too little memory left.
    #[error("the GPU has {free} bytes of memory free, but {needed} are needed")]
    CudaMemory {
        /// Bytes that were to be allocated.
        needed: usize,
        /// Bytes that are free.
        free: usize,
    },

    /// The model is of a shape for which there are no CUDA kernels.
    #[error(
        "the CUDA kernels need `{field}` to be {expected}, but config.json gives {found}: use Device::Cpu"
    )]
    CudaModel {
        /// The field of `config.json`, or what follows from it.
        field: &'static str,
        /// What the kernels can compute.
        expected: &'static str,
        /// What the model has.
        found: usize,
    },

    /// There are no CUDA kernels for this precision.
    #[error(
        "GPUs compute in f16 or int8, not in {requested}: use Precision::F16, Precision::Int8 or Device::Cpu"
    )]
    CudaPrecision {
        /// The precision asked for.
        requested: Precision,
    },

    /// The NVIDIA driver failed.
    #[error("the GPU failed to {operation}: {reason}")]
    Cuda {
        /// What it was to do.
        operation: &'static str,
        /// What the driver said.
        reason: String,
    },

    /// The threads could not be started.
    #[error("cannot start {threads} threads: {reason}")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the system said.
        reason: String,
    },
}

impl Error {
    /// Whether it is the GPU, or its engine, that cannot be used.
    pub(crate) fn is_of_gpu(&self) -> bool {
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

/// The command that makes safetensors of a pickle.
fn conversion(pickle: &Path) -> String {
    let folder = pickle.parent().unwrap_or(pickle).display();
    format!(
        "python3 -c \"import transformers as t; t.AutoModelForSequenceClassification.from_pretrained('{folder}').save_pretrained('{folder}', safe_serialization=True)\""
    )
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
