//! `distilbert evaluate`: how good the model is on labelled rows.

mod json;

mod text;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use distilbert::{Classifier, ProblemType};
use distilbert_evaluate::{Evaluation, EvaluationOptions, Report, Row as Labelled};
use distilbert_report::evaluation::Page;

use crate::args::engine::WantedEngine;
use crate::args::labels::{LabelOptions, Labels};
use crate::args::long_text::LongTexts;
use crate::args::model_folder::ModelFolder;
use crate::failure::{Failure, end_over_usage};
use crate::render::progress::RowProgress;
use crate::render::terminal;
use crate::table::{Cell, Row, Table, TableOptions};
use crate::texts::{Refusal, answer_rows};

/// Say how good a model is on labelled rows: precision, recall and F1, and where its mistakes are
///
/// Prints scikit-learn's classification report, 95 % bootstrap intervals, top-k accuracy, log loss and the
/// expected calibration error, then which labels are confused, the mistakes by length, and those of which the
/// model is surest. Labels are names as the model has them, or numbers; in a table of several labels for a
/// row, they stand between commas, or in a list in JSON.
#[derive(Args)]
#[command(after_help = "Examples:
  distilbert evaluate reviews.csv --text-column review --label-column emotion --map joy=happiness
  distilbert evaluate dev.tsv --no-header --label-names labels.txt --map joy=happiness --skip-multi
  distilbert evaluate --json reviews.jsonl --report report.html > report.json")]
pub struct Arguments {
    /// Labelled texts: CSV, tab-separated values or JSON lines; - is standard input
    #[arg(value_name = "DATA")]
    data: PathBuf,

    #[command(flatten)]
    labels: LabelOptions,

    /// Pass over rows with several labels, where the model has one for each row
    #[arg(long)]
    skip_multi: bool,

    /// Pass over rows without a label
    #[arg(long)]
    skip_unlabelled: bool,

    /// Take only the first N rows
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,

    /// Decimals of the figures
    #[arg(long, value_name = "N", default_value_t = 2,
        value_parser = clap::value_parser!(u8).range(0..=15))]
    digits: u8,

    /// Give the share of rows whose label is one of the 2, 3, … K likeliest
    #[arg(long, value_name = "K", default_value_t = 3,
        value_parser = clap::value_parser!(u16).range(1..))]
    top: u16,

    /// Bins of the calibration error
    #[arg(long, value_name = "N", default_value_t = 15,
        value_parser = clap::value_parser!(u16).range(1..=1000))]
    bins: u16,

    /// Mistakes to list, the surest first
    #[arg(long, value_name = "N", default_value_t = 20)]
    mistakes: u16,

    /// How often rows are drawn again for the intervals
    #[arg(long, value_name = "N", default_value_t = 2000,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    resamples: u32,

    /// Seed of the draws
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// Print one JSON object with every figure
    #[arg(long)]
    json: bool,

    /// Write a page with tables and pictures, one file of HTML
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    #[command(flatten)]
    model: ModelFolder,

    #[command(flatten)]
    engine: WantedEngine,

    #[command(flatten)]
    long_texts: LongTexts,

    #[command(flatten, next_help_heading = "Tables")]
    table: TableOptions,
}

impl Arguments {
    fn options(&self) -> EvaluationOptions {
        EvaluationOptions::default()
            .bins(self.bins.into())
            .mistakes(self.mistakes.into())
            .resamples(self.resamples as usize)
            .seed(self.seed)
    }
}

pub fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let truncation = arguments
        .long_texts
        .truncation()
        .unwrap_or_else(|why| end_over_usage::<Arguments>("distilbert evaluate", why));
    let options = arguments.options();
    let wanted = [arguments.table.texts(), arguments.labels.wanted()];
    let table = Table::open(&arguments.data, &arguments.table, &wanted)?;
    let table = table.limit(arguments.limit.unwrap_or(u64::MAX));
    let builder = Classifier::builder(arguments.model.find()?).truncation(truncation);
    let classifier = arguments.engine.apply(builder).build()?;
    let (labels, kind) = (classifier.labels(), classifier.problem_type());
    let evaluation = Evaluation::new(labels, kind, &options)?;
    let labels = arguments.labels.reader(labels)?;
    if let Some(path) = &arguments.report {
        check_writable(path)?;
    }
    let mut job = Job {
        skip_multi: arguments.skip_multi,
        skip_unlabelled: arguments.skip_unlabelled,
        progress: RowProgress::new(table.size()),
        classifier: &classifier,
        labels,
        table,
        evaluation,
        seen: Seen::default(),
    };
    job.run()?;
    let made = Made {
        data: &arguments.data,
        classifier: &classifier,
        report: &job.evaluation.report()?,
        seen: &job.seen,
        top: arguments.top.into(),
        digits: arguments.digits.into(),
    };
    if let Some(path) = &arguments.report {
        let page = made.page();
        fs::write(path, page).map_err(|source| Failure::Write { path: path.clone(), source })?;
    }
    let text = if arguments.json { format!("{}\n", made.json()) } else { made.text() };
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::Output)?;
    Ok(if job.seen.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A long run should not end with a page that cannot be written.
fn check_writable(path: &Path) -> Result<(), Failure> {
    let open = OpenOptions::new().create(true).append(true).open(path);
    open.map(|_| ()).map_err(|source| Failure::Write { path: path.to_owned(), source })
}

/// What became of the rows.
#[derive(Default)]
struct Seen {
    /// Passed over because they have several labels.
    multi: u64,
    /// Passed over because they have none.
    unlabelled: u64,
    /// Rows that could not be read or classified.
    failed: u64,
    /// Texts that were longer than the model takes.
    truncated: u64,
    /// What classifying took.
    time: Duration,
}

/// The report with what it is of.
struct Made<'a> {
    data: &'a Path,
    classifier: &'a Classifier,
    report: &'a Report,
    seen: &'a Seen,
    top: usize,
    digits: usize,
}

impl Made<'_> {
    fn rows_per_second(&self) -> f64 {
        self.report.rows() as f64 / self.seen.time.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// What was done, by name.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let &Self { data, classifier, report, seen, .. } = self;
        let info = classifier.info();
        let limit = classifier.config().max_position_embeddings;
        let mut rows = report.rows().to_string();
        for (count, what) in [
            (seen.multi, "with several labels passed over".to_owned()),
            (seen.unlabelled, "without a label passed over".to_owned()),
            (seen.failed, "failed".to_owned()),
            (seen.truncated, format!("cut to {limit} tokens")),
        ] {
            if count > 0 {
                rows += &format!(", {count} {what}");
            }
        }
        let (threads, device) = (info.threads, info.device);
        let s = if threads == 1 { "" } else { "s" };
        let rate = self.rows_per_second();
        let rate = if rate < 100.0 { format!("{rate:.1}") } else { format!("{rate:.0}") };
        vec![
            ("data", data.display().to_string()),
            ("rows", rows),
            ("model", format!("{}, {}", info.folder.display(), info.precision)),
            ("throughput", format!("{rate} rows a second on {device}, {threads} thread{s}")),
            (
                "intervals",
                format!("95 %, {} resamples, seed {}", report.resamples(), report.seed()),
            ),
        ]
    }

    fn page(&self) -> String {
        let page = Page::new(self.report).digits(self.digits).top(self.top);
        let settings = self.settings().into_iter();
        settings.fold(page, |page, (name, value)| page.setting(name, value)).html()
    }
}

/// Reads, classifies and counts rows, so many at a time as are at hand.
struct Job<'c> {
    classifier: &'c Classifier,
    labels: Labels,
    skip_multi: bool,
    skip_unlabelled: bool,
    table: Table,
    evaluation: Evaluation,
    progress: RowProgress,
    seen: Seen,
}

impl Job<'_> {
    fn run(&mut self) -> Result<(), Failure> {
        let mut rows = Vec::new();
        while self.table.read_chunk(&mut rows)? {
            self.evaluate(&rows)?;
            self.progress.set(rows.len(), self.table.position());
        }
        self.progress.finish_and_clear();
        Ok(())
    }

    fn evaluate(&mut self, rows: &[Row]) -> Result<(), Failure> {
        let mut labelled = Vec::new();
        for row in rows {
            let truth = match row.cell(&self.table.places()[1]) {
                Ok(cell) => self.truth(row, &cell)?,
                Err(reason) => {
                    self.fail(row, &Refusal::Row(reason));
                    continue;
                }
            };
            if let Some(truth) = truth {
                labelled.push((row, truth));
            }
        }
        let start = Instant::now();
        let answers = answer_rows(
            |texts| self.classifier.classify_batch(texts),
            labelled.iter().map(|(row, _)| *row),
            &self.table.places()[0],
        )?;
        self.seen.time += start.elapsed();
        for ((row, truth), answer) in labelled.into_iter().zip(answers) {
            match answer {
                Err(refusal) => self.fail(row, &refusal),
                Ok((text, found)) => {
                    self.seen.truncated += u64::from(found.truncated());
                    let labelled = Labelled::new(&truth, found.scores());
                    let labelled = labelled.number(row.number as usize);
                    self.evaluation.push(&labelled.text(&text).tokens(found.tokens()))?;
                }
            }
        }
        Ok(())
    }

    /// The ids of a row's labels; none if it is to be passed over.
    fn truth(&mut self, row: &Row, cell: &Cell<'_>) -> Result<Option<Vec<usize>>, Failure> {
        let is_multi_label =
            self.classifier.problem_type() == ProblemType::MultiLabelClassification;
        let ids = self.labels.of_cell(cell).map_err(|reason| self.table.fault(row, &reason))?;
        match ids {
            Some(ids) if is_multi_label || ids.len() == 1 => Ok(Some(ids)),
            Some(ids) if ids.len() > 1 => {
                self.seen.multi += 1;
                let reason = format!(
                    "{} labels, but the model has one for each row: --skip-multi passes over such rows",
                    ids.len()
                );
                if self.skip_multi { Ok(None) } else { Err(self.table.fault(row, &reason)) }
            }
            _ => {
                self.seen.unlabelled += 1;
                let reason = "no label: --skip-unlabelled passes over such rows";
                if self.skip_unlabelled { Ok(None) } else { Err(self.table.fault(row, &reason)) }
            }
        }
    }

    fn fail(&mut self, row: &Row, refusal: &Refusal) {
        self.seen.failed += 1;
        let fault = self.table.fault(row, refusal);
        self.progress.suspend(|| terminal::print_error(&fault));
    }
}
