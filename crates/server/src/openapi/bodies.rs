//! Bodies of requests, and of answers that the library writes, as the description of the API shows them.
#![expect(dead_code, reason = "`Fields` reads requests, so that errors name the field")]

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

/// One text, a list of texts, or a list of lists of one text each.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum Inputs {
    /// One text.
    Text(String),
    /// Several texts.
    Texts(Vec<String>),
    /// Several texts, each in a list.
    Lists(Vec<Vec<String>>),
}

/// Options of a request for predictions.
#[derive(Serialize, ToSchema)]
pub struct Options {
    /// False refuses texts that are longer than the model accepts; by default they are truncated.
    truncate: Option<bool>,
    /// End of the text at which it is truncated; by default that of the checkpoint.
    truncation_direction: Option<Direction>,
    /// True returns logits instead of scores, like the function `none`.
    raw_scores: Option<bool>,
    /// Function that turns logits into scores; by default that of the checkpoint.
    function_to_apply: Option<Function>,
    /// Number of labels to return; by default all.
    #[schema(minimum = 1)]
    top_k: Option<usize>,
}

/// End of a text.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    Right,
    Left,
}

/// Function that turns logits into scores.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Function {
    Softmax,
    Sigmoid,
    None,
}

/// Texts to classify.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"inputs": "What a shock!"}))]
pub struct PredictBody {
    inputs: Inputs,
    /// Name of the model if the path has none; by default the first.
    model: Option<String>,
    #[serde(flatten)]
    options: Options,
    /// Options that take precedence over those at the top level.
    parameters: Option<Options>,
}

/// Instances to classify.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"instances": ["What a shock!", {"inputs": "I miss you.", "top_k": 1}]}))]
pub struct InstancesBody {
    instances: Vec<Instance>,
    /// Name of the model if the path has none; by default the first.
    model: Option<String>,
    #[serde(flatten)]
    options: Options,
    /// Options that take precedence over those at the top level.
    parameters: Option<Options>,
}

/// A text, or texts with options of their own.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum Instance {
    /// A text.
    Text(String),
    /// A text in a list.
    List(Vec<String>),
    /// Texts with options of their own.
    Object(InstanceObject),
}

/// Texts with options of their own.
#[derive(Serialize, ToSchema)]
pub struct InstanceObject {
    inputs: Inputs,
    #[serde(flatten)]
    options: Options,
}

/// Texts to classify.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"input": ["What a shock!"]}))]
pub struct ClassifyBody {
    input: Inputs,
    /// Name of the model; by default the first.
    model: Option<String>,
    #[serde(flatten)]
    options: Options,
    /// Options that take precedence over those at the top level.
    parameters: Option<Options>,
}

/// Texts to split into tokens.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"inputs": "What a shock!"}))]
pub struct TokenizeBody {
    inputs: Inputs,
    /// False leaves out tokens such as `[CLS]`.
    #[schema(default = true)]
    add_special_tokens: Option<bool>,
    /// Name of the model; by default the first.
    model: Option<String>,
}

/// A text whose prediction is to be explained.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"inputs": "What a shock!", "parameters": {"target": "surprise"}}))]
pub struct ExplainBody {
    /// One text.
    inputs: String,
    /// Name of the model; by default the first.
    model: Option<String>,
    parameters: Option<ExplainOptions>,
}

/// Options of a request for an explanation.
#[derive(Serialize, ToSchema)]
pub struct ExplainOptions {
    /// Method: `lrp`, the default, `attnlrp`, `gradient-x-input` or `integrated-gradients:STEPS`.
    method: Option<String>,
    /// Label to explain; by default the predicted one.
    target: Option<String>,
    /// Label that the target is compared with.
    against: Option<String>,
    /// Number to explain: `logit`, the default, or `probability`.
    objective: Option<String>,
    /// False refuses a text that is longer than the model accepts; by default it is truncated.
    truncate: Option<bool>,
    /// End of the text at which it is truncated; by default that of the checkpoint.
    truncation_direction: Option<Direction>,
    /// True adds the pictures of the explanation page.
    #[schema(default = false)]
    pictures: Option<bool>,
}

/// Relevance of each word and token for a prediction.
#[derive(Serialize, ToSchema)]
pub struct Explained {
    text: String,
    /// Predicted label.
    label: String,
    method: String,
    /// Number of steps of integrated gradients.
    #[schema(nullable = false)]
    steps: Option<usize>,
    /// Explained label.
    target: String,
    /// Label that the target is compared with.
    #[schema(required)]
    against: Option<String>,
    /// Number that is explained.
    objective: String,
    /// Logit of the target.
    logit: f32,
    /// Score of the target.
    score: f32,
    /// Explained number: the sum of the tokens' relevances, the ledger and the unexplained remainder.
    value: f64,
    tokens: Vec<ExplainedToken>,
    words: Vec<ExplainedWord>,
    /// Relevance that belongs to no token.
    ledger: BTreeMap<String, f64>,
    unexplained: f64,
    /// Number of tokens that were not read; null if none or not counted.
    #[schema(required)]
    dropped_tokens: Option<usize>,
    /// Character at which the text was truncated; null if it was not.
    #[schema(required)]
    truncated_at: Option<usize>,
    /// SVG pictures by name, if requested.
    #[schema(nullable = false)]
    pictures: Option<BTreeMap<String, String>>,
}

/// A token with its relevance.
#[derive(Serialize, ToSchema)]
pub struct ExplainedToken {
    id: u32,
    text: String,
    /// Start in the text, in characters.
    start: usize,
    /// End in the text, in characters, exclusive.
    end: usize,
    bytes: ByteRange,
    relevance: f32,
}

/// A word with the relevance of its tokens.
#[derive(Serialize, ToSchema)]
pub struct ExplainedWord {
    text: String,
    /// Start in the text, in characters.
    start: usize,
    /// End in the text, in characters, exclusive.
    end: usize,
    bytes: ByteRange,
    /// Range in `tokens`.
    tokens: ByteRange,
    relevance: f32,
}

/// Range of numbers, end exclusive.
#[derive(Serialize, ToSchema)]
pub struct ByteRange {
    start: usize,
    end: usize,
}

/// Tensors to classify.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["What a shock!"]}]
}))]
pub struct InferBody {
    /// Id that the response repeats.
    id: Option<String>,
    /// One tensor.
    #[schema(min_items = 1, max_items = 1)]
    inputs: Vec<InputTensor>,
    /// Outputs to return; by default `label`, `index` and `scores`.
    outputs: Option<Vec<RequestedOutput>>,
    parameters: Option<InferOptions>,
}

/// Options of a request for predictions with tensors.
#[derive(Serialize, ToSchema)]
pub struct InferOptions {
    #[serde(flatten)]
    options: Options,
    /// True returns all outputs as binary data.
    binary_data_output: Option<bool>,
}

/// A tensor of texts.
#[derive(Serialize, ToSchema)]
pub struct InputTensor {
    /// Any name.
    name: Option<String>,
    /// `[n]` or `[n, 1]`.
    shape: Vec<u64>,
    /// `BYTES`.
    datatype: String,
    /// Texts, unless they follow as binary data.
    data: Option<Inputs>,
    parameters: Option<InputParameters>,
}

/// Place of the values of a tensor.
#[derive(Serialize, ToSchema)]
pub struct InputParameters {
    /// Number of bytes that follow the JSON: for each text, its length as four bytes and the text.
    binary_data_size: Option<usize>,
}

/// A requested output.
#[derive(Serialize, ToSchema)]
pub struct RequestedOutput {
    /// `label`, `index`, `scores` or `logits`.
    name: String,
    parameters: Option<OutputParameters>,
}

/// Form of an output.
#[derive(Serialize, ToSchema)]
pub struct OutputParameters {
    /// True returns the output as binary data.
    binary_data: Option<bool>,
}
