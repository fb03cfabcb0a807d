//! Metrics of given predictions against goldens of scikit-learn.

use distilbert::ProblemType;
use distilbert_evaluate::{
    Average, Class, Confusion, Error, Estimate, Evaluation, EvaluationOptions, Mistake, Report,
    Row, Scores,
};
use serde_json::Value;

use test_support::{Dice, golden, list, numbers};

/// Predictions with their true labels.
pub struct Data {
    pub labels: Vec<String>,
    pub kind: ProblemType,
    pub truth: Vec<Vec<usize>>,
    pub scores: Vec<Vec<f32>>,
}

impl Data {
    fn of(case: &Value) -> Self {
        let id = |id: &Value| id.as_u64().unwrap() as usize;
        let truth = |truth: &Value| match truth {
            Value::Array(ids) => ids.iter().map(id).collect(),
            one => vec![id(one)],
        };
        let scores =
            |row: &Value| numbers(row).into_iter().map(|score| score as f32).collect::<Vec<_>>();
        Self {
            labels: list(&case["labels"])
                .iter()
                .map(|label| label.as_str().unwrap().to_owned())
                .collect(),
            kind: match case["problem_type"].as_str().unwrap() {
                "single_label_classification" => ProblemType::SingleLabelClassification,
                "multi_label_classification" => ProblemType::MultiLabelClassification,
                other => panic!("{other}"),
            },
            truth: list(&case["truth"]).iter().map(truth).collect(),
            scores: list(&case["scores"]).iter().map(scores).collect(),
        }
    }

    fn rows(&self) -> impl Iterator<Item = (usize, Row<'_>)> {
        let rows = self.truth.iter().zip(&self.scores);
        rows.map(|(truth, scores)| Row::new(truth, scores)).enumerate()
    }

    fn report(&self, options: &EvaluationOptions) -> Report {
        let mut evaluation = Evaluation::new(&self.labels, self.kind, options).unwrap();
        self.rows().for_each(|(_, row)| evaluation.push(&row).unwrap());
        assert_eq!(evaluation.rows(), self.truth.len());
        evaluation.report().unwrap()
    }

    /// Returns `true` if a label is predicted by definition.
    fn predicts(&self, row: usize, label: usize) -> bool {
        let scores = &self.scores[row];
        match self.kind {
            ProblemType::MultiLabelClassification => scores[label] >= 0.5,
            _ => {
                scores[..label].iter().all(|other| *other < scores[label])
                    && scores[label..].iter().all(|other| *other <= scores[label])
            }
        }
    }
}

fn each_case(check: impl Fn(&Value, &Data)) {
    let goldens = golden("evaluate.json");
    assert_eq!(list(&goldens["cases"]).len(), 3);
    for case in list(&goldens["cases"]) {
        println!("{}", case["name"]);
        check(case, &Data::of(case));
    }
}

#[track_caller]
fn assert_close(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-12 * expected.abs(), "{found}, {expected}");
}

fn quick() -> EvaluationOptions {
    EvaluationOptions::default().resamples(1)
}

#[test]
fn tables_match_scikit_learn_byte_for_byte() {
    each_case(|case, data| {
        let report = data.report(&quick());
        let table = |digits: &str| case["tables"][digits].as_str().unwrap();
        assert_eq!(report.to_string(), table("2"));
        assert_eq!(format!("{report:.2}"), table("2"));
        assert_eq!(format!("{report:.4}"), table("4"));
        assert_eq!(format!("{report:.15}"), table("15"));
    });
}

#[test]
fn metrics_match_scikit_learn() {
    each_case(|case, data| {
        let report = data.report(&quick());
        let columns: Vec<Vec<f64>> = list(&case["classes"]).iter().map(numbers).collect();
        assert_eq!(report.classes().len(), columns[0].len());
        for (place, Class { label, scores, support, .. }) in report.classes().iter().enumerate() {
            assert_eq!(*label, data.labels[place]);
            let found = [scores.precision, scores.recall, scores.f1, *support as f64];
            for (found, column) in found.into_iter().zip(&columns) {
                assert_close(found, column[place]);
            }
        }
        for &average in Average::ALL {
            match (report.average(average), case["averages"].get(average.name())) {
                (Some(Scores { precision, recall, f1, .. }), Some(expected)) => {
                    for (found, expected) in
                        [precision, recall, f1].into_iter().zip(numbers(expected))
                    {
                        assert_close(found, expected);
                    }
                }
                (found, expected) => assert!(found.is_none() && expected.is_none(), "{average:?}"),
            }
        }
        assert_close(report.accuracy().value, case["accuracy"].as_f64().unwrap());
        assert_eq!(Some(report.macro_f1().value), report.average(Average::Macro).map(|of| of.f1));
        assert_close(report.log_loss(), case["log_loss"].as_f64().unwrap());
        match &case["top_k"] {
            Value::Null => assert_eq!(report.top_k_accuracy(1), None),
            expected => {
                for (k, expected) in (1..).zip(numbers(expected)) {
                    assert_close(report.top_k_accuracy(k).unwrap(), expected);
                }
                assert_eq!(report.top_k_accuracy(usize::MAX), Some(1.0));
            }
        }
        let confusion = match report.confusion() {
            Confusion::Labels(matrix) => serde_json::to_value(matrix),
            Confusion::EachLabel(matrices) => serde_json::to_value(matrices),
        };
        assert_eq!(confusion.unwrap(), case["confusion"]);
    });
}

#[test]
fn calibration_matches_numpy() {
    each_case(|case, data| {
        let report = data.report(&quick());
        let expected = &case["calibration"];
        let error = expected["expected_error"].as_f64().unwrap();
        assert_close(report.calibration().expected_error(), error);
        let bins = report.calibration().bins();
        assert_eq!((bins.len(), bins[0].low, bins[14].high), (15, 0.0, 1.0));
        for (bin, expected) in bins.iter().zip(list(&expected["bins"])) {
            assert_eq!(bin.count as u64, expected[0].as_u64().unwrap());
            for (found, expected) in [(bin.confidence, &expected[1]), (bin.accuracy, &expected[2])]
            {
                match (found, expected.as_f64()) {
                    (Some(found), Some(expected)) => assert_close(found, expected),
                    (found, expected) => assert_eq!(found, expected),
                }
            }
        }
    });
}

/// Both bootstraps use 20,000 resamples. The sampling error of an end of the interval, the 2.5 % quantile of a normal
/// distribution, is 0.019 standard errors (√(0.025 · 0.975 / 20,000) / 0.0584); that of the difference of two is 0.027. The
/// tolerance is four times that.
#[test]
fn intervals_match_reference_bootstrap() {
    each_case(|case, data| {
        let report = data.report(&EvaluationOptions::default().resamples(20_000));
        let figures = [("accuracy", report.accuracy()), ("macro_f1", report.macro_f1())];
        for (name, Estimate { value, low, high, .. }) in figures {
            let expected = numbers(&case["intervals"][name]);
            // Accuracy changes in steps of one row.
            let step = 1.0 / data.truth.len() as f64;
            let tolerance = 4.0 * 0.027 * (expected[1] - expected[0]) / 3.92 + step;
            println!("{name} {value} {low}..{high}, {expected:?} ± {tolerance}");
            assert!(low < value && value < high);
            assert!(
                (low - expected[0]).abs() < tolerance && (high - expected[1]).abs() < tolerance
            );
        }
    });
}

#[test]
fn seed_affects_only_intervals() {
    each_case(|_, data| {
        let of = |seed| data.report(&EvaluationOptions::default().resamples(50).seed(seed));
        let [one, same, other] = [1, 1, 2].map(of);
        assert_eq!((one.seed(), one.resamples()), (1, 50));
        assert_eq!((one.accuracy(), one.macro_f1()), (same.accuracy(), same.macro_f1()));
        assert_eq!(one.macro_f1().value, other.macro_f1().value);
        assert_ne!(one.macro_f1(), other.macro_f1());
    });
}

#[test]
fn lists_absent_labels() {
    let goldens = golden("evaluate.json");
    let of = |case: usize| Data::of(&goldens["cases"][case]).report(&quick());
    let whole = of(0);
    assert_eq!((whole.without_support().count(), whole.never_predicted().count()), (0, 0));
    let absent = of(1);
    assert_eq!(absent.without_support().collect::<Vec<_>>(), ["never true", "neither"]);
    assert_eq!(absent.never_predicted().collect::<Vec<_>>(), ["neither", "never predicted"]);
    let [never_true, neither, ..] = absent.classes() else { panic!("eleven classes") };
    assert!(never_true.predicted > 0 && never_true.support == 0);
    assert_eq!((neither.predicted, neither.scores), (0, Scores::default()));
    let multi = of(2);
    let rows = Data::of(&goldens["cases"][2]);
    let without_truth = rows.truth.iter().filter(|truth| truth.is_empty()).count();
    let without = (0..300).filter(|&row| (0..9).all(|label| !rows.predicts(row, label))).count();
    assert!(without_truth > 0 && without > 0);
    assert_eq!(multi.rows_without_truth(), without_truth);
    assert_eq!(multi.rows_without_prediction(), without);
    assert_eq!(multi.without_support().collect::<Vec<_>>(), ["topic 7"]);
    assert_eq!(multi.never_predicted().collect::<Vec<_>>(), ["topic 6"]);
}

#[test]
fn confusion_sums_to_rows_and_supports() {
    each_case(|_, data| {
        let report = data.report(&quick());
        let classes = report.classes().iter();
        match report.confusion() {
            Confusion::Labels(matrix) => {
                for (place, (class, row)) in classes.zip(matrix).enumerate() {
                    assert_eq!(row.iter().sum::<usize>(), class.support);
                    let column: usize = matrix.iter().map(|row| row[place]).sum();
                    assert_eq!(column, class.predicted);
                }
                let pairs = report.confused_pairs();
                let mistakes: usize = pairs.iter().map(|pair| pair.rows).sum();
                let right: usize = (0..matrix.len()).map(|label| matrix[label][label]).sum();
                assert_eq!(right + mistakes, report.rows());
                for pair in pairs {
                    assert_eq!(matrix[pair.truth][pair.predicted], pair.rows);
                }
            }
            Confusion::EachLabel(matrices) => {
                for (class, [[neither, claimed], [missed, hit]]) in classes.zip(matrices) {
                    assert_eq!(missed + hit, class.support);
                    assert_eq!(claimed + hit, class.predicted);
                    assert_eq!(neither + claimed + missed + hit, report.rows());
                }
                for pair in report.confused_pairs() {
                    let is_confused = |&row: &usize| {
                        let truth = &data.truth[row];
                        truth.contains(&pair.truth)
                            && !data.predicts(row, pair.truth)
                            && !truth.contains(&pair.predicted)
                            && data.predicts(row, pair.predicted)
                    };
                    assert_eq!((0..report.rows()).filter(is_confused).count(), pair.rows);
                }
            }
        }
        assert!(report.confused_pairs().is_sorted_by(|one, next| one.rows >= next.rows));
        let counted: usize = report.calibration().bins().iter().map(|bin| bin.count).sum();
        let decisions = if report.is_multi_label() { data.labels.len() } else { 1 };
        assert_eq!(counted, decisions * report.rows());
    });
}

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
            "row 17 has the label id 3, but the model has 3 labels, counted from 0"
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
