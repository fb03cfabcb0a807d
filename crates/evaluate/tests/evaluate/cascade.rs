//! The curve of a cascade's margin is the one that the guide shows.
//!
//! Requires [GoEmotions](test_support::goemotions).

use distilbert::{Classifier, Margin, Precision};
use distilbert_evaluate::MarginCurve;
use test_support::{bundled_model, goemotions, root};

/// Returns the curve of the bundled model on texts with their labels.
fn curve(rows: &[(String, usize)]) -> MarginCurve {
    let [int8, f32] = [Precision::Int8, Precision::F32].map(|precision| {
        Classifier::builder(bundled_model()).precision(precision).build().unwrap()
    });
    let mut curve = MarginCurve::new(f32.problem_type()).unwrap();
    for rows in rows.chunks(512) {
        let texts: Vec<&str> = rows.iter().map(|(text, _)| text.as_str()).collect();
        let [int8, f32] = [&int8, &f32].map(|model| model.classify_batch(&texts).unwrap());
        for ((int8, f32), (_, truth)) in int8.iter().zip(&f32).zip(rows) {
            curve.push(int8, f32, Some(&[*truth]));
        }
    }
    curve
}

#[test]
fn curve_matches_the_guide() {
    let Some(folder) = goemotions::folder() else { return };
    let dev = goemotions::single_label_rows(&folder, "dev.tsv");
    let train = goemotions::single_label_rows(&folder, "train.tsv");
    let train: Vec<_> = train.into_iter().step_by(8).collect();
    assert_eq!((dev.len(), train.len()), (4946, 4945));
    let curves = [curve(&dev), curve(&train)];
    for curve in &curves {
        let point = curve.at(Margin::DEFAULT);
        println!("default margin: {point:?}");
        println!("recommended: {:?}", curve.recommend(MarginCurve::AGREEMENT));
        println!("with confidence: {:?}", curve.recommend_with_confidence(MarginCurve::AGREEMENT));
        assert!(point.agreement.value >= 0.999, "{point:?}");
    }
    let guide = std::fs::read_to_string(root().join("docs/evaluation.md")).unwrap();
    let mut missing = Vec::new();
    for (dev, train) in curves[0].points().iter().zip(curves[1].points()) {
        let percent = |share: f64| format!("{:.2}", 100.0 * share);
        let cells =
            [dev.share, dev.agreement.value, train.share, train.agreement.value].map(percent);
        let row = format!("| {:.2} | {} |", dev.margin, cells.join(" | "));
        println!("{row}");
        if !guide.contains(&row) {
            missing.push(row);
        }
    }
    assert!(missing.is_empty(), "docs/evaluation.md lacks these rows:\n{}", missing.join("\n"));
}
