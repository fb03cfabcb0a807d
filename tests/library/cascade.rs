//! Cascades: every row is answered by int8 or by f32, as its own logits in int8 decide.

use distilbert::{
    Classifier, Device, DeviceError, Error, Margin, Precision, PrecisionError, Prediction,
    TokenBatch, convert, quantize,
};
use tempfile::TempDir;
use test_support::generator::GeneratedModel;
use test_support::{bundled_model, token_goldens};

fn cascade(margin: f32) -> Precision {
    Precision::Cascade { margin: Margin::new(margin).unwrap() }
}

fn bundled(precision: Precision, threads: usize) -> Classifier {
    Classifier::builder(bundled_model()).precision(precision).threads(threads).build().unwrap()
}

fn rows() -> Vec<Vec<u32>> {
    let ids = token_goldens().into_iter().map(|(_, ids)| ids);
    ids.filter(|ids| ids.len() <= 24).step_by(12).take(50).collect()
}

/// Checks that a cascade gives each row's prediction in int8, or if that has a smaller margin, in f32; returns the number
/// of rows in f32.
fn check(classifiers: [&Classifier; 3], batch: &TokenBatch, margin: f32) -> usize {
    let [int8, f32, cascade] = classifiers.map(|found| found.classify_tokens(batch).unwrap());
    let mut again = 0;
    for (row, found) in cascade.iter().enumerate() {
        let stands = int8[row].margin() >= margin;
        again += usize::from(!stands);
        assert_eq!(
            found,
            if stands { &int8[row] } else { &f32[row] },
            "row {row}, margin {margin}"
        );
    }
    let logits: Vec<f32> = cascade.iter().flat_map(Prediction::logits).copied().collect();
    assert_eq!(classifiers[2].logits(batch).unwrap(), logits);
    again
}

#[test]
fn rows_below_the_margin_are_computed_in_f32() {
    let batch = TokenBatch::from_rows(&rows()).unwrap();
    let [int8, f32] = [Precision::Int8, Precision::F32].map(|other| bundled(other, 1));
    let mut before = 0;
    for (margin, threads) in [(0.0, 1), (0.25, 1), (1.5, 2), (1e9, 1)] {
        let found = bundled(cascade(margin), threads);
        assert_eq!(found.info().precision, cascade(margin));
        let again = check([&int8, &f32, &found], &batch, margin);
        assert!(again >= before, "{again} rows are below {margin}");
        before = again;
        match margin {
            0.0 => assert_eq!(again, 0),
            0.25 | 1.5 => assert!(again > 0 && again < batch.rows(), "{again} at {margin}"),
            _ => assert_eq!(again, batch.rows()),
        }
    }
}

#[test]
fn predictions_name_the_precision_that_answered() {
    let batch = TokenBatch::from_rows(&rows()).unwrap();
    for precision in [Precision::F32, Precision::F16, Precision::Int8] {
        let found = bundled(precision, 1).classify_tokens(&batch).unwrap();
        assert!(found.iter().all(|found| found.precision() == precision));
    }
    let found = bundled(cascade(0.25), 1).classify_tokens(&batch).unwrap();
    let by = |precision| found.iter().filter(|found| found.precision() == precision).count();
    assert!(by(Precision::Int8) > 0 && by(Precision::F32) > 0);
    assert_eq!(by(Precision::Int8) + by(Precision::F32), batch.rows());
}

#[test]
fn rows_of_multi_label_models_are_decided_by_their_closest_logit() {
    let folder = TempDir::new().unwrap();
    let mut config = GeneratedModel::small().config;
    config["problem_type"] = "multi_label_classification".into();
    GeneratedModel::new(config, 3).write(folder.path());
    let rows: Vec<Vec<u32>> =
        (0..60).map(|row| (0..=row % 13).map(|at| (row * 7 + at * 11) % 120).collect()).collect();
    let batch = TokenBatch::from_rows(&rows).unwrap();
    let load = |precision| {
        Classifier::builder(folder.path()).precision(precision).threads(1).build().unwrap()
    };
    let [int8, f32] = [Precision::Int8, Precision::F32].map(load);
    let again = check([&int8, &f32, &load(cascade(0.5))], &batch, 0.5);
    assert!(again > 0 && again < rows.len(), "{again}");
    for found in int8.classify_tokens(&batch).unwrap() {
        let closest =
            found.logits().iter().fold(f32::INFINITY, |least, logit| least.min(logit.abs()));
        assert_eq!(found.margin(), closest);
    }
}

#[test]
fn concurrent_callers_get_the_same_bits() {
    let rows = rows();
    for threads in [1, 2] {
        let classifier = &bundled(cascade(1.0), threads);
        let logits =
            |row: &Vec<u32>| classifier.logits(&TokenBatch::from_rows(&[row]).unwrap()).unwrap();
        let expected: Vec<Vec<f32>> = rows.iter().take(20).map(logits).collect();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for (row, expected) in rows.iter().zip(&expected) {
                        assert_eq!(&logits(row), expected);
                    }
                });
            }
        });
    }
}

#[test]
fn checkpoint_in_int8_is_refused() {
    let folder = TempDir::new().unwrap();
    let copy = folder.path().join("copy");
    GeneratedModel::small().write(folder.path());
    quantize(folder.path(), &copy).unwrap();
    let error = Classifier::builder(&copy).precision(cascade(0.25)).build().unwrap_err();
    assert!(matches!(error, Error::Precision(PrecisionError::QuantizedCascade)), "{error}");
    assert!(error.to_string().contains("stores int8"), "{error}");
}

#[test]
fn regression_is_refused() {
    let folder = TempDir::new().unwrap();
    let mut config = GeneratedModel::small().config;
    config["id2label"] = serde_json::json!({"0": "value"});
    config["problem_type"] = "regression".into();
    GeneratedModel::new(config, 1).write(folder.path());
    let error = Classifier::builder(folder.path()).precision(cascade(0.25)).build().unwrap_err();
    assert!(matches!(error, Error::Precision(PrecisionError::RegressionCascade)), "{error}");
    let batch = TokenBatch::from_rows(&[[1, 7, 2]]).unwrap();
    let regression = Classifier::builder(folder.path()).build().unwrap();
    assert_eq!(regression.classify_tokens(&batch).unwrap()[0].margin(), f32::INFINITY);
}

#[test]
fn weights_are_not_stored_as_a_cascade() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    GeneratedModel::small().write(folder.path());
    let error = convert(folder.path(), &out, cascade(0.5)).unwrap_err();
    assert!(matches!(error, Error::Precision(PrecisionError::NotStored { .. })), "{error}");
    assert!(error.to_string().contains("cascade:0.5"), "{error}");
    assert!(!out.exists());
}

#[test]
fn gpu_is_refused_before_it_is_opened() {
    let builder = Classifier::builder(bundled_model()).precision(cascade(0.25)).threads(1);
    let error = builder.clone().device(Device::Cuda(0)).build().unwrap_err();
    let refused = match cfg!(feature = "cuda") {
        true => matches!(error, Error::Device(DeviceError::CudaPrecision { .. })),
        false => matches!(error, Error::Device(DeviceError::CudaNotBuilt)),
    };
    assert!(refused, "{error}");
    assert_eq!(builder.device(Device::Auto).build().unwrap().info().device, Device::Cpu);
}

#[cfg(feature = "text")]
mod texts {
    use distilbert::{ClassifyOptions, InputError, Truncation};

    use super::*;

    const TEXTS: [&str; 6] = [
        "I can't believe we won!",
        "So sad.",
        "What?!",
        "I miss you so much.",
        "It rained, and then I missed him.",
        "Is this in New Orleans?",
    ];

    #[test]
    fn texts_match_rows_of_token_ids() {
        let classifier = bundled(cascade(2.0), 1);
        let tokenizer = classifier.tokenizer().unwrap();
        let ids = |text: &str| [vec![101], tokenizer.encode(text).unwrap().ids, vec![102]].concat();
        let rows: Vec<Vec<u32>> = TEXTS.iter().map(|text| ids(text)).collect();
        let expected = classifier.classify_tokens(&TokenBatch::from_rows(&rows).unwrap()).unwrap();
        let found = classifier.classify_batch(&TEXTS).unwrap();
        assert_eq!(found, expected);
        let count = found.iter().filter(|found| found.precision() == Precision::F32).count();
        assert!(count > 0 && count < TEXTS.len(), "{count}");
        for (text, expected) in TEXTS.iter().zip(&expected) {
            assert_eq!(&classifier.classify(text).unwrap(), expected);
        }
    }

    #[test]
    fn text_that_fails_leaves_the_others_alone() {
        let classifier = bundled(cascade(2.0), 1);
        let book = "We won! ".repeat(1000);
        let texts: Vec<&str> = TEXTS.iter().copied().chain([book.as_str()]).chain(TEXTS).collect();
        let options = ClassifyOptions::default().truncation(Truncation::Error);
        let mut found = classifier.classify_each(&texts, &options).unwrap();
        let failed = found.remove(TEXTS.len());
        assert!(matches!(failed, Err(InputError::TooManyTokens { row: 6, .. })), "{failed:?}");
        let expected = classifier.classify_batch(&TEXTS).unwrap();
        let found: Vec<Prediction> = found.into_iter().map(Result::unwrap).collect();
        assert_eq!(found, [expected.clone(), expected].concat());
    }

    /// The windows of a text have margins of their own, but its labels are decided by their average.
    #[test]
    fn all_windows_of_a_text_have_one_precision() {
        let book = "I am so happy, we won! ".repeat(40) + &"Now he is dead and I cry. ".repeat(50);
        let windows = Truncation::Windows { stride: 16, max_windows: None };
        let options = ClassifyOptions::default().truncation(windows);
        let classify = |precision| bundled(precision, 1).classify_with(&book, &options).unwrap();
        let [int8, f32] = [Precision::Int8, Precision::F32].map(classify);
        assert!(int8.tokens() > 512 && int8.logits() != f32.logits());
        let margin = int8.margin();
        let scores = [int8.top_k(2)[0].1, int8.top_k(2)[1].1].map(f64::from);
        assert!((f64::from(margin) - (scores[0] / scores[1]).ln()).abs() < 1e-5, "{margin}");
        assert_eq!(classify(cascade(margin)), int8);
        assert_eq!(classify(cascade(margin.next_up())), f32);
        assert_eq!(classify(cascade(margin.next_up())).precision(), Precision::F32);
    }

    #[cfg(feature = "explain")]
    #[test]
    fn explanations_are_those_of_f32() {
        use distilbert::explain::{ExplainOptions, PerturbOptions, Replacement};

        let [f32, found] = [Precision::F32, cascade(0.25)].map(|precision| bundled(precision, 1));
        for text in &TEXTS[..2] {
            let options = ExplainOptions::default().attention(true);
            let [expected, explanation] =
                [&f32, &found].map(|classifier| classifier.explain(text, &options).unwrap());
            assert_eq!(explanation, expected);
            assert_eq!(explanation.prediction().precision(), Precision::F32);
            let [expected, curve] = [&f32, &found].map(|classifier| {
                classifier.perturb(&explanation, &PerturbOptions::default()).unwrap()
            });
            assert_eq!(curve, expected);
            let [expected, lost] = [&f32, &found]
                .map(|classifier| classifier.occlusion(&explanation, Replacement::Pad).unwrap());
            assert_eq!(lost, expected);
        }
    }
}
