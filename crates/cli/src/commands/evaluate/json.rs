//! An evaluation as JSON.

use std::borrow::Cow;

use distilbert::{Precision, ProblemType};
use distilbert_evaluate::Report;
use serde::Serialize;

use super::{Counts, Results};

/// Evaluation as a JSON object.
#[derive(Serialize)]
pub(super) struct View<'a> {
    data: Cow<'a, str>,
    model: Cow<'a, str>,
    precision: Precision,
    problem_type: ProblemType,
    labels: &'a [String],
    skipped: Skipped,
    failed: u64,
    truncated: u64,
    #[serde(flatten)]
    report: &'a Report,
    seconds: f64,
    rows_per_second: f64,
}

#[derive(Serialize)]
struct Skipped {
    multi: u64,
    unlabeled: u64,
}

impl<'a> Results<'a> {
    pub(super) fn json(&self) -> View<'a> {
        let &Self { data, classifier, report, counts, .. } = self;
        let &Counts { multi, unlabeled, failed, truncated, time } = counts;
        let info = classifier.info();
        View {
            data: data.to_string_lossy(),
            model: info.folder.to_string_lossy(),
            precision: info.precision,
            problem_type: classifier.problem_type(),
            labels: classifier.labels(),
            skipped: Skipped { multi, unlabeled },
            failed,
            truncated,
            report,
            seconds: time.as_secs_f64(),
            rows_per_second: self.rows_per_second(),
        }
    }
}
