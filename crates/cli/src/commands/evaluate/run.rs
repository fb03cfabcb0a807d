//! The run over the rows of a table.

use std::time::{Duration, Instant};

use distilbert::{Classifier, ClassifyOptions, ProblemType};
use distilbert_evaluate::{Evaluation, Row as LabeledRow};

use crate::args::labels::LabelMapping;
use crate::failure::Failure;
use crate::render::progress::RowProgress;
use crate::render::terminal;
use crate::table::{Cell, Row, Table};
use crate::texts::{Rejection, answer_rows, classify};

/// Numbers of rows by outcome.
#[derive(Default)]
pub(super) struct Counts {
    /// Skipped rows with several labels.
    pub multi: u64,
    /// Skipped rows without a label.
    pub unlabeled: u64,
    /// Rows that could not be read or classified.
    pub failed: u64,
    /// Texts that exceeded the model's token limit.
    pub truncated: u64,
    /// Time spent on classification.
    pub time: Duration,
}

/// Evaluation in progress.
pub(super) struct Run<'c> {
    pub classifier: &'c Classifier,
    pub labels: LabelMapping,
    /// `true` if rows with several labels are skipped for a single-label model.
    pub skip_multi: bool,
    /// `true` if rows without a label are skipped.
    pub skip_unlabeled: bool,
    pub table: Table,
    pub evaluation: Evaluation,
    pub progress: RowProgress,
    pub counts: Counts,
}

impl Run<'_> {
    /// Evaluates all rows.
    pub(super) fn run(&mut self) -> Result<(), Failure> {
        let mut rows = Vec::new();
        while self.table.read_chunk(&mut rows)? {
            self.evaluate(&rows)?;
            self.progress.advance(rows.len(), self.table.position());
        }
        self.progress.finish_and_clear();
        Ok(())
    }

    fn evaluate(&mut self, rows: &[Row]) -> Result<(), Failure> {
        let mut labeled = Vec::new();
        for row in rows {
            let truth = match row.cell(&self.table.places()[1]) {
                Ok(cell) => self.truth(row, &cell)?,
                Err(reason) => {
                    self.fail(row, &Rejection::Row(reason));
                    continue;
                }
            };
            if let Some(truth) = truth {
                labeled.push((row, truth));
            }
        }
        let start = Instant::now();
        let answers = answer_rows(
            |texts| classify(self.classifier, texts, &ClassifyOptions::default()),
            labeled.iter().map(|(row, _)| *row),
            &self.table.places()[0],
        )?;
        self.counts.time += start.elapsed();
        for ((row, truth), answer) in labeled.into_iter().zip(answers) {
            match answer {
                Err(rejection) => self.fail(row, &rejection),
                Ok((text, prediction)) => {
                    self.counts.truncated += u64::from(prediction.truncated());
                    let labeled = LabeledRow::new(&truth, prediction.scores())
                        .number(row.number as usize)
                        .text(&text)
                        .tokens(prediction.tokens());
                    self.evaluation.push(&labeled)?;
                }
            }
        }
        Ok(())
    }

    /// Returns the ids of a row's labels; `None` if the row is skipped.
    fn truth(&mut self, row: &Row, cell: &Cell<'_>) -> Result<Option<Vec<usize>>, Failure> {
        let is_multi_label =
            self.classifier.problem_type() == ProblemType::MultiLabelClassification;
        let ids = self.labels.ids_of_cell(cell);
        let ids = ids.map_err(|reason| self.table.invalid_row(row, &reason))?;
        match ids {
            Some(ids) if is_multi_label || ids.len() == 1 => Ok(Some(ids)),
            Some(ids) if ids.len() > 1 => {
                self.counts.multi += 1;
                let reason = format!(
                    "{} labels, but the model predicts one label per text: pass --skip-multi to skip such rows",
                    ids.len()
                );
                if self.skip_multi { Ok(None) } else { Err(self.table.invalid_row(row, &reason)) }
            }
            _ => {
                self.counts.unlabeled += 1;
                let reason = "no label: pass --skip-unlabeled to skip such rows";
                if self.skip_unlabeled {
                    Ok(None)
                } else {
                    Err(self.table.invalid_row(row, &reason))
                }
            }
        }
    }

    /// Reports and counts a row that could not be read or classified.
    fn fail(&mut self, row: &Row, rejection: &Rejection) {
        self.counts.failed += 1;
        let failure = self.table.invalid_row(row, rejection);
        self.progress.suspend(|| terminal::print_error(&failure));
    }
}
