//! Predictions as text or JSON.

use std::borrow::Cow;
use std::io::{BufWriter, Result, Write};

use anstyle::Style;
use distilbert::{Classifier, Precision, Prediction, ProblemType, TruncationSide, unique_labels};
use serde::Serialize;

use super::json::{object, write_line};
use super::terminal::{self, BOLD, DIM, FIRST};

/// Maximum width of a bar.
const MAX_BAR_COLUMNS: usize = 40;

/// Maximum width of a label.
const MAX_LABEL_COLUMNS: usize = 32;

/// Width of a probability, such as `100.0%`.
const PERCENT_COLUMNS: usize = 6;

/// Columns between a label, its probability and its bar.
const GAP: usize = 2;

/// Writer of predictions to standard output.
pub struct Report {
    out: Box<dyn Write>,
    format: Format,
}

enum Format {
    Table(Table),
    Json { top: Option<usize> },
}

impl Report {
    /// Writes text for people, with the `top` labels of each text or all.
    pub fn table(classifier: &Classifier, top: Option<usize>) -> Self {
        let table = Table::new(classifier, top.unwrap_or(usize::MAX));
        let out = Box::new(BufWriter::new(anstream::stdout().lock()));
        Self { out, format: Format::Table(table) }
    }

    /// Writes one JSON object per line, with all labels in label order, or the `top` labels, best first.
    pub fn json(top: Option<usize>) -> Self {
        let out = Box::new(BufWriter::new(std::io::stdout().lock()));
        Self { out, format: Format::Json { top } }
    }

    /// Writes the prediction for one text.
    pub fn write(&mut self, text: &str, prediction: &Prediction) -> Result<()> {
        match &mut self.format {
            Format::Table(table) => table.write(&mut self.out, text, prediction),
            Format::Json { top } => write_line(&mut self.out, &View::new(text, prediction, *top)),
        }
    }

    /// Flushes standard output.
    pub fn flush(&mut self) -> Result<()> {
        self.out.flush()
    }
}

/// Predictions as text: the text, then a line with probability and bar for each label.
struct Table {
    problem_type: ProblemType,
    /// Number of tokens that the model takes.
    limit: usize,
    top: usize,
    columns: usize,
    label_columns: usize,
    is_first: bool,
}

impl Table {
    fn new(classifier: &Classifier, top: usize) -> Self {
        let labels = classifier.labels().iter();
        let label_columns = labels.map(|label| terminal::width(&label_cell(label))).max();
        Self {
            problem_type: classifier.problem_type(),
            limit: classifier.max_tokens(),
            top,
            columns: terminal::columns(),
            label_columns: label_columns.unwrap_or(0),
            is_first: true,
        }
    }

    fn write(&mut self, out: &mut dyn Write, text: &str, prediction: &Prediction) -> Result<()> {
        if !std::mem::replace(&mut self.is_first, false) {
            writeln!(out)?;
        }
        match text {
            "" => writeln!(out, "{DIM}(empty text){DIM:#}")?,
            _ => writeln!(out, "{BOLD}{}{BOLD:#}", terminal::fit(text, self.columns))?,
        }
        for (rank, (label, score)) in prediction.top_k(self.top).into_iter().enumerate() {
            self.write_row(out, rank, label, score)?;
        }
        write_cut(out, prediction, self.limit)
    }

    fn write_row(&self, out: &mut dyn Write, rank: usize, label: &str, score: f32) -> Result<()> {
        let label = terminal::pad(&label_cell(label), self.label_columns);
        let style = if self.is_predicted(rank, score) { FIRST } else { Style::new() };
        if self.problem_type == ProblemType::Regression {
            return writeln!(out, "  {label}  {score:>10.4}");
        }
        let bar = terminal::bar(score, self.bar_columns());
        let row = format!("{label}  {:5.1}%  {bar}", 100.0 * f64::from(score));
        writeln!(out, "  {style}{}{style:#}", row.trim_end())
    }

    /// Returns `true` if a label is predicted.
    fn is_predicted(&self, rank: usize, score: f32) -> bool {
        match self.problem_type {
            ProblemType::MultiLabelClassification => score >= Prediction::THRESHOLD,
            _ => rank == 0,
        }
    }

    fn bar_columns(&self) -> usize {
        let used = GAP + self.label_columns + GAP + PERCENT_COLUMNS + GAP;
        self.columns.saturating_sub(used).min(MAX_BAR_COLUMNS)
    }
}

fn label_cell(label: &str) -> String {
    terminal::fit(label, MAX_LABEL_COLUMNS)
}

/// Writes a note if a part of the text was not read.
pub fn write_cut(out: &mut dyn Write, prediction: &Prediction, limit: usize) -> Result<()> {
    let Some(cut) = prediction.cut() else { return Ok(()) };
    let (end, beyond) = match cut.side {
        TruncationSide::Right => ("last", "after"),
        TruncationSide::Left => ("first", "before"),
    };
    let note = match cut.dropped_tokens {
        Some(1) => format!("the {end} token was dropped: the model takes at most {limit}"),
        Some(count) => {
            format!("the {end} {count} tokens were dropped: the model takes at most {limit}")
        }
        None => format!(
            "the text {beyond} character {} was not read: the model takes at most {limit} tokens",
            cut.at
        ),
    };
    writeln!(out, "  {DIM}{note}{DIM:#}")
}

/// Prediction as JSON.
///
/// Unlike the object that the library serializes, it has the text, `scores` may have the best labels only, and there
/// is no `tokens`.
#[derive(Serialize)]
struct View<'a> {
    text: &'a str,
    label: &'a str,
    score: f32,
    #[serde(serialize_with = "object")]
    scores: Vec<(Cow<'a, str>, f32)>,
    logits: &'a [f32],
    precision: Precision,
    dropped_tokens: Option<usize>,
    truncated_at: Option<usize>,
}

impl<'a> View<'a> {
    fn new(text: &'a str, prediction: &'a Prediction, top: Option<usize>) -> Self {
        let mut scores = scores_by_label(prediction);
        if let Some(top) = top {
            scores.sort_by(|a, b| b.1.total_cmp(&a.1));
            scores.truncate(top);
        }
        Self {
            text,
            label: prediction.label(),
            score: prediction.score(),
            scores,
            logits: prediction.logits(),
            precision: prediction.precision(),
            dropped_tokens: prediction.dropped_tokens(),
            truncated_at: prediction.truncated_at(),
        }
    }
}

/// Returns all unique labels with their scores, in label order.
pub fn scores_by_label(prediction: &Prediction) -> Vec<(Cow<'_, str>, f32)> {
    let labels = unique_labels(prediction.labels()).into_iter();
    labels.zip(prediction.scores().iter().copied()).collect()
}
