//! Metrics of the goldens' data sets.

use super::*;

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

/// Both bootstraps use 20,000 resamples. The sampling error of an end of the interval, the 2.5% quantile of a normal
/// distribution, is 0.019 standard errors (√(0.025 · 0.975 / 20,000) / 0.0584); that of the difference of two is 0.027.
/// The tolerance is four times that.
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
