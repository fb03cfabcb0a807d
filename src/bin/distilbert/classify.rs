//! `distilbert classify`: texts from the command line or standard input, one prediction for each.

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Command, ValueEnum};
use distilbert::{Classifier, Error, Prediction, Truncation};

use crate::engine::WantedEngine;
use crate::failure::Failure;
use crate::model_folder::ModelFolder;
use crate::report::Report;
use crate::texts::{self, Task};

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
    let classifier = arguments.engine.apply(builder).build()?;
    let top = arguments.top.map(usize::from);
    let report = if arguments.json { Report::json(top) } else { Report::table(&classifier, top) };
    texts::answer_all(Classify { classifier, report }, &arguments.texts)
}

struct Classify {
    classifier: Classifier,
    report: Report,
}

impl Task for Classify {
    type Answer = Prediction;

    fn answers(&self, texts: &[&str]) -> Result<Vec<Prediction>, Error> {
        self.classifier.classify_batch(texts)
    }

    fn write(&mut self, text: &str, prediction: &Prediction) -> Result<(), Failure> {
        self.report.write(text, prediction).map_err(Failure::Output)
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.report.flush().map_err(Failure::Output)
    }
}
