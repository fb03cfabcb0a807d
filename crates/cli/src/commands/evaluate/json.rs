//! A report for programs.

use distilbert_evaluate::{Average, Confusion, Estimate, Mistake, Scores};
use serde_json::{Map, Value, json};

use super::Made;
use crate::render::report::number;

impl Made<'_> {
    /// Every figure of the report.
    pub(super) fn json(&self) -> Value {
        let &Self { data, classifier, report, seen, .. } = self;
        let info = classifier.info();
        let labels = classifier.labels();
        let name = |id: &usize| labels[*id].as_str();
        let interval = |Estimate { low, high, .. }| json!({ "low": low, "high": high });
        let classes = report.classes().iter().map(|class| {
            let mut object = scores(class.scores);
            object.insert("support".to_owned(), class.support.into());
            object.insert("predicted".to_owned(), class.predicted.into());
            (class.label.clone(), object.into())
        });
        let averages = Average::ALL.iter().filter_map(|&average| {
            Some((average.name().to_owned(), scores(report.average(average)?).into()))
        });
        let top_k = (1..=self.top.min(labels.len()))
            .filter_map(|k| Some((k.to_string(), report.top_k_accuracy(k)?.into())));
        let bins = report.calibration().bins().into_iter().map(|bin| {
            json!({
                "low": bin.low,
                "high": bin.high,
                "count": bin.count,
                "confidence": bin.confidence,
                "accuracy": bin.accuracy,
            })
        });
        let pairs = report.confused_pairs().iter().map(|pair| {
            let (truth, predicted) = (name(&pair.truth), name(&pair.predicted));
            json!({ "true": truth, "predicted": predicted, "rows": pair.rows })
        });
        let lengths = report.lengths().iter().map(|length| {
            json!({
                "tokens": [length.from, length.to],
                "rows": length.rows,
                "mistakes": length.mistakes,
            })
        });
        let mistake = |mistake: &Mistake| {
            json!({
                "row": mistake.row,
                "text": mistake.text,
                "true": mistake.truth.iter().map(name).collect::<Vec<_>>(),
                "predicted": mistake.predicted.iter().map(name).collect::<Vec<_>>(),
                "confidence": number(mistake.confidence),
            })
        };
        json!({
            "data": data.to_string_lossy(),
            "model": info.folder.to_string_lossy(),
            "precision": info.precision.name(),
            "problem_type": classifier.problem_type().as_str(),
            "labels": labels,
            "rows": report.rows(),
            "skipped": { "multi": seen.multi, "unlabelled": seen.unlabelled },
            "failed": seen.failed,
            "truncated": seen.truncated,
            "accuracy": report.accuracy().value,
            "macro_f1": report.macro_f1().value,
            "intervals": {
                "confidence": 0.95,
                "resamples": report.resamples(),
                "seed": report.seed(),
                "accuracy": interval(report.accuracy()),
                "macro_f1": interval(report.macro_f1()),
            },
            "per_class": classes.collect::<Map<_, _>>(),
            "averages": averages.collect::<Map<_, _>>(),
            "zero_division": {
                "precision": report.never_predicted().collect::<Vec<_>>(),
                "recall": report.without_support().collect::<Vec<_>>(),
                "rows_without_truth": report.rows_without_truth(),
                "rows_without_prediction": report.rows_without_prediction(),
            },
            "confusion": match report.confusion() {
                Confusion::Labels(matrix) => json!(matrix),
                Confusion::EachLabel(matrices) => json!(matrices),
            },
            "top_k": top_k.collect::<Map<_, _>>(),
            "log_loss": report.log_loss(),
            "calibration": {
                "expected_error": report.calibration().expected_error(),
                "bins": bins.collect::<Vec<_>>(),
            },
            "confused_pairs": pairs.collect::<Vec<_>>(),
            "lengths": lengths.collect::<Vec<_>>(),
            "mistakes": report.mistakes().iter().map(mistake).collect::<Vec<_>>(),
            "seconds": seen.time.as_secs_f64(),
            "rows_per_second": self.rows_per_second(),
        })
    }
}

fn scores(Scores { precision, recall, f1, .. }: Scores) -> Map<String, Value> {
    let figures = [("precision", precision), ("recall", recall), ("f1", f1)];
    figures.map(|(name, figure)| (name.to_owned(), figure.into())).into_iter().collect()
}
