//! Texts from the command line or standard input, batch by batch, with an answer for each.

use std::borrow::Cow;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::str::Utf8Error;

use distilbert::{Error, ExplainError, InputError};
use indicatif::ProgressBar;

use crate::failure::Failure;
use crate::render::{progress, terminal};
use crate::table::Row;
use crate::table::column::Place;
use crate::table::lines::LineBatches;

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
        let texts = texts.iter().map(|text| Ok(str::from_utf8(text)?)).collect();
        for answer in answer_each(|texts| self.task.answers(texts), texts)? {
            self.seen += 1;
            self.progress.inc(1);
            match answer {
                Ok((text, answer)) => self.task.write(text, &answer)?,
                Err(refusal) => self.refuse(&refusal)?,
            }
        }
        self.task.flush()
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

/// A text and its answer, or why there is none.
pub type Answered<T, A> = Result<(T, A), Refusal>;

/// Answers each text by itself, though in large batches: one that is refused leaves the others be.
pub fn answer_each<'t, A>(
    answers: impl Fn(&[&'t str]) -> Result<Vec<A>, Error>,
    texts: Vec<Result<&'t str, Refusal>>,
) -> Result<Vec<Answered<&'t str, A>>, Error> {
    let sound: Vec<&str> = texts.iter().filter_map(|text| text.as_ref().ok().copied()).collect();
    let mut found = Vec::with_capacity(sound.len());
    answer_halves(&answers, &sound, &mut found)?;
    let mut found = found.into_iter();
    let mut answer = |text| found.next().map(|answer| Ok((text, answer?)));
    Ok(texts
        .into_iter()
        .filter_map(|text| text.map_or_else(|refusal| Some(Err(refusal)), &mut answer))
        .collect())
}

/// Answers the text of each row, as [`answer_each`] does.
pub fn answer_rows<'r, A>(
    answers: impl Fn(&[&str]) -> Result<Vec<A>, Error>,
    rows: impl IntoIterator<Item = &'r Row>,
    place: &Place,
) -> Result<Vec<Answered<Cow<'r, str>, A>>, Error> {
    let texts: Vec<_> = rows.into_iter().map(|row| row.text(place)).collect();
    let borrowed = texts.iter().map(|text| match text {
        Ok(text) => Ok(text.as_ref()),
        Err(reason) => Err(Refusal::Row(reason.clone())),
    });
    let answers = answer_each(answers, borrowed.collect())?;
    let answers: Vec<_> =
        answers.into_iter().map(|found| found.map(|(_, answer)| answer)).collect();
    // A row without a text has no answer.
    let pair =
        |(text, answer): (Result<_, _>, Result<_, _>)| Ok((text.unwrap_or_default(), answer?));
    Ok(texts.into_iter().zip(answers).map(pair).collect())
}

/// Answers all texts at once, or if one of them is refused, each half for itself: so the others still go
/// through in few and large batches.
fn answer_halves<'t, A>(
    answers: &impl Fn(&[&'t str]) -> Result<Vec<A>, Error>,
    texts: &[&'t str],
    found: &mut Vec<Result<A, Refusal>>,
) -> Result<(), Error> {
    if texts.is_empty() {
        return Ok(());
    }
    match answers(texts) {
        Ok(answers) => found.extend(answers.into_iter().map(Ok)),
        Err(error) if is_of_every_text(&error) => return Err(error),
        Err(error) if texts.len() == 1 => found.push(Err(error.into())),
        Err(_) => {
            let (first, second) = texts.split_at(texts.len() / 2);
            answer_halves(answers, first, found)?;
            answer_halves(answers, second, found)?;
        }
    }
    Ok(())
}

/// Whether no text would fare better.
fn is_of_every_text(error: &Error) -> bool {
    matches!(
        error,
        Error::Input(InputError::Stride { .. })
            | Error::Explain(
                ExplainError::NoBackwardPass { .. }
                    | ExplainError::UnknownLabel { .. }
                    | ExplainError::SameLabel { .. }
                    | ExplainError::NoProbability
                    | ExplainError::NoToken { .. }
            )
    )
}

/// Why a text has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no text: what is wrong with its row.
    #[error("{0}")]
    Row(String),

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
            Error::Input(InputError::TooManyTokens { tokens, limit, .. }) => {
                Self::TooLong { tokens, limit }
            }
            other => Self::Library(other),
        }
    }
}
