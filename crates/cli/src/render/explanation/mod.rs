//! Explanations as text or JSON.

mod json;
mod lines;
mod table;

use std::io::{BufWriter, Result, Write};

use distilbert::Classifier;
use distilbert::explain::{Curve, Explanation};

use self::table::Table;

/// Explanation of one text, with its perturbation curves.
pub struct Answer {
    pub explanation: Explanation,
    pub curves: Vec<Curve>,
}

/// Writer of explanations to standard output.
pub struct Report {
    out: Box<dyn Write>,
    format: Format,
}

enum Format {
    Table { is_first: bool },
    Json,
}

impl Report {
    /// Writes text for people.
    pub fn table() -> Self {
        let out = Box::new(BufWriter::new(anstream::stdout().lock()));
        Self { out, format: Format::Table { is_first: true } }
    }

    /// Writes one JSON object per line.
    pub fn json() -> Self {
        Self { out: Box::new(BufWriter::new(std::io::stdout().lock())), format: Format::Json }
    }

    /// Writes one explanation.
    pub fn write(&mut self, classifier: &Classifier, answer: &Answer) -> Result<()> {
        match &mut self.format {
            Format::Table { is_first } => {
                if !std::mem::replace(is_first, false) {
                    writeln!(self.out)?;
                }
                Table::new(classifier, answer).write(&mut self.out)
            }
            Format::Json => json::write(&mut self.out, classifier, answer),
        }
    }

    /// Flushes standard output.
    pub fn flush(&mut self) -> Result<()> {
        self.out.flush()
    }
}
