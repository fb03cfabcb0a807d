//! Predictions for the rows of a table, and a count of the rows that have none.

use std::process::ExitCode;

use distilbert::{Classifier, Prediction};

use crate::failure::Failure;
use crate::render::progress::RowProgress;
use crate::render::terminal;
use crate::texts::{Refusal, answer_each};

pub struct Answers<'c> {
    pub classifier: &'c Classifier,
    /// Whether a row without a prediction ends the work.
    pub strict: bool,
    pub progress: RowProgress,
    /// Rows without a prediction.
    pub failed: u64,
    /// Texts that were longer than the model takes.
    truncated: u64,
}

impl<'c> Answers<'c> {
    pub fn new(classifier: &'c Classifier, strict: bool) -> Self {
        Self { classifier, strict, progress: RowProgress::hidden(), failed: 0, truncated: 0 }
    }

    /// A prediction for each row's text. A row that has none is reported: `fault` makes a message of its
    /// place among the texts and the reason.
    pub fn predict(
        &mut self,
        texts: &[Result<&str, String>],
        fault: impl Fn(usize, &Refusal) -> Failure,
    ) -> Result<Vec<Option<Prediction>>, Failure> {
        let mut predictions = Vec::with_capacity(texts.len());
        for (index, answer) in self.answers(texts)?.into_iter().enumerate() {
            if let Err(refusal) = &answer {
                let fault = fault(index, refusal);
                if self.strict {
                    return Err(fault);
                }
                self.failed += 1;
                self.progress.suspend(|| terminal::print_error(fault));
            }
            let prediction = answer.ok();
            self.truncated += u64::from(prediction.as_ref().is_some_and(Prediction::truncated));
            predictions.push(prediction);
        }
        Ok(predictions)
    }

    /// The prediction of a row that was reported and counted before.
    pub fn again(&self, text: Result<&str, String>) -> Result<Option<Prediction>, Failure> {
        Ok(self.answers(&[text])?.pop().and_then(Result::ok))
    }

    fn answers(
        &self,
        texts: &[Result<&str, String>],
    ) -> Result<Vec<Result<Prediction, Refusal>>, Failure> {
        let texts = texts.iter().map(|text| text.clone().map_err(Refusal::Row)).collect();
        let answers = answer_each(|texts| self.classifier.classify_batch(texts), texts)?;
        Ok(answers.into_iter().map(|answer| answer.map(|(_, prediction)| prediction)).collect())
    }

    /// Ends the work, with the status that says whether all rows have predictions.
    pub fn finish(self) -> ExitCode {
        self.progress.finish();
        if self.truncated > 0 {
            let limit = self.classifier.config().max_position_embeddings;
            let (texts, were) =
                if self.truncated == 1 { ("text", "was") } else { ("texts", "were") };
            let count = self.truncated;
            terminal::print_note(format!(
                "{count} {texts} {were} cut to the {limit} tokens that the model takes."
            ));
        }
        if self.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
