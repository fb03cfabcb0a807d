//! Texts from the command line or standard input, processed in batches.

use std::borrow::Cow;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::str::Utf8Error;

use distilbert::{Classifier, ClassifyOptions, Error, InputError, Prediction};
use indicatif::ProgressBar;

use crate::failure::Failure;
use crate::render::{progress, terminal};
use crate::table::Row;
use crate::table::column::Place;
use crate::table::lines::LineBatches;

/// Processing of texts.
pub trait Task {
    /// Result for one text.
    type Answer;

    /// Computes the result for each text.
    ///
    /// # Errors
    /// An error that does not depend on the texts.
    fn answers(&self, texts: &[&str]) -> Results<Self::Answer>;

    /// Writes the result for a text.
    fn write(&mut self, text: &str, answer: &Self::Answer) -> Result<(), Failure>;

    /// Flushes the output.
    fn flush(&mut self) -> Result<(), Failure>;
}

/// Result for each of some texts, or an error that concerns all of them.
pub type Results<A> = Result<Vec<Result<A, Error>>, Error>;

/// Classifies texts, each with its own result.
///
/// # Errors
/// An error that does not depend on the texts.
pub fn classify(
    classifier: &Classifier,
    texts: &[&str],
    options: &ClassifyOptions,
) -> Results<Prediction> {
    let results = classifier.classify_each(texts, options)?;
    Ok(results.into_iter().map(|result| result.map_err(Error::from)).collect())
}

/// Processes the given texts or, without any, each line of standard input.
pub fn process_all(task: impl Task, given: &[String]) -> Result<ExitCode, Failure> {
    if !given.is_empty() {
        return process(task, "text", &bytes(given));
    }
    let input = std::io::stdin().lock();
    let is_terminal = input.is_terminal();
    if is_terminal {
        print_input_note();
    }
    // A counter would get mixed up with results on the same terminal.
    let is_counted = !is_terminal && !std::io::stdout().is_terminal();
    let progress = if is_counted { progress::counter() } else { ProgressBar::hidden() };
    let mut run = Run::new(task, "line", progress);
    let mut batches = LineBatches::new(input);
    while let Some(lines) = batches.next_batch()? {
        run.batch(&lines.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
    }
    run.progress.finish();
    Ok(run.status())
}

/// Processes the given text or the line of standard input.
///
/// # Errors
/// [`Failure::NotOneText`] if there is not exactly one.
pub fn process_one(task: impl Task, given: &[String]) -> Result<ExitCode, Failure> {
    let mut line = Vec::new();
    let (unit, found) = if given.is_empty() {
        let input = std::io::stdin().lock();
        if input.is_terminal() {
            print_input_note();
        }
        let mut batches = LineBatches::new(input);
        let mut found = 0;
        // Stops at the second text, since the input may never end.
        while found < 2
            && let Some(batch) = batches.next_batch()?
        {
            found += batch.len();
            line = batch.into_iter().next().unwrap_or_default();
        }
        ("line", found)
    } else {
        line = given[0].clone().into_bytes();
        ("text", given.len())
    };
    match found {
        0 => Err(Failure::NotOneText { found: "none" }),
        1 => process(task, unit, &[&line]),
        _ => Err(Failure::NotOneText { found: "more than one" }),
    }
}

fn process(task: impl Task, unit: &'static str, texts: &[&[u8]]) -> Result<ExitCode, Failure> {
    let mut run = Run::new(task, unit, ProgressBar::hidden());
    run.batch(texts)?;
    Ok(run.status())
}

fn bytes(texts: &[String]) -> Vec<&[u8]> {
    texts.iter().map(String::as_bytes).collect()
}

fn print_input_note() {
    terminal::print_note("Reading one text per line; press Ctrl-D to finish.");
}

/// Run over the texts, with counts.
struct Run<T> {
    task: T,
    /// Name of a text in messages: `text` or `line`.
    unit: &'static str,
    progress: ProgressBar,
    /// Number of texts processed.
    seen: usize,
    /// Number of texts without a result.
    rejected: usize,
}

impl<T: Task> Run<T> {
    fn new(task: T, unit: &'static str, progress: ProgressBar) -> Self {
        Self { task, unit, progress, seen: 0, rejected: 0 }
    }

    fn status(&self) -> ExitCode {
        if self.rejected == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// Processes a batch in order, and reports rejected texts on standard error.
    fn batch(&mut self, texts: &[&[u8]]) -> Result<(), Failure> {
        let texts = texts.iter().map(|text| Ok(str::from_utf8(text)?)).collect();
        for answer in answer_each(|texts| self.task.answers(texts), texts)? {
            self.seen += 1;
            self.progress.inc(1);
            match answer {
                Ok((text, answer)) => self.task.write(text, &answer)?,
                Err(rejection) => self.reject(&rejection)?,
            }
        }
        self.task.flush()
    }

    /// Reports that the last text was rejected.
    fn reject(&mut self, rejection: &Rejection) -> Result<(), Failure> {
        self.rejected += 1;
        // On a terminal, the message should come after the previous results.
        self.task.flush()?;
        let message = format!("{} {}: {rejection}", self.unit, self.seen);
        self.progress.suspend(|| terminal::print_error(message));
        Ok(())
    }
}

/// Text and its result, or the reason why it has none.
pub type Answered<T, A> = Result<(T, A), Rejection>;

/// Processes the texts that are valid; a text that is rejected does not affect the others.
pub fn answer_each<'t, A>(
    answers: impl Fn(&[&'t str]) -> Results<A>,
    texts: Vec<Result<&'t str, Rejection>>,
) -> Result<Vec<Answered<&'t str, A>>, Error> {
    let valid: Vec<&str> = texts.iter().filter_map(|text| text.as_ref().ok().copied()).collect();
    let results = if valid.is_empty() { Vec::new() } else { answers(&valid)? };
    let mut results = results.into_iter();
    let mut answer = |text| results.next().map(|answer| Ok((text, answer?)));
    Ok(texts
        .into_iter()
        .filter_map(|text| text.map_or_else(|rejection| Some(Err(rejection)), &mut answer))
        .collect())
}

/// Processes the text of each row, like [`answer_each`].
pub fn answer_rows<'r, A>(
    answers: impl Fn(&[&str]) -> Results<A>,
    rows: impl IntoIterator<Item = &'r Row>,
    place: &Place,
) -> Result<Vec<Answered<Cow<'r, str>, A>>, Error> {
    let texts: Vec<_> = rows.into_iter().map(|row| row.text(place)).collect();
    let borrowed = texts.iter().map(|text| match text {
        Ok(text) => Ok(text.as_ref()),
        Err(reason) => Err(Rejection::Row(reason.clone())),
    });
    let answers = answer_each(answers, borrowed.collect())?;
    let answers: Vec<_> =
        answers.into_iter().map(|result| result.map(|(_, answer)| answer)).collect();
    // A row without a text has no result.
    let pair =
        |(text, answer): (Result<_, _>, Result<_, _>)| Ok((text.unwrap_or_default(), answer?));
    Ok(texts.into_iter().zip(answers).map(pair).collect())
}

/// Reason why a text has no result.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// The row has no valid text.
    #[error("{0}")]
    Row(String),

    #[error("not valid UTF-8 at byte {}", .0.valid_up_to() + 1)]
    Encoding(#[from] Utf8Error),

    // The row of the library's error counts within a batch, which means nothing to the user.
    #[error("{tokens} tokens, but the model takes at most {limit}")]
    TooLong { tokens: usize, limit: usize },

    #[error("more than {limit} tokens, but the model takes at most {limit}")]
    MuchTooLong { limit: usize },

    #[error(transparent)]
    Library(Error),
}

impl From<Error> for Rejection {
    fn from(error: Error) -> Self {
        match error {
            Error::Input(InputError::TooManyTokens { tokens, limit, .. }) => {
                Self::TooLong { tokens, limit }
            }
            Error::Input(InputError::TextTooLong { limit, .. }) => Self::MuchTooLong { limit },
            other => Self::Library(other),
        }
    }
}
