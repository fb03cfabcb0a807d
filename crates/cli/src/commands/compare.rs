//! `distilbert compare`: how far two models, or one at two precisions, say the same.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use distilbert::Classifier;
use distilbert_evaluate::{Agreement, Pair};
use serde_json::{Value, json};

use crate::args::engine::{self, WantedEngine};
use crate::args::labels::{LabelOptions, Labels};
use crate::args::long_text::LongTexts;
use crate::args::model_folder::ModelFolder;
use crate::failure::{Failure, end_over_usage};
use crate::render::progress::RowProgress;
use crate::render::report::number;
use crate::render::terminal::{self, BOLD, DIM};
use crate::table::{Row, Table, TableOptions};
use crate::texts::answer_rows;

/// Columns of the figures' names.
const NAMES: usize = 25;

/// Columns of a text in the list of rows.
const TEXT: usize = 40;

/// Say how far two models, or one at two precisions, agree on a data set
///
/// Gives the share of rows with the same label, how far logits are apart, the accuracy of both where the table
/// has labels, and the rows on which they differ. Without --with-model and --with-precision, the other one is
/// the same model in int8.
#[derive(Args)]
#[command(after_help = "Examples:
  distilbert compare reviews.csv
  distilbert compare reviews.csv --precision f32 --with-precision f16 --json
  distilbert compare reviews.csv --model path/to/old --with-model path/to/new --label-column emotion")]
pub struct Arguments {
    /// Texts, with labels or without: CSV, tab-separated values or JSON lines; - is standard input
    #[arg(value_name = "DATA")]
    data: PathBuf,

    /// Folder of the other model [default: that of the first]
    #[arg(long, value_name = "DIR")]
    with_model: Option<PathBuf>,

    /// How the other model is computed [default: as the first, or int8 without --with-model]
    #[arg(long, value_name = "HOW", value_enum)]
    with_precision: Option<engine::Name>,

    #[command(flatten)]
    labels: LabelOptions,

    /// Take only the first N rows
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,

    /// Rows that differ to list
    #[arg(long, value_name = "N", default_value_t = 20)]
    differences: usize,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    model: ModelFolder,

    #[command(flatten)]
    engine: WantedEngine,

    #[command(flatten)]
    long_texts: LongTexts,

    #[command(flatten, next_help_heading = "Tables")]
    table: TableOptions,
}

pub fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let truncation = arguments
        .long_texts
        .truncation()
        .unwrap_or_else(|why| end_over_usage::<Arguments>("distilbert compare", why));
    let labels = arguments.labels.wanted();
    let wanted = [arguments.table.texts(), labels.optional()];
    let table = Table::open(&arguments.data, &arguments.table, &wanted)?;
    let table = table.limit(arguments.limit.unwrap_or(u64::MAX));

    let folder = arguments.model.find()?;
    let other_folder = arguments.with_model.clone().unwrap_or_else(|| folder.clone());
    let [builder, mut other] = [&folder, &other_folder]
        .map(|folder| arguments.engine.apply(Classifier::builder(folder).truncation(truncation)));
    match arguments.with_precision {
        Some(name) => other = other.precision(name.into()),
        None if arguments.with_model.is_none() => {
            other = other.precision(engine::Name::Int8.into())
        }
        None => {}
    }
    let models = [builder.build()?, other.build()?];
    let [first, second] = &models;
    let agreement = Agreement::new(
        (first.labels(), first.problem_type()),
        (second.labels(), second.problem_type()),
    )?;
    let labels = arguments.labels.reader(first.labels())?;
    let progress = RowProgress::new(table.size());
    let listed = arguments.differences;
    let mut job = Job {
        models,
        labels,
        table,
        agreement,
        progress,
        listed,
        differences: Vec::new(),
        failed: 0,
    };
    job.run()?;
    if job.agreement.rows() == 0 && job.failed == 0 {
        return Err(Failure::NoTexts { path: arguments.data });
    }
    let text = if arguments.json { format!("{}\n", job.json()) } else { job.text() };
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::Output)?;
    Ok(if job.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads rows, and asks both models.
struct Job {
    models: [Classifier; 2],
    labels: Labels,
    table: Table,
    agreement: Agreement,
    progress: RowProgress,
    /// How many rows that differ are kept.
    listed: usize,
    differences: Vec<Difference>,
    /// Rows that could not be read or classified.
    failed: u64,
}

/// A row of which the models do not say the same.
struct Difference {
    row: u64,
    text: String,
    pair: Pair,
    /// The probability of the best label of each.
    scores: [f32; 2],
    truth: Option<Vec<usize>>,
}

impl Job {
    fn run(&mut self) -> Result<(), Failure> {
        let mut rows = Vec::new();
        while self.table.read_chunk(&mut rows)? {
            self.compare(&rows)?;
            self.progress.set(rows.len(), self.table.position());
        }
        self.progress.finish_and_clear();
        Ok(())
    }

    fn compare(&mut self, rows: &[Row]) -> Result<(), Failure> {
        let [text_place, label_place] = self.table.places() else {
            // A table without rows has no columns either.
            return Ok(());
        };
        let [first, second] = &self.models;
        let both = |texts: &[&str]| {
            let pairs = first.classify_batch(texts)?.into_iter();
            Ok(pairs.zip(second.classify_batch(texts)?).collect::<Vec<_>>())
        };
        let answers = answer_rows(both, rows, text_place)?;
        for (row, answer) in rows.iter().zip(answers) {
            let (text, (first, second)) = match answer {
                Ok(answer) => answer,
                Err(refusal) => {
                    self.failed += 1;
                    let fault = self.table.fault(row, &refusal);
                    self.progress.suspend(|| terminal::print_error(&fault));
                    continue;
                }
            };
            let cell = row.cell(label_place);
            let truth = cell.and_then(|cell| self.labels.of_cell(&cell));
            let truth = truth.map_err(|reason| self.table.fault(row, &reason))?;
            let pair = self.agreement.push(&first, &second, truth.as_deref());
            if !pair.is_same && self.differences.len() < self.listed {
                self.differences.push(Difference {
                    row: row.number,
                    text: text.into_owned(),
                    pair,
                    scores: [first.score(), second.score()],
                    truth,
                });
            }
        }
        Ok(())
    }

    fn names(&self, labels: &[usize]) -> Vec<&str> {
        labels.iter().map(|&label| self.models[0].labels()[label].as_str()).collect()
    }

    fn text(&self) -> String {
        let agreement = &self.agreement;
        let percent = |share: f64| format!("{:.2} %", share * 100.0);
        let [first, second] = self.models.each_ref().map(|model| {
            let info = model.info();
            format!("{}, {}", info.folder.display(), info.precision)
        });
        let mut lines = vec![
            ("first", first),
            ("second", second),
            ("rows", agreement.rows().to_string()),
            (
                "same label",
                format!("{} ({})", percent(agreement.label_agreement()), agreement.same()),
            ),
            ("largest logit difference", format!("{:.2e}", agreement.largest_logit_difference())),
            ("mean logit difference", format!("{:.2e}", agreement.mean_logit_difference())),
        ];
        if let Some([first, second]) = agreement.accuracies() {
            let rows = agreement.labeled_rows();
            let both = format!("{} and {} of {rows} rows", percent(first), percent(second));
            lines.push(("accuracy", both));
        }
        let mut text: String = lines
            .into_iter()
            .map(|(name, value)| {
                format!("{BOLD}{name:NAMES$}{BOLD:#}{}\n", terminal::visible(&value))
            })
            .collect();
        let differ = agreement.rows() - agreement.same();
        if differ > 0 {
            let listed = self.differences.len();
            let (rows, differ_s) = if differ == 1 { ("row", "s") } else { ("rows", "") };
            let first =
                if listed < differ { format!("; the first {listed}") } else { String::new() };
            text += &format!("\n{differ} {rows} differ{differ_s}{first}:\n");
        }
        for difference in &self.differences {
            text += &self.line(difference);
        }
        text
    }

    fn line(&self, difference: &Difference) -> String {
        let [first, second] = &difference.pair.labels;
        let [first, second] = [(first, difference.scores[0]), (second, difference.scores[1])]
            .map(|(labels, score)| format!("{} {score:.2}", or_none(&self.names(labels))));
        let truth = difference.truth.as_ref().map(|truth| or_none(&self.names(truth)));
        let truth = truth.map_or(String::new(), |truth| format!(", truly {truth}"));
        let shown = terminal::fit(&terminal::visible(&difference.text), TEXT);
        let said = format!("{first} → {second}{truth}");
        format!("  row {:<8}{}  {DIM}{shown}{DIM:#}\n", difference.row, terminal::visible(&said))
    }

    fn json(&self) -> Value {
        let agreement = &self.agreement;
        let models = self.models.each_ref().map(|model| {
            let info = model.info();
            json!({
                "folder": info.folder.to_string_lossy(),
                "precision": info.precision.name(),
                "device": info.device.to_string(),
            })
        });
        let differences = self.differences.iter().map(|difference| {
            let [first, second] = &difference.pair.labels;
            json!({
                "row": difference.row,
                "text": difference.text,
                "labels": [self.names(first), self.names(second)],
                "scores": difference.scores.map(number),
                "logit_difference": number(difference.pair.logit_difference),
                "truth": difference.truth.as_ref().map(|truth| self.names(truth)),
            })
        });
        json!({
            "models": models,
            "rows": agreement.rows(),
            "failed_rows": self.failed,
            "label_agreement": agreement.label_agreement(),
            "same_label": agreement.same(),
            "largest_logit_difference": number(agreement.largest_logit_difference()),
            "mean_logit_difference": agreement.mean_logit_difference(),
            "labelled_rows": agreement.labeled_rows(),
            "accuracies": agreement.accuracies(),
            "differences": differences.collect::<Vec<_>>(),
        })
    }
}

fn or_none(labels: &[&str]) -> String {
    if labels.is_empty() { "none".to_owned() } else { labels.join(", ") }
}
