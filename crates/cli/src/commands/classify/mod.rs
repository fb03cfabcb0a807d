//! `distilbert classify`: predictions for texts, for lines of standard input, or for the rows of a table.

mod answers;
mod file;
#[cfg(feature = "parquet")]
mod parquet;
mod resume;
mod rows;

use std::process::ExitCode;

use clap::Args;
use distilbert::{Classifier, ClassifyOptions, Prediction};

use self::file::{FileJob, FileOptions};
#[cfg(all(feature = "fuzzing", feature = "parquet"))]
pub use self::parquet::with_added;
use crate::args::model::ClassifierOptions;
use crate::failure::Failure;
use crate::files::{self, Source};
use crate::render::prediction::Report;
use crate::table::TableOptions;
use crate::texts::{self, Results, Task};

/// Classify the given texts, each line of standard input, or the rows of a table
///
/// With --input, every row of the table is written with two additional columns, `label` and `score`. Memory use does not
/// depend on the size of the table. --resume continues an interrupted run, even after `kill -9`; the output is
/// byte-identical to that of an uninterrupted run.
#[derive(Args)]
#[command(after_help = "Examples:
  distilbert classify \"I can't believe we won!\"
  distilbert classify --json --top 3 < reviews.txt > emotions.jsonl
  distilbert classify --input reviews.csv --output emotions.csv --text-column review
  sort -u posts.txt | distilbert classify --input - --format tsv --no-header | cut -f 2 | sort | uniq -c")]
pub struct Arguments {
    /// Texts to classify [default: each line of standard input]
    #[arg(value_name = "TEXT", conflicts_with = "input")]
    texts: Vec<String>,

    /// Print one JSON object per line, in the order of the texts
    #[arg(long, conflicts_with = "input")]
    json: bool,

    /// Print only the K labels with the highest scores
    #[arg(long, value_name = "K", conflicts_with = "input",
        value_parser = clap::value_parser!(u16).range(1..))]
    top: Option<u16>,

    #[command(flatten)]
    classifier: ClassifierOptions,

    /// Count the dropped tokens of every text that is cut, which takes time in proportion to the text [default: only
    /// those of texts up to 16 KiB]
    #[arg(long, conflicts_with = "input")]
    count_dropped_tokens: bool,

    #[command(flatten, next_help_heading = "Tables")]
    file: FileOptions,

    #[command(flatten)]
    table: TableOptions,
}

pub fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let builder = arguments.classifier.builder()?;
    if arguments.file.input.is_none() && arguments.table.is_given() {
        return Err(Failure::Usage("table options require --input"));
    }
    let classifier = builder.build()?;
    if let Some(input) = &arguments.file.input {
        return FileJob::new(input, &arguments.file, &arguments.table)?.run(&classifier);
    }
    if arguments.texts.is_empty() {
        files::check_standard_output(&Source::standard_input())?;
    }
    let top = arguments.top.map(usize::from);
    let report = if arguments.json { Report::json(top) } else { Report::table(&classifier, top) };
    let options = ClassifyOptions::default().count_dropped_tokens(arguments.count_dropped_tokens);
    texts::process_all(Classify { classifier, options, report }, &arguments.texts)
}

struct Classify {
    classifier: Classifier,
    options: ClassifyOptions,
    report: Report,
}

impl Task for Classify {
    type Answer = Prediction;

    fn answers(&self, texts: &[&str]) -> Results<Prediction> {
        texts::classify(&self.classifier, texts, &self.options)
    }

    fn write(&mut self, text: &str, prediction: &Prediction) -> Result<(), Failure> {
        self.report.write(text, prediction).map_err(Failure::Output)
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.report.flush().map_err(Failure::Output)
    }
}
