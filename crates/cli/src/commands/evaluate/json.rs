//! An evaluation as JSON.

use std::borrow::Cow;

use distilbert::{Precision, ProblemType};
use distilbert_evaluate::{
    Average, Bin, Class, Confusion, Estimate, Length, Mistake, Report, Scores,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Counts, Results};
use crate::render::json::object;

/// Evaluation as a JSON object.
#[derive(Serialize)]
pub(super) struct View<'a> {
    data: Cow<'a, str>,
    model: Cow<'a, str>,
    precision: Precision,
    problem_type: ProblemType,
    labels: &'a [String],
    rows: usize,
    skipped: Skipped,
    failed: u64,
    truncated: u64,
    accuracy: f64,
    macro_f1: f64,
    intervals: Intervals,
    #[serde(serialize_with = "object")]
    per_class: Vec<(&'a str, ClassView)>,
    #[serde(serialize_with = "object")]
    averages: Vec<(&'static str, ScoresView)>,
    zero_division: ZeroDivision<'a>,
    confusion: Value,
    #[serde(serialize_with = "object")]
    top_k: Vec<(String, f64)>,
    log_loss: f64,
    calibration: CalibrationView,
    confused_pairs: Vec<PairView<'a>>,
    lengths: Vec<LengthView>,
    mistakes: Vec<MistakeView<'a>>,
    seconds: f64,
    rows_per_second: f64,
}

#[derive(Serialize)]
struct Skipped {
    multi: u64,
    unlabelled: u64,
}

#[derive(Serialize)]
struct Intervals {
    confidence: f64,
    resamples: usize,
    seed: u64,
    accuracy: Interval,
    macro_f1: Interval,
}

#[derive(Serialize)]
struct Interval {
    low: f64,
    high: f64,
}

#[derive(Serialize)]
struct ScoresView {
    precision: f64,
    recall: f64,
    f1: f64,
}

#[derive(Serialize)]
struct ClassView {
    #[serde(flatten)]
    scores: ScoresView,
    support: usize,
    predicted: usize,
}

#[derive(Serialize)]
struct ZeroDivision<'a> {
    precision: Vec<&'a str>,
    recall: Vec<&'a str>,
    rows_without_truth: usize,
    rows_without_prediction: usize,
}

#[derive(Serialize)]
struct CalibrationView {
    expected_error: f64,
    bins: Vec<BinView>,
}

#[derive(Serialize)]
struct BinView {
    low: f64,
    high: f64,
    count: usize,
    confidence: Option<f64>,
    accuracy: Option<f64>,
}

#[derive(Serialize)]
struct PairView<'a> {
    #[serde(rename = "true")]
    truth: &'a str,
    predicted: &'a str,
    rows: usize,
}

#[derive(Serialize)]
struct LengthView {
    tokens: [usize; 2],
    rows: usize,
    mistakes: usize,
}

#[derive(Serialize)]
struct MistakeView<'a> {
    row: usize,
    text: Option<&'a str>,
    #[serde(rename = "true")]
    truth: Vec<&'a str>,
    predicted: Vec<&'a str>,
    confidence: f32,
}

impl<'a> Results<'a> {
    pub(super) fn json(&self) -> View<'a> {
        let &Self { data, classifier, report, counts, .. } = self;
        let (info, labels) = (classifier.info(), classifier.labels());
        View {
            data: data.to_string_lossy(),
            model: info.folder.to_string_lossy(),
            precision: info.precision,
            problem_type: classifier.problem_type(),
            labels,
            rows: report.rows(),
            skipped: Skipped::from(counts),
            failed: counts.failed,
            truncated: counts.truncated,
            accuracy: report.accuracy().value,
            macro_f1: report.macro_f1().value,
            intervals: Intervals::from(report),
            per_class: report.classes().iter().map(class).collect(),
            averages: averages(report),
            zero_division: ZeroDivision::from(report),
            confusion: match report.confusion() {
                Confusion::Labels(matrix) => json!(matrix),
                Confusion::EachLabel(matrices) => json!(matrices),
            },
            top_k: self.top_k(),
            log_loss: report.log_loss(),
            calibration: CalibrationView::from(report),
            confused_pairs: confused_pairs(report, labels),
            lengths: report.lengths().iter().map(LengthView::from).collect(),
            mistakes: report.mistakes().iter().map(|of| MistakeView::new(of, labels)).collect(),
            seconds: counts.time.as_secs_f64(),
            rows_per_second: self.rows_per_second(),
        }
    }

    fn top_k(&self) -> Vec<(String, f64)> {
        let largest = self.top.min(self.classifier.labels().len());
        let accuracy = |k: usize| Some((k.to_string(), self.report.top_k_accuracy(k)?));
        (1..=largest).filter_map(accuracy).collect()
    }
}

fn class(class: &Class) -> (&str, ClassView) {
    let &Class { scores, support, predicted, .. } = class;
    (&class.label, ClassView { scores: scores.into(), support, predicted })
}

fn averages(report: &Report) -> Vec<(&'static str, ScoresView)> {
    let averages = Average::ALL.iter();
    averages.filter_map(|&of| Some((of.name(), report.average(of)?.into()))).collect()
}

fn confused_pairs<'a>(report: &Report, labels: &'a [String]) -> Vec<PairView<'a>> {
    let pairs = report.confused_pairs().iter();
    pairs
        .map(|pair| PairView {
            truth: &labels[pair.truth],
            predicted: &labels[pair.predicted],
            rows: pair.rows,
        })
        .collect()
}

impl From<&Counts> for Skipped {
    fn from(counts: &Counts) -> Self {
        Self { multi: counts.multi, unlabelled: counts.unlabeled }
    }
}

impl From<&Report> for Intervals {
    fn from(report: &Report) -> Self {
        let interval = |Estimate { low, high, .. }| Interval { low, high };
        Self {
            confidence: 0.95,
            resamples: report.resamples(),
            seed: report.seed(),
            accuracy: interval(report.accuracy()),
            macro_f1: interval(report.macro_f1()),
        }
    }
}

impl From<Scores> for ScoresView {
    fn from(Scores { precision, recall, f1, .. }: Scores) -> Self {
        Self { precision, recall, f1 }
    }
}

impl<'a> From<&'a Report> for ZeroDivision<'a> {
    fn from(report: &'a Report) -> Self {
        Self {
            precision: report.never_predicted().collect(),
            recall: report.without_support().collect(),
            rows_without_truth: report.rows_without_truth(),
            rows_without_prediction: report.rows_without_prediction(),
        }
    }
}

impl From<&Report> for CalibrationView {
    fn from(report: &Report) -> Self {
        let calibration = report.calibration();
        let bins = calibration.bins().into_iter().map(BinView::from).collect();
        Self { expected_error: calibration.expected_error(), bins }
    }
}

impl From<Bin> for BinView {
    fn from(bin: Bin) -> Self {
        let Bin { low, high, count, confidence, accuracy, .. } = bin;
        Self { low, high, count, confidence, accuracy }
    }
}

impl From<&Length> for LengthView {
    fn from(length: &Length) -> Self {
        let &Length { from, to, rows, mistakes, .. } = length;
        Self { tokens: [from, to], rows, mistakes }
    }
}

impl<'a> MistakeView<'a> {
    fn new(mistake: &'a Mistake, labels: &'a [String]) -> Self {
        let names = |ids: &[usize]| ids.iter().map(|&id| labels[id].as_str()).collect();
        Self {
            row: mistake.row,
            text: mistake.text.as_deref(),
            truth: names(&mistake.truth),
            predicted: names(&mistake.predicted),
            confidence: mistake.confidence,
        }
    }
}
