//! An evaluation as text.

use std::fmt::Write;

use distilbert_evaluate::Estimate;

use super::Results;
use crate::render::terminal::{self, BOLD, DIM};

/// Width of the names of settings and metrics.
const NAME_COLUMNS: usize = 19;

/// Maximum number of confused pairs to list.
const MAX_PAIRS: usize = 10;

impl Results<'_> {
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (name, value) in self.settings() {
            line(&mut text, name, &value);
        }
        text.push('\n');
        let digits = self.digits;
        for row in format!("{:.digits$}", self.report).lines() {
            text += &terminal::escape(row);
            text.push('\n');
        }
        self.zero_divisions(&mut text);
        text.push('\n');
        self.metrics(&mut text);
        self.pairs(&mut text);
        self.lengths(&mut text);
        self.mistakes(&mut text);
        text
    }

    /// Lists the metrics that are 0 because their denominator is 0.
    fn zero_divisions(&self, text: &mut String) {
        let report = self.report;
        let names = |labels: Vec<&str>| (!labels.is_empty()).then(|| labels.join(", "));
        let rows = |count: usize| (count > 0 && report.is_multi_label()).then(|| count.to_string());
        let zero = format!("{:.1$}", 0.0, self.digits);
        for (metric, reason, which) in [
            ("recall", "no row has the label", names(report.without_support().collect())),
            ("precision", "never predicted", names(report.never_predicted().collect())),
            ("samples recall", "rows without a label", rows(report.rows_without_truth())),
            (
                "samples precision",
                "rows without a prediction",
                rows(report.rows_without_prediction()),
            ),
        ] {
            if let Some(which) = which {
                let note = format!("{metric} counts as {zero} ({reason}): {which}");
                let _ = writeln!(text, "{DIM}{}{DIM:#}", terminal::escape(&note));
            }
        }
    }

    /// Writes the overall metrics.
    fn metrics(&self, text: &mut String) {
        // Two decimals are too coarse for the intervals.
        let digits = self.digits.max(3);
        let estimate = |Estimate { value, low, high, .. }| {
            format!("{value:.digits$} ({low:.digits$} to {high:.digits$})")
        };
        let report = self.report;
        let accuracy = if report.is_multi_label() { "subset accuracy" } else { "accuracy" };
        line(text, accuracy, &estimate(report.accuracy()));
        line(text, "macro-F1", &estimate(report.macro_f1()));
        // The top-1 accuracy is the accuracy.
        for (k, share) in report.top_k().skip(1) {
            line(text, &format!("top-{k} accuracy"), &format!("{share:.digits$}"));
        }
        line(text, "log loss", &format!("{:.digits$}", report.log_loss()));
        let calibration = report.calibration();
        let (error, bins) = (calibration.expected_error(), calibration.bins().len());
        line(text, "calibration error", &format!("{error:.digits$} ({bins} bins)"));
    }

    /// Writes the most confused pairs of labels.
    fn pairs(&self, text: &mut String) {
        let pairs = self.report.confused_pairs();
        if pairs.is_empty() {
            return;
        }
        heading(text, "Most confused");
        for pair in pairs.iter().take(MAX_PAIRS) {
            let (rows, truth) = (pair.rows, self.label(pair.truth));
            let _ =
                writeln!(text, "{rows:>8}  {truth} predicted as {}", self.label(pair.predicted));
        }
        if let Some(more) = pairs.len().checked_sub(MAX_PAIRS).filter(|&more| more > 0) {
            let _ = writeln!(
                text,
                "{DIM}{:>8}  and {more} more pair{}{DIM:#}",
                "",
                terminal::plural(more)
            );
        }
    }

    /// Writes the share of mistakes by text length.
    fn lengths(&self, text: &mut String) {
        heading(text, "Mistakes by length");
        let _ = writeln!(
            text,
            "{DIM}{:>11}{:>10}{:>10}{:>9}{DIM:#}",
            "tokens", "rows", "mistakes", "share"
        );
        for length in self.report.lengths() {
            let tokens = match length.from {
                0 => format!("up to {}", length.to),
                from => format!("{from} to {}", length.to),
            };
            let share = 100.0 * length.mistakes as f64 / length.rows as f64;
            let _ = writeln!(
                text,
                "{tokens:>11}{:>10}{:>10}{share:>8.1}%",
                length.rows, length.mistakes
            );
        }
    }

    /// Writes the most confident mistakes.
    fn mistakes(&self, text: &mut String) {
        if self.report.mistakes().is_empty() {
            return;
        }
        heading(text, "Most confident mistakes");
        let columns = terminal::columns();
        for mistake in self.report.mistakes() {
            let labels = |ids: &[usize]| match ids {
                [] => "no label".to_owned(),
                ids => ids.iter().map(|&id| self.label(id)).collect::<Vec<_>>().join(", "),
            };
            let (truth, predicted) = (labels(&mistake.truth), labels(&mistake.predicted));
            let _ = writeln!(
                text,
                "row {}: {truth} predicted as {predicted}, {:.3}",
                mistake.row, mistake.confidence
            );
            if let Some(text_of_row) = &mistake.text {
                let shown = terminal::fit(text_of_row, columns.saturating_sub(2));
                let _ = writeln!(text, "{DIM}  {shown}{DIM:#}");
            }
        }
    }

    fn label(&self, id: usize) -> String {
        terminal::escape(&self.classifier.labels()[id]).into_owned()
    }
}

fn line(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "{BOLD}{name:NAME_COLUMNS$}{BOLD:#}{}", terminal::escape(value));
}

fn heading(text: &mut String, heading: &str) {
    let _ = writeln!(text, "\n{BOLD}{heading}{BOLD:#}");
}
