//! Predictions for the rows of a table, with counts of failed rows and truncated texts.

use std::process::ExitCode;

use distilbert::{Classifier, ClassifyOptions, Prediction};

use crate::failure::Failure;
use crate::render::progress::RowProgress;
use crate::render::terminal;
use crate::texts::{Rejection, answer_each, classify};

/// Classifier of rows.
pub struct Answers<'c> {
    classifier: &'c Classifier,
    /// `true` if a row without a prediction stops the run.
    strict: bool,
    pub progress: RowProgress,
    /// Number of rows without a prediction.
    pub failed: u64,
    /// Number of texts that exceeded the model's token limit.
    truncated: u64,
}

impl<'c> Answers<'c> {
    pub fn new(classifier: &'c Classifier, strict: bool) -> Self {
        Self { classifier, strict, progress: RowProgress::hidden(), failed: 0, truncated: 0 }
    }

    /// Classifies the text of each row. A row without a prediction is reported, with the error that `failure` returns for
    /// its index and the reason.
    pub fn predict(
        &mut self,
        texts: &[Result<&str, String>],
        failure: impl Fn(usize, &Rejection) -> Failure,
    ) -> Result<Vec<Option<Prediction>>, Failure> {
        let mut predictions = Vec::with_capacity(texts.len());
        for (index, answer) in self.answers(texts)?.into_iter().enumerate() {
            if let Err(rejection) = &answer {
                let failure = failure(index, rejection);
                if self.strict {
                    return Err(failure);
                }
                self.failed += 1;
                self.progress.suspend(|| terminal::print_error(failure));
            }
            let prediction = answer.ok();
            self.truncated += u64::from(prediction.as_ref().is_some_and(Prediction::truncated));
            predictions.push(prediction);
        }
        Ok(predictions)
    }

    /// Classifies a row of an earlier run again, without reporting or counting it.
    pub fn predict_again(&self, text: Result<&str, String>) -> Result<Option<Prediction>, Failure> {
        Ok(self.answers(&[text])?.pop().and_then(Result::ok))
    }

    fn answers(
        &self,
        texts: &[Result<&str, String>],
    ) -> Result<Vec<Result<Prediction, Rejection>>, Failure> {
        let texts = texts.iter().map(|text| text.clone().map_err(Rejection::Row)).collect();
        let options = ClassifyOptions::default();
        let answers = answer_each(|texts| classify(self.classifier, texts, &options), texts)?;
        Ok(answers.into_iter().map(|answer| answer.map(|(_, prediction)| prediction)).collect())
    }

    /// Reports truncated texts, and returns the exit status.
    pub fn finish(self) -> ExitCode {
        self.progress.finish();
        if self.truncated > 0 {
            let limit = self.classifier.max_tokens();
            let texts = match self.truncated {
                1 => "1 text was".to_owned(),
                count => format!("{count} texts were"),
            };
            terminal::print_note(format!(
                "{texts} truncated to the model's limit of {limit} tokens."
            ));
        }
        terminal::status(self.failed)
    }
}
