//! Handling of rows: order, mistakes, lengths, and invalid input.

use super::*;

#[test]
fn row_order_does_not_matter() {
    each_case(|_, data| {
        let of = |order: &[usize]| {
            let mut evaluation =
                Evaluation::new(&data.labels, data.kind, &quick().mistakes(40)).unwrap();
            for &row in order {
                let (truth, scores) = (&data.truth[row], &data.scores[row]);
                let row = Row::new(truth, scores).number(row).tokens(row % 70);
                evaluation.push(&row).unwrap();
            }
            evaluation.report().unwrap()
        };
        let mut order: Vec<usize> = (0..data.truth.len()).collect();
        let first = of(&order);
        Dice(7).shuffle(&mut order);
        let second = of(&order);
        assert_eq!(format!("{first:.12}"), format!("{second:.12}"));
        assert_eq!(first.classes(), second.classes());
        assert_eq!(first.confusion(), second.confusion());
        assert_eq!(first.confused_pairs(), second.confused_pairs());
        assert_eq!(first.mistakes(), second.mistakes());
        assert_eq!(first.lengths(), second.lengths());
        assert_close(first.log_loss(), second.log_loss());
        let errors = [&first, &second].map(|report| report.calibration().expected_error());
        assert!((errors[0] - errors[1]).abs() < 1e-12);
    });
}

#[test]
fn reports_the_most_confident_mistakes() {
    let check = |data: &Data, keep: usize| {
        let report = data.report(&quick().mistakes(keep));
        let mut expected: Vec<(usize, f32)> = Vec::new();
        for row in 0..data.truth.len() {
            let labels = 0..data.labels.len();
            let wrong =
                |&label: &usize| data.truth[row].contains(&label) != data.predicts(row, label);
            let confidence = |label: usize| match data.predicts(row, label) {
                true => data.scores[row][label],
                false if report.is_multi_label() => 1.0 - data.scores[row][label],
                false => 0.0,
            };
            if let Some(most) = labels.filter(wrong).map(confidence).reduce(f32::max) {
                expected.push((row, most));
            }
        }
        let share = 1.0 - expected.len() as f64 / data.truth.len() as f64;
        assert!((report.accuracy().value - share).abs() < 1e-12);
        expected.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        expected.truncate(keep);
        let found = report.mistakes().iter().map(|mistake| (mistake.row, mistake.confidence));
        assert_eq!(found.collect::<Vec<_>>(), expected);
        for Mistake { row, truth, predicted, text, .. } in report.mistakes() {
            assert_eq!(*truth, data.truth[*row]);
            let labels = (0..data.labels.len()).filter(|&label| data.predicts(*row, label));
            assert!(predicted.iter().copied().eq(labels));
            assert_eq!(*text, None);
        }
    };
    each_case(|_, data| [0, 25, usize::MAX].into_iter().for_each(|keep| check(data, keep)));
}

#[test]
fn lengths_count_rows_and_mistakes() {
    let labels = ["a", "b"].map(str::to_owned);
    let kind = ProblemType::SingleLabelClassification;
    let mut evaluation = Evaluation::new(&labels, kind, &quick().mistakes(1)).unwrap();
    for (tokens, truth) in [(3, 0), (8, 1), (9, 0), (16, 1), (17, 0), (200, 1)] {
        let truth = [truth];
        let row = Row::new(&truth, &[0.9, 0.1]).tokens(tokens).text("some text").number(tokens);
        evaluation.push(&row).unwrap();
    }
    evaluation.push(&Row::new(&[1], &[0.8, 0.2])).unwrap();
    let report = evaluation.report().unwrap();
    let lengths = report.lengths().iter();
    let lengths: Vec<_> = lengths.map(|of| (of.from, of.to, of.rows, of.mistakes)).collect();
    assert_eq!(lengths, [(0, 8, 2, 1), (9, 16, 2, 1), (17, 32, 1, 0), (129, 256, 1, 1)]);
    let [Mistake { row: 8, text: Some(text), .. }] = report.mistakes() else {
        panic!("{:?}", report.mistakes())
    };
    assert_eq!(text, "some text");
}

#[test]
fn log_loss_clips_as_scikit_learn_does() {
    let labels = ["a", "b"].map(str::to_owned);
    for (kind, truth, loss) in [
        (ProblemType::SingleLabelClassification, &[1][..], 36.043_653_389_117_15),
        (ProblemType::SingleLabelClassification, &[0], 2.220_446_049_250_313e-16),
        (ProblemType::MultiLabelClassification, &[1], 36.043_653_389_117_15),
        (ProblemType::MultiLabelClassification, &[0], 2.220_446_049_250_313e-16),
    ] {
        let mut evaluation = Evaluation::new(&labels, kind, &quick()).unwrap();
        evaluation.push(&Row::new(truth, &[1.0, 0.0])).unwrap();
        assert_close(evaluation.report().unwrap().log_loss(), loss);
    }
}

#[test]
fn rejects_invalid_options_and_rows() {
    let labels = ["a", "b", "c"].map(str::to_owned);
    let [single, multi] =
        [ProblemType::SingleLabelClassification, ProblemType::MultiLabelClassification];
    let new = |labels: &[String], kind, options| {
        Evaluation::new(labels, kind, &options).map(|_| ()).unwrap_err()
    };
    let options = EvaluationOptions::default;
    assert!(matches!(new(&labels, ProblemType::Regression, options()), Error::NotClassification));
    assert!(matches!(new(&[], single, options()), Error::NoLabels));
    for bins in [0, 1001, usize::MAX] {
        assert!(matches!(
            new(&labels, single, options().bins(bins)),
            Error::BinCount { found, limit: 1000 } if found == bins
        ));
    }
    assert!(matches!(new(&labels, multi, options().resamples(0)), Error::NoResamples));
    let too_many = new(&labels, multi, options().resamples(1_000_001));
    assert!(matches!(too_many, Error::TooMany { found: 1_000_001, .. }), "{too_many}");
    let many = vec![String::from("a"); 8193];
    let too_many = new(&many, single, options());
    assert_eq!(
        too_many.to_string(),
        "expected at most 8192 labels of a single-label model, found 8193"
    );
    assert!(Evaluation::new(&many, multi, &options()).is_ok());

    for kind in [single, multi] {
        let mut evaluation = Evaluation::new(&labels, kind, &options()).unwrap();
        assert!(matches!(evaluation.report(), Err(Error::NothingToEvaluate)));
        let good: [f32; 3] = [0.5, 0.25, 0.25];
        evaluation.push(&Row::new(&[0], &good)).unwrap();
        let refused = |evaluation: &mut Evaluation, truth: &[usize], scores: &[f32]| {
            evaluation.push(&Row::new(truth, scores).number(17)).unwrap_err().to_string()
        };
        assert_eq!(
            refused(&mut evaluation, &[3], &good),
            "row 17 has the label id 3, but the model has 3 labels, numbered from 0"
        );
        assert_eq!(
            refused(&mut evaluation, &[0], &good[..2]),
            "row 17 should have 3 scores, one for each label, found 2"
        );
        for bad in [f32::NAN, -0.1, 1.1, f32::INFINITY] {
            assert_eq!(
                refused(&mut evaluation, &[0], &[0.5, bad, 0.5]),
                format!("row 17 should have a probability from 0 to 1 for `b`, found {bad}")
            );
        }
        for truth in [&[][..], &[0, 1]] {
            match evaluation.push(&Row::new(truth, &good)) {
                Err(Error::TrueLabelCount { row: 1, found }) if kind == single => {
                    assert_eq!(found, truth.len());
                }
                outcome => outcome.unwrap(),
            }
        }
        let rows = if kind == single { 1 } else { 3 };
        assert_eq!(evaluation.report().unwrap().rows(), rows);
    }
}

/// A true label that is given twice counts once.
#[test]
fn duplicate_true_labels_count_once() {
    let labels = ["a", "b"].map(str::to_owned);
    let kind = ProblemType::MultiLabelClassification;
    let of = |truth: &[usize]| {
        let mut evaluation = Evaluation::new(&labels, kind, &quick()).unwrap();
        evaluation.push(&Row::new(truth, &[0.2, 0.7])).unwrap();
        evaluation.report().unwrap()
    };
    assert_eq!(of(&[1, 0, 1]).classes(), of(&[0, 1]).classes());
    assert_eq!(of(&[1, 1]).accuracy().value, 1.0);
}
