//! `distilbert classify`: a prediction for each text of the command line, of standard input or of a table.

mod answers;
mod file;
#[cfg(feature = "parquet")]
mod parquet;
mod resume;
mod rows;

use std::process::ExitCode;

use clap::Args;
use distilbert::{Classifier, Error, Prediction};

use crate::args::engine::WantedEngine;
use crate::args::long_text::LongTexts;
use crate::args::model_folder::ModelFolder;
use crate::failure::{Failure, end_over_usage};
use crate::render::report::Report;
use crate::table::TableOptions;
use crate::texts::{self, Task};

use self::file::FileOptions;

/// Classify texts: those given, one a line from standard input, or the rows of a table
///
/// With --input, every row of the table is written again with two columns more, `label` and `score`. The
/// table may be of any size: memory stays small, and what was interrupted is gone on with by --resume.
#[derive(Args)]
#[command(after_help = "Examples:
  distilbert classify \"I can't believe we won!\"
  distilbert classify --json --top 3 < reviews.txt > emotions.jsonl
  distilbert classify --input reviews.csv --output emotions.csv --text-column review
  sort -u posts.txt | distilbert classify --input - --format tsv --no-header | cut -f 2 | uniq -c")]
pub struct Arguments {
    /// Texts to classify; without any, each line of standard input is one
    #[arg(value_name = "TEXT", conflicts_with = "input")]
    texts: Vec<String>,

    /// Print one JSON object a line, in the order of the texts
    #[arg(long, conflicts_with = "input")]
    json: bool,

    /// Give only the K best labels
    #[arg(long, value_name = "K", conflicts_with = "input",
        value_parser = clap::value_parser!(u16).range(1..))]
    top: Option<u16>,

    #[command(flatten)]
    model: ModelFolder,

    #[command(flatten)]
    engine: WantedEngine,

    #[command(flatten)]
    long_texts: LongTexts,

    #[command(flatten, next_help_heading = "Tables")]
    file: FileOptions,

    #[command(flatten)]
    table: TableOptions,
}

pub fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let truncation = arguments
        .long_texts
        .truncation()
        .unwrap_or_else(|why| end_over_usage::<Arguments>("distilbert classify", why));
    if arguments.file.input.is_none() && arguments.table.is_given() {
        end_over_usage::<Arguments>("distilbert classify", "options of tables need --input");
    }
    let builder = Classifier::builder(arguments.model.find()?).truncation(truncation);
    let classifier = arguments.engine.apply(builder).build()?;
    if let Some(input) = &arguments.file.input {
        return file::run(&classifier, input, &arguments.file, &arguments.table);
    }
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
