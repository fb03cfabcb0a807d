//! A prediction as people read it, and as programs do.

use std::io::{BufWriter, Result, Write};

use distilbert::{Classifier, Prediction, ProblemType};
use serde_json::{Number, Value, json};

use crate::render::terminal::{self, BOLD, DIM, FIRST};

/// A bar is no longer than this, however wide the terminal.
const LONGEST_BAR: usize = 40;

/// A label is cut to this many columns.
const LONGEST_LABEL: usize = 32;

/// Columns of a probability, such as `100.0 %`, and of a bar's distance from it.
const PERCENT: usize = 7;
const GAP: usize = 2;

/// From this probability on, a label of a multi-label model counts as given.
const GIVEN: f32 = 0.5;

/// Writes predictions to standard output.
pub struct Report {
    out: Box<dyn Write>,
    form: Form,
}

enum Form {
    Table(Table),
    Json { top: Option<usize> },
}

impl Report {
    /// For people: the `top` best labels of each text, or all.
    pub fn table(classifier: &Classifier, top: Option<usize>) -> Self {
        let table = Table::new(classifier, top.unwrap_or(usize::MAX));
        Self { out: Box::new(BufWriter::new(anstream::stdout().lock())), form: Form::Table(table) }
    }

    /// For programs: one JSON object a line, with all labels in label order, or the `top` best, best
    /// first.
    pub fn json(top: Option<usize>) -> Self {
        Self { out: Box::new(BufWriter::new(std::io::stdout().lock())), form: Form::Json { top } }
    }

    pub fn write(&mut self, text: &str, prediction: &Prediction) -> Result<()> {
        match &mut self.form {
            Form::Table(table) => table.write(&mut self.out, text, prediction),
            Form::Json { top } => writeln!(self.out, "{}", json(text, prediction, *top)),
        }
    }

    pub fn flush(&mut self) -> Result<()> {
        self.out.flush()
    }
}

/// Draws predictions: the text, then a label with its probability and a bar in each line.
struct Table {
    problem_type: ProblemType,
    limit: usize,
    top: usize,
    columns: usize,
    label_columns: usize,
    first: bool,
}

impl Table {
    fn new(classifier: &Classifier, top: usize) -> Self {
        let labels = classifier.labels().iter();
        let label_columns = labels.map(|label| terminal::width(&label_cell(label))).max();
        Self {
            problem_type: classifier.problem_type(),
            limit: classifier.config().max_position_embeddings,
            top,
            columns: terminal::columns(),
            label_columns: label_columns.unwrap_or(0),
            first: true,
        }
    }

    fn write(&mut self, out: &mut dyn Write, text: &str, found: &Prediction) -> Result<()> {
        if !std::mem::replace(&mut self.first, false) {
            writeln!(out)?;
        }
        match text {
            "" => writeln!(out, "{DIM}(empty text){DIM:#}")?,
            _ => writeln!(out, "{BOLD}{}{BOLD:#}", terminal::fit(text, self.columns))?,
        }
        for (rank, (label, score)) in found.top_k(self.top).into_iter().enumerate() {
            self.write_row(out, rank, label, score)?;
        }
        if found.truncated() {
            let (dropped, limit) = (found.dropped_tokens(), self.limit);
            let tokens = if dropped == 1 { "token was" } else { "tokens were" };
            writeln!(
                out,
                "  {DIM}the last {dropped} {tokens} not read: the model takes {limit}{DIM:#}"
            )?;
        }
        Ok(())
    }

    fn write_row(&self, out: &mut dyn Write, rank: usize, label: &str, score: f32) -> Result<()> {
        let label = terminal::pad(&label_cell(label), self.label_columns);
        let style = if self.stands_out(rank, score) { FIRST } else { anstyle::Style::new() };
        if self.problem_type == ProblemType::Regression {
            return writeln!(out, "  {label}  {score:>10.4}");
        }
        let bar = terminal::bar(score, self.bar_columns());
        let row = format!("{label}  {:5.1} %  {bar}", 100.0 * f64::from(score));
        writeln!(out, "  {style}{}{style:#}", row.trim_end())
    }

    /// Whether a label is part of the answer.
    fn stands_out(&self, rank: usize, score: f32) -> bool {
        match self.problem_type {
            ProblemType::MultiLabelClassification => score >= GIVEN,
            _ => rank == 0,
        }
    }

    fn bar_columns(&self) -> usize {
        let taken = GAP + self.label_columns + GAP + PERCENT + GAP;
        self.columns.saturating_sub(taken).min(LONGEST_BAR)
    }
}

fn label_cell(label: &str) -> String {
    terminal::fit(label, LONGEST_LABEL)
}

fn json(text: &str, found: &Prediction, top: Option<usize>) -> Value {
    let scores: serde_json::Map<String, Value> = match top {
        Some(top) => found.top_k(top).into_iter().map(scored).collect(),
        None => {
            let labels = found.labels().iter().map(String::as_str);
            labels.zip(found.scores().iter().copied()).map(scored).collect()
        }
    };
    json!({
        "text": text,
        "label": found.label(),
        "score": number(found.score()),
        "scores": scores,
        "logits": found.logits().iter().copied().map(number).collect::<Vec<_>>(),
        "dropped_tokens": found.dropped_tokens(),
    })
}

fn scored((label, score): (&str, f32)) -> (String, Value) {
    (label.to_owned(), number(score))
}

/// The shortest decimal that reads back as the same `f32`: 0.2, where a plain conversion to `f64`
/// would give 0.20000000298023224. What is no number is null.
pub fn number(value: f32) -> Value {
    let shortest = value.to_string().parse().ok();
    shortest.and_then(Number::from_f64).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_read_back_the_same() {
        assert_eq!(number(0.2).to_string(), "0.2");
        assert_eq!(number(f32::NAN), Value::Null);
        for bits in (0..=u32::MAX).step_by(65_537) {
            let value = f32::from_bits(bits);
            if value.is_finite() {
                let text = number(value).to_string();
                assert_eq!(text.parse::<f32>().unwrap().to_bits(), bits, "{text}");
                assert_eq!(serde_json::from_str::<f32>(&text).unwrap().to_bits(), bits, "{text}");
            }
        }
    }
}
