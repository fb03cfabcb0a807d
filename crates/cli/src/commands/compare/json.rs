//! A comparison as JSON.

use std::borrow::Cow;

use distilbert::{Classifier, Device, Precision};
use distilbert_evaluate::{Agreement, MarginCurve};
use serde::Serialize;

use super::{Comparison, Difference};

/// Comparison as a JSON object.
#[derive(Serialize)]
pub(super) struct View<'a> {
    models: [Model<'a>; 2],
    failed_rows: u64,
    #[serde(flatten)]
    agreement: &'a Agreement,
    cascade: Option<&'a MarginCurve>,
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
        View {
            models: self.models.each_ref().map(Model::from),
            failed_rows: self.failed,
            agreement: &self.agreement,
            cascade: self.cascade.as_ref().map(|cascade| &cascade.curve),
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
