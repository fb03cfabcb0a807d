//! Explanations: float64 goldens made by automatic differentiation, conservation of relevance, and results that are
//! bit-identical in any batch and on any number of threads.

use distilbert::explain::{ExplainOptions, Explanation, Method, Objective, Target};
use distilbert::{Classifier, Error, InstructionSet, Precision, TokenBatch};
use safetensors::Dtype;
use serde_json::Value;
use tempfile::TempDir;
use test_support::generator::{GeneratedModel, Tensor};
use test_support::{Dice, bundled_model, golden, ids, largest_error, list, numbers};

/// Largest error of a relevance, relative to the largest relevance.
const TOLERANCE: f64 = 1e-5;

const METHODS: [Method; 3] = [Method::GradientXInput, Method::Lrp, Method::AttnLrp];

/// Returns the model of a golden, and the temporary folder that contains it unless it is the bundled model.
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

#[test]
fn relevances_match_automatic_differentiation_in_float64() {
    let steps = golden("explain.json")["steps"].as_u64().unwrap() as usize;
    let methods = METHODS.into_iter().chain([Method::IntegratedGradients { steps }]);
    for model in Model::all() {
        for set in InstructionSet::detected() {
            let builder = Classifier::builder(model.folder()).instruction_set(set).threads(2);
            let classifier = builder.build().unwrap();
            let mut worst = [0f64; 4];
            for row in model.rows() {
                for (worst, method) in worst.iter_mut().zip(methods.clone()) {
                    let options = options(&classifier, row).method(method);
                    let explanation = explain(&classifier, row, &options);
                    let expected = &row["methods"][method.name()];
                    let error = relative_error(&explanation, &numbers(&expected["relevance"]));
                    *worst = worst.max(error);
                }
            }
            println!(
                "{} on {set}: {}",
                model.name(),
                worst.map(|worst| format!("{worst:.1e}")).join(" ")
            );
            assert!(worst.iter().all(|&worst| worst <= TOLERANCE), "{} on {set}", model.name());
        }
    }
}

#[test]
fn logits_ledger_and_rollout_match_float64() {
    for model in Model::all() {
        let classifier = Classifier::builder(model.folder()).build().unwrap();
        for row in model.rows() {
            for method in METHODS {
                let explanation =
                    explain(&classifier, row, &options(&classifier, row).method(method));
                let logits = numbers(&row["logits"]);
                let error = largest_error(explanation.prediction().logits(), &logits);
                assert!(
                    error <= test_support::TOLERANCE,
                    "{}: logits {error:.1e} off",
                    model.name()
                );
                let scale = logits.iter().fold(1f64, |scale, logit| scale.max(logit.abs()));
                let expected = &row["methods"][method.name()]["ledger"];
                for (name, found) in explanation.ledger().entries() {
                    let expected = expected.get(name).map_or(0.0, |share| share.as_f64().unwrap());
                    let error = (found - expected).abs();
                    // Relevances of random weights are tens of logits and cancel.
                    assert!(error <= 5e-5 * scale, "{} {method} {name}: {error:.1e}", model.name());
                }
                let rollout = explanation.attention().unwrap().rollout();
                let error = largest_error(&rollout, &numbers(&row["rollout"]));
                assert!(error <= 1e-6, "{}: rollout {error:.1e} off", model.name());
            }
        }
    }
}

#[test]
fn attention_weights_sum_to_one() {
    let classifier = Classifier::builder(bundled_model()).threads(2).build().unwrap();
    let batch = TokenBatch::from_rows(&[(1000..1060).collect(), vec![101], vec![101, 2307, 102]]);
    let options = ExplainOptions::default().attention(true);
    for explanation in classifier.explain_tokens(&batch.unwrap(), &options).unwrap() {
        let attention = explanation.attention().unwrap();
        assert_eq!((attention.layers(), attention.heads()), (6, 12));
        assert_eq!(attention.tokens(), explanation.tokens().len());
        for (layer, head) in (0..6).flat_map(|layer| (0..12).map(move |head| (layer, head))) {
            let weights = attention.head(layer, head).unwrap();
            for row in weights.chunks_exact(attention.tokens()) {
                assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            }
            let mean = attention.mean(layer).unwrap();
            let heads = (0..12).map(|head| attention.head(layer, head).unwrap()[0]);
            assert!((mean[0] - heads.sum::<f32>() / 12.0).abs() < 1e-6);
        }
        assert!((attention.rollout().iter().sum::<f32>() - 1.0).abs() < 1e-5);
        let error = explanation.by_word(&attention.rollout()[1..]).unwrap_err();
        assert!(matches!(error, Error::TokenValueCount { .. }), "{error}");
        for (layer, head) in [(6, 0), (0, 12)] {
            let error = attention.head(layer, head).unwrap_err();
            assert!(
                matches!(error, Error::NoAttentionHead { layers: 6, heads: 12, .. }),
                "{error}"
            );
        }
    }
}

#[test]
fn relevances_sum_to_the_logit_without_biases() {
    let mut model = GeneratedModel::small();
    for (name, tensor) in &mut model.tensors {
        if name.ends_with(".bias") {
            tensor.bytes.fill(0);
        }
    }
    let folder = TempDir::new().unwrap();
    model.write(folder.path());
    let classifier = Classifier::builder(folder.path()).build().unwrap();
    let rows: Vec<Vec<u32>> = (1..40).map(|length| (1..=length).collect()).collect();
    let batch = TokenBatch::from_rows(&rows).unwrap();
    for explanation in classifier.explain_tokens(&batch, &ExplainOptions::default()).unwrap() {
        assert_eq!(explanation.ledger().total(), 0.0);
        let sum: f64 = relevances(&explanation).iter().map(|&r| f64::from(r)).sum();
        let logit = f64::from(explanation.logit());
        assert!((sum - logit).abs() <= 1e-5 * logit.abs().max(1.0), "{sum} of {logit}");
    }
}

/// The toy model has known answers: good words count for one label, bad words for the other.
#[test]
fn decisive_words_have_the_most_relevance() {
    let models = Model::all();
    let toy = models.iter().find(|model| model.name() == "toy").unwrap();
    let classifier = Classifier::builder(toy.folder()).build().unwrap();
    let options = ExplainOptions::default().target(Target::label("label 1"));
    let all = METHODS.into_iter().chain([Method::IntegratedGradients { steps: 50 }]);
    for method in all {
        let (mut good, mut bad, mut plain) = (Vec::new(), Vec::new(), Vec::new());
        for row in toy.rows() {
            for token in explain(&classifier, row, &options.clone().method(method)).tokens() {
                match token.id {
                    4..10 => good.push(token.relevance),
                    10..16 => bad.push(token.relevance),
                    16.. => plain.push(token.relevance),
                    _ => (),
                }
            }
        }
        let mean = |relevances: &[f32]| relevances.iter().sum::<f32>() / relevances.len() as f32;
        let (good, bad, plain) = (mean(&good), mean(&bad), mean(&plain));
        println!("{method}: good {good:.2}, bad {bad:.2}, plain {plain:.2}");
        assert!(good > 0.0 && bad < 0.0, "{method}: good {good}, bad {bad}");
        assert!(plain.abs() < good.min(-bad) / 2.0, "{method}: plain {plain}");
    }
}

fn bits(explanation: &Explanation) -> Vec<u32> {
    let values = relevances(explanation);
    let logits = explanation.prediction().logits();
    values.iter().chain(logits).map(|value| value.to_bits()).collect()
}

/// Explains every row in shuffled batches on 1 to 3 threads, and compares it with the row alone.
#[test]
fn relevances_are_bit_identical_in_any_batch_and_on_any_threads() {
    let mut config = GeneratedModel::small().config;
    for (field, value) in
        [("dim", 36), ("n_heads", 3), ("hidden_dim", 53), ("max_position_embeddings", 120)]
    {
        config[field] = value.into();
    }
    let folder = TempDir::new().unwrap();
    GeneratedModel::new(config, 11).write(folder.path());
    let mut dice = Dice(3);
    let rows: Vec<Vec<u32>> =
        (0..60).map(|_| (0..=dice.below(120)).map(|_| dice.below(120) as u32).collect()).collect();
    let explain = |classifier: &Classifier, rows: &[&Vec<u32>], method| {
        let batch = TokenBatch::from_rows(rows).unwrap();
        let options = ExplainOptions::default().method(method);
        let explanations = classifier.explain_tokens(&batch, &options).unwrap();
        assert_eq!(
            classifier.logits(&batch).unwrap(),
            explanations.iter().flat_map(|e| e.prediction().logits()).copied().collect::<Vec<_>>(),
            "other logits"
        );
        explanations
    };
    let all = METHODS.into_iter().chain([Method::IntegratedGradients { steps: 3 }]);
    for (set, method) in
        InstructionSet::detected().into_iter().flat_map(|set| all.clone().map(move |m| (set, m)))
    {
        let classifier = |threads| {
            let builder = Classifier::builder(folder.path()).instruction_set(set);
            builder.threads(threads).build().unwrap()
        };
        let one = classifier(1);
        let alone: Vec<Explanation> =
            rows.iter().map(|row| explain(&one, &[row], method).remove(0)).collect();
        for threads in 1..=3 {
            let many = classifier(threads);
            let mut order: Vec<usize> = (0..rows.len()).collect();
            dice.shuffle(&mut order);
            for batch in order.chunks(1 + dice.below(40)) {
                let batch_rows: Vec<&Vec<u32>> = batch.iter().map(|&row| &rows[row]).collect();
                for (&row, found) in batch.iter().zip(explain(&many, &batch_rows, method)) {
                    let place = format!("row {row}, {method} on {set}, {threads} threads");
                    assert_eq!(bits(&found), bits(&alone[row]), "{place}");
                    assert_eq!(found.ledger(), alone[row].ledger(), "{place}");
                }
            }
        }
    }
}

/// Several threads may make the first explanation at the same time, which initializes shared state, even from within the
/// thread pool that computes it.
#[test]
fn supports_concurrent_callers() {
    use rayon::prelude::*;
    let pool = std::sync::Arc::new(rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap());
    let rows: Vec<Vec<u32>> = (2..40).map(|length| (1000..1000 + length).collect()).collect();
    let explain = |classifier: &Classifier, row: &Vec<u32>| {
        let batch = TokenBatch::from_rows(&[row]).unwrap();
        bits(&classifier.explain_tokens(&batch, &ExplainOptions::default()).unwrap()[0])
    };
    let builder = || Classifier::builder(bundled_model());
    let alone = builder().threads(1).build().unwrap();
    let expected: Vec<_> = rows.iter().map(|row| explain(&alone, row)).collect();
    let own = builder().threads(2).build().unwrap();
    let shared = builder().thread_pool(pool.clone()).build().unwrap();
    for classifier in [own, shared] {
        let found: Vec<_> =
            pool.install(|| rows.par_iter().map(|row| explain(&classifier, row)).collect());
        assert!(found == expected);
    }
}

/// 16-bit weights are widened as they are read, so an f16 checkpoint loses nothing.
#[test]
fn f16_and_f32_checkpoints_give_the_same_relevances() {
    let folder = TempDir::new().unwrap();
    GeneratedModel::small().stored_as(Dtype::F16).write(folder.path());
    let rows: Vec<Vec<u32>> = (1..40).map(|length| (1..=length).collect()).collect();
    let batch = TokenBatch::from_rows(&rows).unwrap();
    for set in InstructionSet::detected() {
        for method in METHODS {
            let [f32, f16] = [Precision::F32, Precision::F16].map(|precision| {
                let builder = Classifier::builder(folder.path()).instruction_set(set);
                let classifier = builder.precision(precision).build().unwrap();
                let options = ExplainOptions::default().method(method);
                classifier.explain_tokens(&batch, &options).unwrap()
            });
            assert!(f32 == f16, "{method} on {set}");
        }
    }
}

#[test]
fn rejects_invalid_targets_and_models() {
    let classifier = Classifier::builder(bundled_model()).build().unwrap();
    let batch = TokenBatch::from_rows(&[[101, 2307, 102]]).unwrap();
    let refused = |classifier: &Classifier, options: &ExplainOptions| {
        classifier.explain_tokens(&batch, options).unwrap_err()
    };
    let target = |target| ExplainOptions::default().target(target);
    match refused(&classifier, &target(Target::label("joy"))) {
        Error::UnknownLabel { requested, labels } => {
            assert_eq!(requested, "joy");
            assert_eq!(labels, classifier.labels());
        }
        other => panic!("{other}"),
    }
    let error = refused(&classifier, &target(Target::against("fear", "joy")));
    assert!(matches!(error, Error::UnknownLabel { .. }), "{error}");
    let error = refused(&classifier, &target(Target::against("fear", "fear")));
    assert!(matches!(error, Error::SameLabel { .. }), "{error}");
    let error = refused(
        &classifier,
        &ExplainOptions::default().method(Method::IntegratedGradients { steps: 0 }),
    );
    assert!(matches!(error, Error::NoSteps), "{error}");
    let int8 = Classifier::builder(bundled_model()).precision(Precision::Int8).build().unwrap();
    let error = refused(&int8, &ExplainOptions::default());
    assert!(matches!(error, Error::NoBackwardPass { found: Precision::Int8, .. }), "{error}");
    let wrong = TokenBatch::from_rows(&[[101, 99_999, 102]]).unwrap();
    let error = classifier.explain_tokens(&wrong, &ExplainOptions::default()).unwrap_err();
    assert!(matches!(error, Error::TokenId { id: 99_999, .. }), "{error}");

    let folder = TempDir::new().unwrap();
    let mut config = GeneratedModel::small().config;
    config["id2label"] = serde_json::json!({"0": "value"});
    config["pad_token_id"] = 500.into();
    GeneratedModel::new(config, 1).write(folder.path());
    let regression = Classifier::builder(folder.path()).build().unwrap();
    let batch = TokenBatch::from_rows(&[[1, 7, 2]]).unwrap();
    let explain = |options: ExplainOptions| regression.explain_tokens(&batch, &options);
    let error = explain(ExplainOptions::default().objective(Objective::Probability)).unwrap_err();
    assert!(matches!(error, Error::NoProbability), "{error}");
    let steps = Method::IntegratedGradients { steps: 1 };
    let error = explain(ExplainOptions::default().method(steps)).unwrap_err();
    assert!(matches!(error, Error::TokenId { id: 500, .. }), "missing [PAD]: {error}");
    let explanation = explain(ExplainOptions::default()).unwrap().remove(0);
    assert_eq!((explanation.target(), explanation.score()), ("value", explanation.logit()));
}

#[cfg(feature = "text")]
mod text {
    use distilbert::Truncation;

    use super::*;

    /// Returns real texts of all lengths up to the limit.
    fn texts() -> Vec<String> {
        let goldens = golden("bundled.json");
        let text = |case: &Value| case["text"].as_str().unwrap().to_owned();
        list(&goldens["cases"]).iter().map(text).collect()
    }

    #[test]
    fn relevance_is_conserved_on_real_texts() {
        let classifier = Classifier::builder(bundled_model()).build().unwrap();
        let texts = texts();
        assert!(texts.len() >= 100);
        for method in METHODS {
            for objective in [Objective::Logit, Objective::Probability] {
                let options = ExplainOptions::default().method(method).objective(objective);
                let explanations = classifier.explain_batch(&texts, &options).unwrap();
                let part =
                    |e: &Explanation| e.unexplained().abs() / f64::from(e.logit().abs()).max(1.0);
                let worst = explanations.iter().map(part).fold(0.0, f64::max);
                println!("{method} of the {objective:?}: {worst:.1e} of the logit is unexplained");
                assert!(worst <= 1e-4);
            }
        }
    }

    #[test]
    fn integrated_gradients_converge_with_a_hundred_steps() {
        let classifier = Classifier::builder(bundled_model()).build().unwrap();
        let options = ExplainOptions::default().method(Method::IntegratedGradients { steps: 100 });
        let texts: Vec<String> =
            texts().into_iter().filter(|text| text.len() < 300).take(100).collect();
        let explanations = classifier.explain_batch(&texts, &options).unwrap();
        let part = |e: &Explanation| e.unexplained().abs() / f64::from(e.logit().abs()).max(1.0);
        let mut parts: Vec<f64> = explanations.iter().map(part).collect();
        parts.sort_by(f64::total_cmp);
        assert_eq!(parts.len(), 100);
        let [median, most, worst] = [50, 90, 99].map(|at| format!("{:.1e}", parts[at]));
        println!("unexplained share of the logit: median {median}, 90 % {most}, at most {worst}");
        assert!(parts[99] <= 1e-4);
    }

    #[test]
    fn more_steps_leave_less_unexplained() {
        let classifier = Classifier::builder(bundled_model()).build().unwrap();
        let texts: Vec<String> =
            texts().into_iter().step_by(12).filter(|t| t.len() < 200).collect();
        let mean = |steps| {
            let options = ExplainOptions::default().method(Method::IntegratedGradients { steps });
            let explanations = classifier.explain_batch(&texts, &options).unwrap();
            explanations.iter().map(|e| e.unexplained().abs()).sum::<f64>() / texts.len() as f64
        };
        let means = [5, 20, 80].map(mean);
        println!(
            "{} texts, unexplained with 5, 20 and 80 steps: {}",
            texts.len(),
            means.map(|mean| format!("{mean:.1e}")).join(", ")
        );
        assert!(means[1] < means[0] / 4.0 && means[2] < means[1] / 4.0);
    }

    #[test]
    fn token_and_word_offsets_match_the_text() {
        let classifier = Classifier::builder(bundled_model()).build().unwrap();
        for text in texts() {
            let explanation = classifier.explain(&text, &ExplainOptions::default()).unwrap();
            assert_eq!(explanation.prediction(), &classifier.classify(&text).unwrap());
            let tokens = explanation.tokens();
            let text_tokens = 1..tokens.len() - 1;
            assert_eq!((tokens[0].text.as_str(), &tokens[0].bytes), ("[CLS]", &(0..0)));
            assert_eq!(tokens[text_tokens.end].text, "[SEP]");
            let mut next = 1;
            for word in explanation.words() {
                assert_eq!(word.text, text[word.bytes.clone()]);
                assert_eq!(text[..word.bytes.start].chars().count(), word.start);
                assert_eq!(text[..word.bytes.end].chars().count(), word.end);
                assert_eq!(word.tokens.start, next, "every token must belong to one word");
                next = word.tokens.end;
                let pieces = &tokens[word.tokens.clone()];
                let sum: f32 = pieces.iter().map(|piece| piece.relevance).sum();
                assert!((sum - word.relevance).abs() <= 1e-6 * (1.0 + sum.abs()));
                for piece in pieces {
                    assert!(word.start <= piece.start && piece.end <= word.end);
                    assert!(!text[piece.bytes.clone()].is_empty());
                }
            }
            assert_eq!(next, text_tokens.end);
        }
    }

    #[test]
    fn truncates_or_rejects_long_texts() {
        let text = "I was so happy at first. ".repeat(100);
        let explain = |truncation, text: &str| {
            let builder = Classifier::builder(bundled_model()).truncation(truncation);
            builder.build().unwrap().explain(text, &ExplainOptions::default())
        };
        let cut = explain(Truncation::Right, &text).unwrap();
        assert_eq!(cut.tokens().len(), 512);
        assert!(cut.prediction().truncated());
        let error = explain(Truncation::Error, &text).unwrap_err();
        assert!(matches!(error, Error::TooManyTokens { limit: 512, .. }), "{error}");
        let windows = Truncation::Windows { stride: 50 };
        let error = explain(windows, &text).unwrap_err();
        assert!(matches!(error, Error::ManyWindows { tokens: 702, limit: 512, .. }), "{error}");
        assert_eq!(
            explain(windows, "short").unwrap(),
            explain(Truncation::Right, "short").unwrap()
        );
    }
}
