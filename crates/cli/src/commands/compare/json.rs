//! A comparison as JSON.

use std::borrow::Cow;

use distilbert::{Classifier, Device, Precision};
use serde::Serialize;

use super::{Comparison, Difference};

/// Comparison as a JSON object.
#[derive(Serialize)]
pub(super) struct View<'a> {
    models: [Model<'a>; 2],
    rows: usize,
    failed_rows: u64,
    label_agreement: f64,
    same_label: usize,
    largest_logit_difference: f32,
    mean_logit_difference: f64,
    labelled_rows: usize,
    accuracies: Option<[f64; 2]>,
    differences: Vec<DifferenceView<'a>>,
}

#[derive(Serialize)]
struct Model<'a> {
    folder: Cow<'a, str>,
    precision: Precision,
    device: Device,
}

#[derive(Serialize)]
struct DifferenceView<'a> {
    row: u64,
    text: &'a str,
    labels: [Vec<&'a str>; 2],
    scores: [f32; 2],
    logit_difference: f32,
    truth: Option<Vec<&'a str>>,
}

impl Comparison {
    pub(super) fn json(&self) -> View<'_> {
        let agreement = &self.agreement;
        View {
            models: self.models.each_ref().map(Model::from),
            rows: agreement.rows(),
            failed_rows: self.failed,
            label_agreement: agreement.label_agreement(),
            same_label: agreement.same(),
            largest_logit_difference: agreement.largest_logit_difference(),
            mean_logit_difference: agreement.mean_logit_difference(),
            labelled_rows: agreement.labeled_rows(),
            accuracies: agreement.accuracies(),
            differences: self.differences.iter().map(|row| self.difference(row)).collect(),
        }
    }

    fn difference<'a>(&'a self, difference: &'a Difference) -> DifferenceView<'a> {
        DifferenceView {
            row: difference.row,
            text: &difference.text,
            labels: difference.pair.labels.each_ref().map(|labels| self.names(labels)),
            scores: difference.scores,
            logit_difference: difference.pair.logit_difference,
            truth: difference.truth.as_ref().map(|truth| self.names(truth)),
        }
    }
}

impl<'a> From<&'a Classifier> for Model<'a> {
    fn from(model: &'a Classifier) -> Self {
        let info = model.info();
        let folder = info.folder.to_string_lossy();
        Self { folder, precision: info.precision, device: info.device }
    }
}
