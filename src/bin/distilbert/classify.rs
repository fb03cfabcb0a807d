//! `distilbert classify`: texts from the command line or standard input, one prediction for each.

use std::fmt;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::str::Utf8Error;

use clap::error::ErrorKind;
use clap::{Args, Command, ValueEnum};
use distilbert::{Classifier, Error, Prediction, Truncation};
use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::engine::WantedEngine;
use crate::failure::Failure;
use crate::lines::LineBatches;
use crate::model_folder::ModelFolder;
use crate::report::Report;
use crate::terminal;

/// Tokens that windows share unless `--stride` says otherwise.
const STRIDE: usize = 64;

/// Classify texts: those given, or one a line from standard input
#[derive(Args)]
#[command(after_help = "Examples:
  distilbert classify \"I can't believe we won!\"
  distilbert classify --json --top 3 < reviews.txt > emotions.jsonl")]
pub struct Arguments {
    /// Texts to classify; without any, each line of standard input is one
    #[arg(value_name = "TEXT")]
    texts: Vec<String>,

    /// Print one JSON object a line, in the order of the texts
    #[arg(long)]
    json: bool,

    /// Give only the K best labels
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u16).range(1..))]
    top: Option<u16>,

    #[command(flatten)]
    model: ModelFolder,

    /// Threads to compute with [default: the physical cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    #[command(flatten)]
    engine: WantedEngine,

    /// What to do with a text longer than the model takes
    #[arg(long, value_name = "HOW", value_enum, default_value_t = LongText::Right)]
    truncation: LongText,

    /// Tokens that neighbouring windows share [default: 64]
    #[arg(long, value_name = "N")]
    stride: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum LongText {
    /// Leave out what is too much at the end, and say how much
    Right,
    /// Refuse the text
    Error,
    /// Classify overlapping windows and average them
    Windows,
}

impl Arguments {
    fn truncation(&self) -> Truncation {
        match (self.truncation, self.stride) {
            (LongText::Windows, stride) => Truncation::Windows { stride: stride.unwrap_or(STRIDE) },
            (_, Some(_)) => Self::augment_args(Command::new("distilbert classify"))
                .error(ErrorKind::ArgumentConflict, "--stride needs --truncation windows")
                .exit(),
            (LongText::Error, None) => Truncation::Error,
            (LongText::Right, None) => Truncation::Right,
        }
    }
}

pub fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let truncation = arguments.truncation();
    let builder = Classifier::builder(arguments.model.find()?).truncation(truncation);
    let mut builder = arguments.engine.apply(builder);
    if let Some(threads) = arguments.threads {
        builder = builder.threads(threads.into());
    }
    let classifier = builder.build()?;
    let top = arguments.top.map(usize::from);
    let report = if arguments.json { Report::json(top) } else { Report::table(&classifier, top) };
    let refused = if arguments.texts.is_empty() {
        classify_standard_input(&classifier, report)?
    } else {
        classify_arguments(&classifier, report, &arguments.texts)?
    };
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Gives the number of texts refused.
fn classify_arguments(
    classifier: &Classifier,
    report: Report,
    texts: &[String],
) -> Result<usize, Failure> {
    let mut run = Run::new(classifier, report, "text", ProgressBar::hidden());
    run.batch(&texts.iter().map(String::as_bytes).collect::<Vec<_>>())?;
    Ok(run.refused)
}

/// Gives the number of lines refused.
fn classify_standard_input(classifier: &Classifier, report: Report) -> Result<usize, Failure> {
    let input = std::io::stdin().lock();
    let progress = if input.is_terminal() {
        terminal::print_note("Reading one text a line; Ctrl-D ends the input.");
        ProgressBar::hidden()
    } else {
        progress()
    };
    let mut run = Run::new(classifier, report, "line", progress);
    let mut batches = LineBatches::new(input);
    while let Some(lines) = batches.next_batch().map_err(Failure::Input)? {
        run.batch(&lines.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
    }
    run.progress.finish();
    Ok(run.refused)
}

/// A count of texts on standard error, where someone sees it and it does not mix with the output.
fn progress() -> ProgressBar {
    if !std::io::stderr().is_terminal() || std::io::stdout().is_terminal() {
        return ProgressBar::hidden();
    }
    let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
        // A progress display that cannot be written is no reason to stop.
        let _ = write!(out, "{:.0}", state.per_sec());
    };
    let style = ProgressStyle::with_template("{spinner} {human_pos} texts, {rate} a second");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::new_spinner().with_style(style.with_key("rate", rate))
}

/// Classifies texts batch by batch, and counts them.
struct Run<'a> {
    classifier: &'a Classifier,
    report: Report,
    /// What the texts are called in messages.
    unit: &'static str,
    progress: ProgressBar,
    seen: usize,
    refused: usize,
}

impl<'a> Run<'a> {
    fn new(
        classifier: &'a Classifier,
        report: Report,
        unit: &'static str,
        progress: ProgressBar,
    ) -> Self {
        Self { classifier, report, unit, progress, seen: 0, refused: 0 }
    }

    /// Reports on every text in order, and on standard error on those that are refused.
    fn batch(&mut self, texts: &[&[u8]]) -> Result<(), Failure> {
        self.classify(texts)?;
        self.report.flush().map_err(Failure::Output)
    }

    /// Classifies all texts at once, or if one of them is refused, each half for itself: so the
    /// others still go through in few and large batches.
    fn classify(&mut self, texts: &[&[u8]]) -> Result<(), Failure> {
        match predictions(self.classifier, texts) {
            Ok(predictions) => {
                for (text, prediction) in &predictions {
                    self.report.write(text, prediction).map_err(Failure::Output)?;
                }
                self.count(texts.len());
            }
            // No text would fare better.
            Err(Refusal::Library(error @ Error::Stride { .. })) => return Err(error.into()),
            Err(refusal) if texts.len() <= 1 => {
                self.count(texts.len());
                self.refuse(&refusal)?;
            }
            Err(_) => {
                let (first, second) = texts.split_at(texts.len() / 2);
                self.classify(first)?;
                self.classify(second)?;
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
        self.report.flush().map_err(Failure::Output)?;
        let message = format!("{} {}: {refusal}", self.unit, self.seen);
        self.progress.suspend(|| terminal::print_error(message));
        Ok(())
    }
}

fn predictions<'t>(
    classifier: &Classifier,
    texts: &[&'t [u8]],
) -> Result<Vec<(&'t str, Prediction)>, Refusal> {
    let texts: Vec<&str> =
        texts.iter().map(|text| str::from_utf8(text)).collect::<Result<_, _>>()?;
    let predictions = classifier.classify_batch(&texts)?;
    Ok(texts.into_iter().zip(predictions).collect())
}

/// Why a text is not classified.
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
