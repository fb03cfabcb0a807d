//! Texts from the command line or standard input, batch by batch, with an answer for each.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::str::Utf8Error;

use distilbert::Error;
use indicatif::ProgressBar;

use crate::failure::Failure;
use crate::lines::LineBatches;
use crate::{progress, terminal};

/// What is done with texts.
pub trait Task {
    type Answer;

    /// An answer for each text, or why one of them is refused.
    fn answers(&self, texts: &[&str]) -> Result<Vec<Self::Answer>, Error>;

    fn write(&mut self, text: &str, answer: &Self::Answer) -> Result<(), Failure>;

    /// Brings to the reader what has been written.
    fn flush(&mut self) -> Result<(), Failure>;
}

/// Answers the texts given or, without any, each line of standard input.
pub fn answer_all(task: impl Task, given: &[String]) -> Result<ExitCode, Failure> {
    if !given.is_empty() {
        return answer(task, "text", &bytes(given));
    }
    let input = std::io::stdin().lock();
    let is_typed = input.is_terminal();
    if is_typed {
        note_the_end_of_input();
    }
    // A count would mix with answers on the same terminal.
    let is_counted = !is_typed && !std::io::stdout().is_terminal();
    let progress = if is_counted { progress::counter() } else { ProgressBar::hidden() };
    let mut run = Run::new(task, "line", progress);
    let mut batches = LineBatches::new(input);
    while let Some(lines) = batches.next_batch().map_err(Failure::Input)? {
        run.batch(&lines.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
    }
    run.progress.finish();
    Ok(run.status())
}

/// Answers the text given or the line of standard input, of which there must be one.
pub fn answer_one(task: impl Task, given: &[String]) -> Result<ExitCode, Failure> {
    let mut lines = Vec::new();
    let (unit, texts) = if given.is_empty() {
        let input = std::io::stdin().lock();
        if input.is_terminal() {
            note_the_end_of_input();
        }
        let mut batches = LineBatches::new(input);
        while let Some(batch) = batches.next_batch().map_err(Failure::Input)? {
            lines.extend(batch);
        }
        ("line", lines.iter().map(Vec::as_slice).collect())
    } else {
        ("text", bytes(given))
    };
    match texts.len() {
        1 => answer(task, unit, &texts),
        found => Err(Failure::NotOneText { found }),
    }
}

fn answer(task: impl Task, unit: &'static str, texts: &[&[u8]]) -> Result<ExitCode, Failure> {
    let mut run = Run::new(task, unit, ProgressBar::hidden());
    run.batch(texts)?;
    Ok(run.status())
}

fn bytes(texts: &[String]) -> Vec<&[u8]> {
    texts.iter().map(String::as_bytes).collect()
}

fn note_the_end_of_input() {
    terminal::print_note("Reading one text a line; Ctrl-D ends the input.");
}

/// Answers texts batch by batch, and counts them.
struct Run<T> {
    task: T,
    /// What the texts are called in messages.
    unit: &'static str,
    progress: ProgressBar,
    seen: usize,
    refused: usize,
}

impl<T: Task> Run<T> {
    fn new(task: T, unit: &'static str, progress: ProgressBar) -> Self {
        Self { task, unit, progress, seen: 0, refused: 0 }
    }

    fn status(&self) -> ExitCode {
        if self.refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// Answers every text in order, and says on standard error which are refused.
    fn batch(&mut self, texts: &[&[u8]]) -> Result<(), Failure> {
        self.answer(texts)?;
        self.task.flush()
    }

    /// Answers all texts at once, or if one of them is refused, each half for itself: so the others
    /// still go through in few and large batches.
    fn answer(&mut self, texts: &[&[u8]]) -> Result<(), Failure> {
        match answers(&self.task, texts) {
            Ok(answers) => {
                for (text, answer) in &answers {
                    self.task.write(text, answer)?;
                }
                self.count(texts.len());
            }
            Err(Refusal::Library(error)) if is_of_every_text(&error) => return Err(error.into()),
            Err(refusal) if texts.len() <= 1 => {
                self.count(texts.len());
                self.refuse(&refusal)?;
            }
            Err(_) => {
                let (first, second) = texts.split_at(texts.len() / 2);
                self.answer(first)?;
                self.answer(second)?;
            }
        }
        Ok(())
    }

    fn count(&mut self, texts: usize) {
        self.seen += texts;
        self.progress.inc(texts as u64);
    }

    /// Says that the text seen last is refused.
    fn refuse(&mut self, refusal: &Refusal) -> Result<(), Failure> {
        self.refused += 1;
        // Where both go to one terminal, the message comes after the answers before it.
        self.task.flush()?;
        let message = format!("{} {}: {refusal}", self.unit, self.seen);
        self.progress.suspend(|| terminal::print_error(message));
        Ok(())
    }
}

fn answers<'t, T: Task>(
    task: &T,
    texts: &[&'t [u8]],
) -> Result<Vec<(&'t str, T::Answer)>, Refusal> {
    let texts: Vec<&str> =
        texts.iter().map(|text| str::from_utf8(text)).collect::<Result<_, _>>()?;
    let answers = task.answers(&texts)?;
    Ok(texts.into_iter().zip(answers).collect())
}

/// Whether no text would fare better.
fn is_of_every_text(error: &Error) -> bool {
    matches!(
        error,
        Error::Stride { .. }
            | Error::NoBackwardPass { .. }
            | Error::UnknownLabel { .. }
            | Error::SameLabel { .. }
            | Error::NoProbability
            | Error::NoToken { .. }
    )
}

/// Why a text has no answer.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("not valid UTF-8 from byte {} on", .0.valid_up_to() + 1)]
    Encoding(#[from] Utf8Error),

    // The library counts rows within a batch, which says nothing to the user.
    #[error("{tokens} tokens, but the model takes {limit} at most")]
    TooLong { tokens: usize, limit: usize },

    #[error(transparent)]
    Library(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::TooManyTokens { tokens, limit, .. } => Self::TooLong { tokens, limit },
            other => Self::Library(other),
        }
    }
}
