//! Explanations against goldens, and conservation of relevance in small models.

use super::*;

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
        assert!(matches!(error, Error::Explain(ExplainError::TokenValueCount { .. })), "{error}");
        for (layer, head) in [(6, 0), (0, 12)] {
            let error = attention.head(layer, head).unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::Explain(ExplainError::NoAttentionHead { layers: 6, heads: 12, .. })
                ),
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
