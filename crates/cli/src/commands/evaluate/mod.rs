//! `distilbert evaluate`: precision, recall, F1, calibration and mistakes on labeled rows.

mod json;
mod run;
mod text;

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use distilbert::Classifier;
use distilbert_evaluate::{Evaluation, EvaluationOptions, Report};
use distilbert_report::evaluation::Page;

use self::run::{Counts, Run};
use crate::args::labels::LabelOptions;
use crate::args::model::ClassifierOptions;
use crate::failure::Failure;
use crate::files::{self, Source};
use crate::render::progress::RowProgress;
use crate::render::{self, terminal};
use crate::table::{Table, TableOptions};

/// Evaluate a model on labeled rows: precision, recall, F1, calibration and mistakes
///
/// Prints scikit-learn's classification report, 95% bootstrap intervals, top-k accuracy, log loss and the expected
/// calibration error, then the most confused labels, the mistakes by text length, and the most confident mistakes.
/// Labels are names or numbers. If a row has several labels, separate them with commas or use a JSON list.
#[derive(Args)]
#[command(after_help = "Examples:
  distilbert evaluate reviews.csv --text-column review --label-column emotion --map joy=happiness
  distilbert evaluate dev.tsv --no-header --label-names labels.txt --map joy=happiness --skip-multi
  distilbert evaluate --json reviews.jsonl --report report.html > report.json")]
pub struct Arguments {
    /// Table of labeled texts: CSV, TSV, JSON Lines or Parquet; - for standard input
    #[arg(value_name = "DATA")]
    data: PathBuf,

    #[command(flatten)]
    labels: LabelOptions,

    /// Skip rows with several labels if the model predicts one label per text
    #[arg(long)]
    skip_multi: bool,

    /// Skip rows without a label
    #[arg(long, alias = "skip-unlabelled")]
    skip_unlabeled: bool,

    /// Read only the first N rows
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,

    /// Number of decimal places
    #[arg(long, value_name = "N", default_value_t = 2,
        value_parser = clap::value_parser!(u8).range(0..=15))]
    digits: u8,

    /// Print the top-k accuracy for k from 2 to K
    #[arg(long, value_name = "K", default_value_t = 3,
        value_parser = clap::value_parser!(u16).range(1..))]
    top: u16,

    /// Number of bins for the calibration error
    #[arg(long, value_name = "N", default_value_t = 15,
        value_parser = clap::value_parser!(u16).range(1..=1000))]
    bins: u16,

    /// Maximum number of mistakes to list, most confident first
    #[arg(long, value_name = "N", default_value_t = 20)]
    mistakes: u16,

    /// Number of bootstrap resamples for the intervals
    #[arg(long, value_name = "N", default_value_t = 2000,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    resamples: u32,

    /// Seed for the bootstrap
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// Print one JSON object with all results
    #[arg(long)]
    json: bool,

    /// Write an HTML page with tables and charts
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    #[command(flatten)]
    classifier: ClassifierOptions,

    #[command(flatten, next_help_heading = "Tables")]
    table: TableOptions,
}

impl Arguments {
    fn options(&self) -> EvaluationOptions {
        EvaluationOptions::default()
            .bins(self.bins.into())
            .top_k(self.top.into())
            .mistakes(self.mistakes.into())
            .resamples(self.resamples as usize)
            .seed(self.seed)
    }
}

pub fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let builder = arguments.classifier.builder()?;
    let columns = [arguments.table.text_column(), arguments.labels.column()];
    let table = Table::open(&arguments.data, &arguments.table, &columns)?;
    let table = table.limit(arguments.limit.unwrap_or(u64::MAX));
    let classifier = builder.build()?;
    let (labels, problem_type) = (classifier.labels(), classifier.problem_type());
    let mut run = Run {
        evaluation: Evaluation::new(labels, problem_type, &arguments.options())?,
        labels: arguments.labels.mapping(labels)?,
        progress: RowProgress::new(table.size()),
        classifier: &classifier,
        table,
        skip_multi: arguments.skip_multi,
        skip_unlabeled: arguments.skip_unlabeled,
        counts: Counts::default(),
    };
    if let Some(path) = &arguments.report {
        let mut sources = Source::of_folder(&classifier.info().folder);
        sources.push(Source::new(&arguments.data));
        sources.extend(arguments.labels.names_file().map(Source::new));
        files::check_output(path, &sources)?;
        check_writable(path)?;
    }
    run.run()?;
    let results = Results {
        data: &arguments.data,
        classifier: &classifier,
        report: &run.evaluation.report()?,
        counts: &run.counts,
        digits: arguments.digits.into(),
    };
    if let Some(path) = &arguments.report {
        let page = results.page();
        fs::write(path, page).map_err(|source| Failure::Write { path: path.clone(), source })?;
    }
    if arguments.json {
        render::json::print(&results.json())?;
    } else {
        terminal::print(&results.text())?;
    }
    Ok(terminal::status(run.counts.failed))
}

/// Checks that a file can be written before a long run, and leaves it as it was.
fn check_writable(path: &Path) -> Result<(), Failure> {
    let failure = |source| Failure::Write { path: path.to_owned(), source };
    let is_new = !path.try_exists().map_err(failure)?;
    if !is_new && !fs::metadata(path).map_err(failure)?.is_file() {
        // A pipe would be closed before the page is written; a folder fails in either case.
        return if path.is_dir() { Err(failure(ErrorKind::IsADirectory.into())) } else { Ok(()) };
    }
    OpenOptions::new().create(true).append(true).open(path).map_err(failure)?;
    if is_new {
        fs::remove_file(path).map_err(failure)?;
    }
    Ok(())
}

/// Report of an evaluation, with its settings.
struct Results<'a> {
    data: &'a Path,
    classifier: &'a Classifier,
    report: &'a Report,
    counts: &'a Counts,
    /// Number of decimal places.
    digits: usize,
}

impl Results<'_> {
    fn rows_per_second(&self) -> f64 {
        self.report.rows() as f64 / self.counts.time.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Returns names and values of the settings.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let &Self { data, classifier, report, .. } = self;
        let info = classifier.info();
        let (threads, device, s) = (info.threads, info.device, terminal::plural(info.threads));
        let rate = self.rows_per_second();
        let rate = if rate < 100.0 { format!("{rate:.1}") } else { format!("{rate:.0}") };
        vec![
            ("data", data.display().to_string()),
            ("rows", self.rows()),
            ("model", format!("{}, {}", info.folder.display(), info.precision)),
            ("throughput", format!("{rate} rows/s on {device}, {threads} thread{s}")),
            ("intervals", format!("95%, {} resamples, seed {}", report.resamples(), report.seed())),
        ]
    }

    /// Returns the numbers of rows evaluated, skipped, failed and truncated.
    fn rows(&self) -> String {
        let counts = self.counts;
        let limit = self.classifier.max_tokens();
        let mut rows = self.report.rows().to_string();
        for (count, reason) in [
            (counts.multi, "skipped (several labels)".to_owned()),
            (counts.unlabeled, "skipped (no label)".to_owned()),
            (counts.failed, "failed".to_owned()),
            (counts.truncated, format!("truncated to {limit} tokens")),
        ] {
            if count > 0 {
                rows += &format!(", {count} {reason}");
            }
        }
        rows
    }

    fn page(&self) -> String {
        let page = Page::new(self.report).digits(self.digits);
        let settings = self.settings().into_iter();
        settings.fold(page, |page, (name, value)| page.setting(name, value)).html()
    }
}
