//! Perturbation: each result against texts that are classified one at a time.

#![cfg(feature = "text")]

use distilbert::explain::{
    ExplainOptions, Explanation, Method, Order, PerturbOptions, Replacement, Target,
};
use distilbert::{Classifier, Error, ExplainError, Precision, Prediction, TokenBatch};
use serde_json::Value;
use tempfile::TempDir;
use test_support::generator::GeneratedModel;
use test_support::{Dice, bundled_model, golden, list};

const REPLACEMENTS: [(Replacement, Option<u32>); 4] = [
    (Replacement::Pad, Some(0)),
    (Replacement::Unk, Some(100)),
    (Replacement::Mask, Some(103)),
    (Replacement::Delete, None),
];

/// Returns a sample of the texts, without the longest ones, whose variants would take minutes one at a time.
fn texts(step: usize) -> Vec<String> {
    let goldens = golden("bundled.json");
    let text = |case: &Value| case["text"].as_str().unwrap().to_owned();
    let texts = list(&goldens["cases"]).iter().step_by(step).map(text);
    texts.filter(|text| text.len() < 300).collect()
}

/// Predicts a text without some of its words, from ids assembled here.
fn without(
    classifier: &Classifier,
    explanation: &Explanation,
    words: &[usize],
    id: Option<u32>,
) -> Prediction {
    let mut row = Vec::new();
    for (at, token) in explanation.tokens().iter().enumerate() {
        let is_gone = words.iter().any(|&word| explanation.words()[word].tokens.contains(&at));
        row.extend(if is_gone { id } else { Some(token.id) });
    }
    let batch = TokenBatch::from_rows(&[row]).unwrap();
    classifier.classify_tokens(&batch).unwrap().remove(0)
}

fn target_score(explanation: &Explanation, prediction: &Prediction) -> f32 {
    let label = prediction.labels().iter().position(|label| label == explanation.target());
    prediction.scores()[label.unwrap()]
}

/// Returns the words in descending order of their values; ties are in text order.
fn descending(values: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].partial_cmp(&values[a]).unwrap().then(a.cmp(&b)));
    order
}

fn relevances(explanation: &Explanation) -> Vec<f32> {
    explanation.words().iter().map(|word| word.relevance).collect()
}

#[test]
fn curve_matches_texts_without_the_words() {
    let classifier = Classifier::builder(bundled_model()).threads(2).build().unwrap();
    for (index, text) in texts(20).iter().enumerate() {
        let explanation = classifier.explain(text, &ExplainOptions::default()).unwrap();
        let words = explanation.words().len();
        let most = descending(&relevances(&explanation));
        let least: Vec<usize> = most.iter().rev().copied().collect();
        let (replacement, id) = REPLACEMENTS[index % 4];
        for (order, expected) in
            [(Order::MostRelevantFirst, most), (Order::LeastRelevantFirst, least)]
        {
            for steps in [3, 1000] {
                let options =
                    PerturbOptions::default().order(order).replacement(replacement).steps(steps);
                let curve = classifier.perturb(&explanation, &options).unwrap();
                assert_eq!(curve.order(), expected);
                let points = curve.points();
                assert_eq!(points.len(), words.min(steps) + 1);
                assert_eq!(points[0].replaced, 0);
                assert_eq!(points[0].logits, explanation.prediction().logits());
                assert_eq!(points[points.len() - 1].replaced, words);
                for pair in points.windows(2) {
                    let gone = pair[1].replaced - pair[0].replaced;
                    assert!(gone >= 1 && (steps < words || gone == 1), "{gone} words in one step");
                }
                for point in points {
                    let gone = &expected[..point.replaced];
                    let prediction = without(&classifier, &explanation, gone, id);
                    assert_eq!(point.logits, prediction.logits(), "{text}: {replacement:?}");
                    assert_eq!(point.score, target_score(&explanation, &prediction));
                    assert!((point.fraction * words as f64 - gone.len() as f64).abs() < 1e-9);
                }
                let area: f64 = points
                    .windows(2)
                    .map(|p| {
                        let width = p[1].fraction - p[0].fraction;
                        width * f64::from(p[0].score + p[1].score) / 2.0
                    })
                    .sum();
                assert!((curve.area_under() - area).abs() < 1e-6);
            }
        }
    }
}

#[test]
fn deletion_removes_words_from_the_text() {
    let classifier = Classifier::builder(bundled_model()).build().unwrap();
    for text in texts(15) {
        let explanation = classifier.explain(&text, &ExplainOptions::default()).unwrap();
        let random = PerturbOptions::default().order(Order::Random { seed: 3 });
        let options = random.replacement(Replacement::Delete).steps(5);
        let curve = classifier.perturb(&explanation, &options).unwrap();
        for point in curve.points() {
            let mut gone = curve.order()[..point.replaced].to_vec();
            gone.sort_unstable();
            let mut rest = text.clone();
            for &word in gone.iter().rev() {
                rest.replace_range(explanation.words()[word].bytes.clone(), " ");
            }
            // The remaining words must be tokenized as before.
            let ids = classifier.tokenizer().unwrap().encode(&rest).unwrap().ids;
            let kept = explanation.words().iter().enumerate();
            let kept = kept.filter(|(word, _)| !gone.contains(word));
            let tokens =
                |word: usize| &explanation.tokens()[explanation.words()[word].tokens.clone()];
            let expected: Vec<u32> =
                kept.flat_map(|(word, _)| tokens(word)).map(|t| t.id).collect();
            assert_eq!(ids, expected, "{rest:?}");
            assert_eq!(point.logits, classifier.classify(&rest).unwrap().logits());
        }
    }
}

#[test]
fn occlusion_matches_texts_without_one_word() {
    let classifier = Classifier::builder(bundled_model()).build().unwrap();
    for (index, text) in texts(30).iter().enumerate() {
        let (replacement, id) = REPLACEMENTS[index % 4];
        let options = ExplainOptions::default().target(Target::against("happiness", "anger"));
        let explanation = classifier.explain(text, &options).unwrap();
        let lost = classifier.occlusion(&explanation, replacement).unwrap();
        assert_eq!(lost.len(), explanation.words().len());
        let value = |p: &Prediction| {
            let logit = |label| {
                let at = p.labels().iter().position(|known| known == label).unwrap();
                f64::from(p.logits()[at])
            };
            logit("happiness") - logit("anger")
        };
        let whole = value(explanation.prediction());
        for (word, &lost) in lost.iter().enumerate() {
            let expected = whole - value(&without(&classifier, &explanation, &[word], id));
            assert!((f64::from(lost) - expected).abs() < 1e-6, "{text}: {word}");
        }
    }
}

/// Computes the measures from their definitions, one variant at a time.
#[test]
fn faithfulness_matches_its_definitions() {
    let classifier = Classifier::builder(bundled_model()).build().unwrap();
    for (index, text) in texts(30).iter().enumerate() {
        let (replacement, id) = REPLACEMENTS[index % 4];
        let explanation =
            classifier.explain(text, &ExplainOptions::default().method(Method::AttnLrp)).unwrap();
        let words = explanation.words().len();
        let mut dice = Dice(index as u64);
        let random: Vec<f32> = (0..words).map(|_| dice.below(2001) as f32 - 1000.0).collect();
        for given in [None, Some(&random[..])] {
            let values = given.map_or_else(|| relevances(&explanation), <[f32]>::to_vec);
            let found = classifier.faithfulness(&explanation, given, replacement).unwrap();
            let predict = |gone: &[usize]| without(&classifier, &explanation, gone, id);
            let score = |gone: &[usize]| f64::from(target_score(&explanation, &predict(gone)));
            let order = descending(&values);
            let mut smallest: Vec<usize> = (0..words).collect();
            smallest.sort_by(|&a, &b| {
                values[a].abs().partial_cmp(&values[b].abs()).unwrap().then(a.cmp(&b))
            });
            let count = |fraction: f64| (fraction * words as f64 - 1e-9).ceil().max(0.0) as usize;
            let area = |value: &dyn Fn(usize) -> f64| -> f64 {
                let heights: Vec<f64> =
                    (0..=10).map(|step| value(count(step as f64 / 10.0))).collect();
                heights.windows(2).map(|pair| (pair[0] + pair[1]) / 20.0).sum()
            };
            let squares = |gone: &[usize]| -> f64 {
                let (some, all) = (predict(gone), explanation.prediction());
                let pairs = some.logits().iter().zip(all.logits());
                pairs.map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
            };
            let fall = |gone: &dyn Fn(usize) -> f64| -> f64 {
                let percents = [0.01, 0.05, 0.1, 0.2, 0.5];
                percents.iter().map(|&p| score(&[]) - gone(count(p))).sum::<f64>() / 5.0
            };
            for (name, found, expected) in [
                ("auac", found.auac, area(&|k| score(&order[k..]))),
                ("morf", found.most_relevant_first, area(&|k| score(&order[..k]))),
                ("au_mse", found.au_mse, area(&|k| squares(&smallest[..k]))),
                ("comprehensiveness", found.comprehensiveness, fall(&|k| score(&order[..k]))),
                ("sufficiency", found.sufficiency, fall(&|k| score(&order[k..]))),
            ] {
                let error = (found - expected).abs();
                assert!(error <= 1e-9 * (1.0 + expected), "{text} {name}: {found}, {expected}");
            }
        }
    }
}

#[test]
fn perturbs_int8_classifier() {
    let [f32, int8] = [Precision::F32, Precision::Int8].map(|precision| {
        Classifier::builder(bundled_model()).precision(precision).build().unwrap()
    });
    let text = "I can't believe we won!";
    let explanation = f32.explain(text, &ExplainOptions::default()).unwrap();
    let curve = int8.perturb(&explanation, &PerturbOptions::default()).unwrap();
    assert_eq!(curve.points()[0].logits, int8.classify(text).unwrap().logits());
}

#[test]
fn handles_texts_with_fewer_than_two_words() {
    let classifier = Classifier::builder(bundled_model()).build().unwrap();
    for (text, words) in [("", 0), ("no", 1)] {
        let explanation = classifier.explain(text, &ExplainOptions::default()).unwrap();
        let curve = classifier.perturb(&explanation, &PerturbOptions::default()).unwrap();
        assert_eq!(curve.points().len(), words + 1);
        assert!(curve.area_under().is_finite() && curve.area_over().is_finite());
        let lost = classifier.occlusion(&explanation, Replacement::Delete).unwrap();
        assert_eq!(lost.len(), words);
        let found = classifier.faithfulness(&explanation, None, Replacement::Pad).unwrap();
        assert!(found.auac > 0.0 && found.au_mse >= 0.0);
    }
}

#[test]
fn rejects_invalid_perturbations() {
    let classifier = Classifier::builder(bundled_model()).build().unwrap();
    let explanation = classifier.explain("not bad", &ExplainOptions::default()).unwrap();
    let refused = |options: PerturbOptions| classifier.perturb(&explanation, &options).unwrap_err();
    let error = refused(PerturbOptions::default().steps(0));
    assert!(matches!(error, Error::Explain(ExplainError::NoSteps)), "{error}");
    let error = refused(PerturbOptions::default().relevances(vec![1.0; 3]));
    assert!(
        matches!(error, Error::Explain(ExplainError::RelevanceCount { expected: 2, found: 3 })),
        "{error}"
    );

    let folder = TempDir::new().unwrap();
    GeneratedModel::small().write(folder.path());
    let other = Classifier::builder(folder.path()).build().unwrap();
    let error = other.perturb(&explanation, &PerturbOptions::default()).unwrap_err();
    assert!(matches!(error, Error::Explain(ExplainError::OtherModel { .. })), "{error}");
    let own = other.explain("w7 w9", &ExplainOptions::default()).unwrap();
    let error = other.occlusion(&own, Replacement::Mask).unwrap_err();
    assert!(
        matches!(error, Error::Explain(ExplainError::NoToken { ref token }) if token == "[MASK]"),
        "{error}"
    );
    assert_eq!(other.occlusion(&own, Replacement::Unk).unwrap().len(), 2);
}
