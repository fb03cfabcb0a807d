//! Explanations of real texts, and invalid requests.

use super::*;

#[test]
fn rejects_invalid_targets_and_models() {
    let classifier = Classifier::builder(bundled_model()).build().unwrap();
    let batch = TokenBatch::from_rows(&[[101, 2307, 102]]).unwrap();
    let refused = |classifier: &Classifier, options: &ExplainOptions| {
        classifier.explain_tokens(&batch, options).unwrap_err()
    };
    let target = |target| ExplainOptions::default().target(target);
    match refused(&classifier, &target(Target::label("joy"))) {
        Error::Explain(ExplainError::UnknownLabel { requested, labels }) => {
            assert_eq!(requested, "joy");
            assert_eq!(labels, classifier.labels());
        }
        other => panic!("{other}"),
    }
    let error = refused(&classifier, &target(Target::against("fear", "joy")));
    assert!(matches!(error, Error::Explain(ExplainError::UnknownLabel { .. })), "{error}");
    let error = refused(&classifier, &target(Target::against("fear", "fear")));
    assert!(matches!(error, Error::Explain(ExplainError::SameLabel { .. })), "{error}");
    let error = refused(
        &classifier,
        &ExplainOptions::default().method(Method::IntegratedGradients { steps: 0 }),
    );
    assert!(matches!(error, Error::Explain(ExplainError::NoSteps)), "{error}");
    for found in [Method::MAX_STEPS + 1, 1_000_000_000_000, usize::MAX] {
        let method = Method::IntegratedGradients { steps: found };
        let error = refused(&classifier, &ExplainOptions::default().method(method));
        let Error::Explain(ExplainError::TooManySteps { found: named, limit }) = error else {
            panic!("{error}");
        };
        assert_eq!((named, limit), (found, Method::MAX_STEPS));
    }
    let int8 = Classifier::builder(bundled_model()).precision(Precision::Int8).build().unwrap();
    let error = refused(&int8, &ExplainOptions::default());
    assert!(
        matches!(
            error,
            Error::Explain(ExplainError::NoBackwardPass { found: Precision::Int8, .. })
        ),
        "{error}"
    );
    let wrong = TokenBatch::from_rows(&[[101, 99_999, 102]]).unwrap();
    let error = classifier.explain_tokens(&wrong, &ExplainOptions::default()).unwrap_err();
    assert!(matches!(error, Error::Input(InputError::TokenId { id: 99_999, .. })), "{error}");

    let folder = TempDir::new().unwrap();
    let mut config = GeneratedModel::small().config;
    config["id2label"] = serde_json::json!({"0": "value"});
    config["problem_type"] = "regression".into();
    config["pad_token_id"] = 500.into();
    GeneratedModel::new(config, 1).write(folder.path());
    let regression = Classifier::builder(folder.path()).build().unwrap();
    let batch = TokenBatch::from_rows(&[[1, 7, 2]]).unwrap();
    let explain = |options: ExplainOptions| regression.explain_tokens(&batch, &options);
    let error = explain(ExplainOptions::default().objective(Objective::Probability)).unwrap_err();
    assert!(matches!(error, Error::Explain(ExplainError::NoProbability)), "{error}");
    let steps = Method::IntegratedGradients { steps: 1 };
    let error = explain(ExplainOptions::default().method(steps)).unwrap_err();
    assert!(
        matches!(error, Error::Input(InputError::TokenId { id: 500, .. })),
        "missing [PAD]: {error}"
    );
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
        println!("unexplained share of the logit: median {median}, 90% {most}, at most {worst}");
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
        assert!(
            matches!(error, Error::Input(InputError::TooManyTokens { limit: 512, .. })),
            "{error}"
        );
        let windows = Truncation::Windows { stride: 50, max_windows: None };
        let error = explain(windows, &text).unwrap_err();
        assert!(
            matches!(
                error,
                Error::Explain(ExplainError::ManyWindows { tokens: Some(702), limit: 512, .. })
            ),
            "{error}"
        );
        assert_eq!(
            explain(windows, "short").unwrap(),
            explain(Truncation::Right, "short").unwrap()
        );
    }
}
