//! Explanations: float64 goldens made by automatic differentiation, conservation of relevance, and results that are
//! bit-identical in any batch and on any number of threads.

mod goldens;
mod invariance;
mod texts;

use distilbert::explain::{ExplainOptions, Explanation, Method, Objective, Target};
use distilbert::{
    Classifier, Error, ExplainError, InputError, InstructionSet, Precision, TokenBatch,
};
use safetensors::Dtype;
use serde_json::Value;
use tempfile::TempDir;
use test_support::generator::{GeneratedModel, Tensor};
use test_support::{Dice, bundled_model, golden, ids, largest_error, list, numbers};

/// Largest error of a relevance, relative to the largest relevance.
const TOLERANCE: f64 = 1e-5;

const METHODS: [Method; 3] = [Method::GradientXInput, Method::Lrp, Method::AttnLrp];

/// Model of a golden, in a temporary folder unless it is the bundled model.
struct Model {
    folder: Option<TempDir>,
    golden: Value,
}

impl Model {
    fn all() -> Vec<Self> {
        let goldens = golden("explain.json");
        let model = |golden: &Value| {
            let generated = if golden.get("seed").is_some() {
                Some(GeneratedModel::of_case(golden))
            } else {
                golden.get("weights").map(|weights| trained(&golden["config"], weights))
            };
            let folder = generated.map(|generated| {
                let folder = TempDir::new().unwrap();
                generated.write(folder.path());
                folder
            });
            Self { folder, golden: golden.clone() }
        };
        list(&goldens["models"]).iter().map(model).collect()
    }

    fn folder(&self) -> std::path::PathBuf {
        self.folder.as_ref().map_or_else(bundled_model, |folder| folder.path().to_owned())
    }

    fn name(&self) -> &str {
        self.golden["name"].as_str().unwrap()
    }

    fn rows(&self) -> &[Value] {
        list(&self.golden["rows"])
    }
}

/// Creates the model whose weights the golden contains, as f16 in hexadecimal.
fn trained(config: &Value, weights: &Value) -> GeneratedModel {
    let mut model = GeneratedModel::new(config.clone(), 0);
    for (name, tensor) in &mut model.tensors {
        let digits = weights[name].as_str().unwrap();
        let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        let bytes = (0..digits.len()).step_by(2).map(byte).collect();
        *tensor = Tensor { dtype: Dtype::F16, shape: tensor.shape.clone(), bytes };
    }
    model
}

/// Returns the target of a golden's row.
fn options(classifier: &Classifier, row: &Value) -> ExplainOptions {
    let label = |field: &str| classifier.labels()[row[field].as_u64().unwrap() as usize].clone();
    let target = match row.get("other") {
        Some(_) => Target::against(label("label"), label("other")),
        None => Target::label(label("label")),
    };
    let objective = match row["objective"].as_str().unwrap() {
        "probability" => Objective::Probability,
        _ => Objective::Logit,
    };
    ExplainOptions::default().target(target).objective(objective).attention(true)
}

/// Explains a golden's row, from its text if it has one.
fn explain(classifier: &Classifier, row: &Value, options: &ExplainOptions) -> Explanation {
    #[cfg(feature = "text")]
    if let Some(text) = row.get("text") {
        return classifier.explain(text.as_str().unwrap(), options).unwrap();
    }
    let ids = ids(&row["ids"]);
    let mask = row.get("mask").map_or_else(|| vec![1; ids.len()], test_support::ids);
    let batch = TokenBatch::from_padded(&ids, &mask, ids.len()).unwrap();
    classifier.explain_tokens(&batch, options).unwrap().pop().unwrap()
}

fn relevances(explanation: &Explanation) -> Vec<f32> {
    explanation.tokens().iter().map(|token| token.relevance).collect()
}

/// Returns the largest error of relevances, relative to the largest relevance. A single token has no meaningful relevance,
/// since attention is constant and normalization cancels its scale; there, the error is relative to the value.
fn relative_error(explanation: &Explanation, expected: &[f64]) -> f64 {
    let mut largest = expected.iter().fold(0f64, |largest, value| largest.max(value.abs()));
    if expected.len() == 1 {
        largest = largest.max(explanation.value().abs());
    }
    largest_error(&relevances(explanation), expected) / largest
}
