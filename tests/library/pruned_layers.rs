//! Models whose layers differ in heads and width.

use std::path::Path;

use distilbert::{Classifier, Config, LayerShape, Precision, TokenBatch, convert, pad, quantize};
use tempfile::TempDir;
use test_support::generator::GeneratedModel;
use test_support::{golden_rows, precisions, sets};

fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    GeneratedModel::pruned().write(folder.path());
    folder
}

fn rows() -> TokenBatch {
    TokenBatch::from_rows(&golden_rows()).unwrap()
}

fn logits(model: &Path, precision: Precision) -> Vec<f32> {
    let classifier = Classifier::builder(model).precision(precision).build().unwrap();
    classifier.logits(&rows()).unwrap()
}

fn assert_close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= tolerance, "{found} {expected}");
    }
}

#[test]
fn shapes_come_from_the_configuration() {
    let folder = folder();
    let config = Config::from_file(folder.path().join("config.json")).unwrap();
    let shapes: Vec<LayerShape> = (0..3).map(|layer| config.layer(layer)).collect();
    let shape = |heads, hidden_dim| LayerShape { heads, hidden_dim };
    assert_eq!(shapes, [shape(3, 33), shape(2, 70), shape(1, 32)]);
}

#[test]
fn padded_model_gives_the_same_logits() {
    let (folder, out) = (folder(), TempDir::new().unwrap());
    let padded = out.path().join("padded");
    pad(folder.path(), &padded).unwrap();
    let config = Config::from_file(padded.join("config.json")).unwrap();
    assert!(config.is_uniform());
    assert_eq!(config.layer(0), LayerShape { heads: 4, hidden_dim: 70 });
    for precision in precisions() {
        let tolerance = match precision {
            Precision::F32 | Precision::F16 => 1e-5,
            // A rounded input that falls on the other side of a step moves a logit.
            _ => 5e-2,
        };
        let found = logits(folder.path(), precision);
        assert_close(&found, &logits(&padded, precision), tolerance);
    }
}

#[test]
fn precisions_agree() {
    let folder = folder();
    let exact = logits(folder.path(), Precision::F32);
    assert!(exact.iter().any(|logit| logit.abs() > 0.1));
    for precision in precisions() {
        let tolerance = if precision == Precision::F16 { 5e-3 } else { 0.3 };
        assert_close(&logits(folder.path(), precision), &exact, tolerance);
    }
}

#[test]
fn converted_and_quantized_models_keep_their_shapes() {
    let (folder, out) = (folder(), TempDir::new().unwrap());
    let (floats, int8) = (out.path().join("f32"), out.path().join("int8"));
    convert(folder.path(), &floats, None).unwrap();
    assert_eq!(logits(&floats, Precision::F32), logits(folder.path(), Precision::F32));
    quantize(folder.path(), &int8).unwrap();
    assert_eq!(logits(&int8, Precision::Int8), logits(folder.path(), Precision::Int8));
}

#[test]
fn sets_agree() {
    let folder = folder();
    let exact = logits(folder.path(), Precision::F32);
    for set in sets() {
        let builder = Classifier::builder(folder.path()).instruction_set(set);
        assert_close(&builder.build().unwrap().logits(&rows()).unwrap(), &exact, 1e-5);
    }
}

#[test]
fn other_shapes_in_the_checkpoint_are_refused() {
    let folder = TempDir::new().unwrap();
    let mut model = GeneratedModel::pruned();
    model.config["hidden_dims"][1] = 71.into();
    model.write(folder.path());
    let error = Classifier::builder(folder.path()).build().unwrap_err().to_string();
    assert!(error.contains("transformer.layer.1.ffn.lin1.weight"), "{error}");
    assert!(error.contains("[71, 64]") && error.contains("[70, 64]"), "{error}");
    model.config["hidden_dims"] = serde_json::Value::Null;
    model.config["pruned_heads"] = serde_json::Value::Null;
    model.write(folder.path());
    let error = Classifier::builder(folder.path()).build().unwrap_err().to_string();
    assert!(error.contains("transformer.layer.0.attention.q_lin.weight"), "{error}");
}

#[cfg(feature = "explain")]
mod explained {
    use distilbert::explain::{ExplainOptions, Method};

    use super::*;

    #[test]
    fn relevances_close_their_ledger() {
        let folder = folder();
        let classifier = Classifier::builder(folder.path()).build().unwrap();
        for method in [Method::GradientXInput, Method::Lrp, Method::AttnLrp] {
            let options = ExplainOptions::default().method(method);
            for explanation in classifier.explain_tokens(&rows(), &options).unwrap() {
                let unexplained = explanation.unexplained();
                assert!(unexplained.abs() < 1e-4, "{method}: {unexplained}");
            }
        }
    }

    #[test]
    fn gradients_match_those_of_the_padded_model() {
        let (folder, out) = (folder(), TempDir::new().unwrap());
        let padded = out.path().join("padded");
        pad(folder.path(), &padded).unwrap();
        let of = |model: &Path, options: &ExplainOptions| -> Vec<f32> {
            let classifier = Classifier::builder(model).build().unwrap();
            let explanations = classifier.explain_tokens(&rows(), options).unwrap();
            let tokens = explanations.iter().flat_map(|explanation| explanation.tokens());
            tokens.map(|token| token.relevance).collect()
        };
        for method in [
            Method::GradientXInput,
            Method::Lrp,
            Method::AttnLrp,
            Method::IntegratedGradients { steps: 4 },
        ] {
            let options = ExplainOptions::default().method(method);
            assert_close(&of(folder.path(), &options), &of(&padded, &options), 1e-4);
        }
    }

    #[test]
    fn pruned_heads_attend_to_nothing() {
        let folder = folder();
        let classifier = Classifier::builder(folder.path()).build().unwrap();
        let options = ExplainOptions::default().attention(true);
        let explanations = classifier.explain_tokens(&rows(), &options).unwrap();
        for explanation in &explanations {
            let attention = explanation.attention().unwrap();
            assert_eq!((attention.layers(), attention.heads()), (3, 4));
            for (layer, pruned) in [&[1][..], &[0, 3], &[0, 1, 2]].into_iter().enumerate() {
                for head in 0..4 {
                    let sum: f32 =
                        attention.head(layer, head).unwrap()[..attention.tokens()].iter().sum();
                    let expected = if pruned.contains(&head) { 0.0 } else { 1.0 };
                    assert!((sum - expected).abs() < 1e-5, "{layer} {head}: {sum}");
                }
                let row: f32 = attention.mean(layer).unwrap()[..attention.tokens()].iter().sum();
                assert!((row - 1.0).abs() < 1e-5);
            }
            let reached: f32 = attention.rollout().iter().sum();
            assert!((reached - 1.0).abs() < 1e-5, "{reached}");
        }
    }
}
