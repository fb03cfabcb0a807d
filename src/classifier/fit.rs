//! Tokenization of texts, on the classifier's threads if there are many.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Classifier, ClassifyOptions};
use crate::error::InputError;
use crate::input::truncation::{FittedText, Fitting, Truncation};

/// Number of bytes of text at which a task is complete. Such a task takes a few hundred microseconds: about as long as
/// waking a thread for it, and much longer than handing it to a thread that is awake.
const TASK_BYTES: usize = 1024;

impl Classifier {
    /// Tokenizes texts and fits them to the model; results are in the order of the texts.
    ///
    /// # Errors
    /// The first error for which `is_fatal` returns `true`.
    pub(super) fn fit_each(
        &self,
        texts: &[&str],
        options: &ClassifyOptions,
        is_fatal: impl Fn(&InputError) -> bool + Sync,
    ) -> Result<Vec<Result<FittedText, InputError>>, InputError> {
        let tasks = split(texts);
        let results: Vec<OnceLock<Vec<_>>> = tasks.iter().map(|_| OnceLock::new()).collect();
        // The first task that is known to have met a fatal error. The results of later tasks are not needed.
        let failed = AtomicUsize::new(usize::MAX);
        let run = |task: usize| {
            let mut fitted = Vec::with_capacity(tasks[task].len());
            for row in tasks[task].clone() {
                if failed.load(Ordering::Relaxed) < task {
                    return;
                }
                let result = self.fit_with(row, texts[row], options);
                let is_last = result.as_ref().is_err_and(&is_fatal);
                fitted.push(result);
                if is_last {
                    failed.fetch_min(task, Ordering::Relaxed);
                    break;
                }
            }
            // Each task runs once.
            let _ = results[task].set(fitted);
        };
        // While other calls occupy the threads, this one need not wait for them.
        let mut next = 0;
        while next < tasks.len() {
            let rest = tasks.len() - next;
            if rest > 1 && self.engine.try_share(rest, &|task| run(next + task)) {
                break;
            }
            run(next);
            next += 1;
        }
        let mut all = Vec::with_capacity(texts.len());
        for result in results.into_iter().map_while(OnceLock::into_inner).flatten() {
            match result {
                Err(error) if is_fatal(&error) => return Err(error),
                result => all.push(result),
            }
        }
        Ok(all)
    }

    /// Tokenizes a text and fits it to the model, with the options of a call.
    pub(crate) fn fit_with(
        &self,
        row: usize,
        text: &str,
        options: &ClassifyOptions,
    ) -> Result<FittedText, InputError> {
        let &ClassifyOptions { truncation, count_dropped_tokens: counts_dropped, max_tokens } =
            options;
        let fitting = self.fitting(row, truncation);
        let limit = max_tokens.map_or(fitting.limit, |most| most.min(fitting.limit));
        self.fit(text, Fitting { counts_dropped, limit, ..fitting })
    }

    /// Tokenizes a text and fits it to the model.
    pub(crate) fn fit(&self, text: &str, fitting: Fitting) -> Result<FittedText, InputError> {
        let fitted = self.tokenizer()?.fit(text, fitting)?;
        let (row, vocab_size) = (fitting.row, self.config().vocab_size);
        match fitted.kept.ids.iter().find(|&&id| id as usize >= vocab_size) {
            Some(&id) => Err(InputError::TokenId { row, id, vocab_size }),
            None => Ok(fitted),
        }
    }

    /// Returns the limits for a text; without a truncation, the classifier's own applies.
    pub(crate) fn fitting(&self, row: usize, truncation: Option<Truncation>) -> Fitting {
        let (limit, truncation) = (self.max_tokens(), truncation.unwrap_or(self.truncation));
        Fitting { row, limit, truncation, counts_dropped: false, places: false }
    }
}

/// Splits texts into tasks of consecutive ones.
fn split(texts: &[&str]) -> Vec<Range<usize>> {
    let (mut tasks, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (index, text) in texts.iter().enumerate() {
        bytes += text.len();
        if bytes >= TASK_BYTES || index + 1 == texts.len() {
            tasks.push(start..index + 1);
            (start, bytes) = (index + 1, 0);
        }
    }
    tasks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_cover_the_texts_once_and_in_order() {
        let (short, long) = ("text".to_owned(), "text ".repeat(1000));
        for texts in [
            vec![],
            vec![&short],
            vec![&long],
            vec![&short; 1000],
            vec![&long, &short, &short, &long, &long, &short],
        ] {
            let texts: Vec<&str> = texts.into_iter().map(String::as_str).collect();
            let tasks = split(&texts);
            assert!(tasks.iter().cloned().flatten().eq(0..texts.len()));
            for task in &tasks[..tasks.len().saturating_sub(1)] {
                let bytes: usize = texts[task.clone()].iter().map(|text| text.len()).sum();
                assert!((TASK_BYTES..2 * TASK_BYTES + long.len()).contains(&bytes));
            }
        }
    }
}
