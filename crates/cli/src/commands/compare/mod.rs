//! `distilbert compare`: agreement of two models, or of two precisions of one model.

mod json;
mod text;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use distilbert::{Classifier, ClassifyOptions, Precision};
use distilbert_evaluate::{Agreement, MarginCurve, Pair};

use crate::args::engine::PrecisionParser;
use crate::args::labels::{LabelMapping, LabelOptions};
use crate::args::model::ClassifierOptions;
use crate::args::model_folder;
use crate::failure::Failure;
use crate::render::progress::RowProgress;
use crate::render::{self, terminal};
use crate::table::{Row, Table, TableOptions};
use crate::texts::{answer_rows, classify};

/// Compare two models, or two precisions of one model, on a data set
///
/// Prints the share of rows with the same label, the differences of the logits, the accuracy of both models if the
/// table has labels, and the rows on which they differ. If neither --with-model nor --with-precision is given, the
/// model is compared with itself in int8. For one model in f32 and int8, also prints the cost and the agreement of a
/// cascade of both (--precision cascade:MARGIN) for several margins, and recommends a margin.
#[derive(Args)]
#[command(after_help = "Examples:
  distilbert compare reviews.csv
  distilbert compare reviews.csv --precision f32 --with-precision f16 --json
  distilbert compare reviews.csv --with-precision cascade:0.25
  distilbert compare reviews.csv --model path/to/old --with-model path/to/new --label-column emotion")]
pub struct Arguments {
    /// Table of texts, with or without labels: CSV, TSV, JSON Lines or Parquet; - for standard input
    #[arg(value_name = "DATA")]
    data: PathBuf,

    /// Second model, like --model [default: the first model]
    #[arg(long, value_name = "MODEL")]
    with_model: Option<PathBuf>,

    /// Precision of the second model [default: the first model's, or int8 without --with-model]
    #[arg(long, value_name = "PRECISION", value_parser = PrecisionParser)]
    with_precision: Option<Precision>,

    #[command(flatten)]
    labels: LabelOptions,

    /// Read only the first N rows
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,

    /// Maximum number of differing rows to list
    #[arg(long, value_name = "N", default_value_t = 20)]
    differences: usize,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    classifier: ClassifierOptions,

    #[command(flatten, next_help_heading = "Tables")]
    table: TableOptions,
}

impl Arguments {
    /// Loads both models.
    fn models(&self) -> Result<[Classifier; 2], Failure> {
        let folder = self.classifier.folder()?;
        let first = self.classifier.builder_for(&folder)?;
        let second = self.with_model.as_deref().map(model_folder::locate).transpose()?;
        let second = self.classifier.builder_for(second.as_ref().unwrap_or(&folder))?;
        let second = match self.with_precision {
            Some(precision) => second.precision(precision),
            None if self.with_model.is_none() => second.precision(Precision::Int8),
            None => second,
        };
        Ok([first.build()?, second.build()?])
    }
}

pub fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let columns = [arguments.table.text_column(), arguments.labels.column().optional()];
    let table = Table::open(&arguments.data, &arguments.table, &columns)?;
    let table = table.limit(arguments.limit.unwrap_or(u64::MAX));
    let models = arguments.models()?;
    let [first, second] = &models;
    let agreement = Agreement::new(
        (first.labels(), first.problem_type()),
        (second.labels(), second.problem_type()),
    )?;
    let cascade = match arguments.with_model {
        None => Cascade::between(&models)?,
        Some(_) => None,
    };
    let mut comparison = Comparison {
        cascade,
        labels: arguments.labels.mapping(first.labels())?,
        progress: RowProgress::new(table.size()),
        models,
        table,
        agreement,
        listed: arguments.differences,
        differences: Vec::new(),
        failed: 0,
    };
    comparison.run()?;
    if comparison.agreement.rows() == 0 && comparison.failed == 0 {
        return Err(Failure::NoTexts { path: arguments.data });
    }
    if arguments.json {
        render::json::print(&comparison.json())?;
    } else {
        terminal::print(&comparison.text())?;
    }
    Ok(terminal::status(comparison.failed))
}

/// Comparison of two models on a table.
struct Comparison {
    models: [Classifier; 2],
    labels: LabelMapping,
    table: Table,
    agreement: Agreement,
    cascade: Option<Cascade>,
    progress: RowProgress,
    /// Maximum number of differing rows to list.
    listed: usize,
    differences: Vec<Difference>,
    /// Number of rows that could not be read or classified.
    failed: u64,
}

/// Cascade that the two precisions of a model could form.
struct Cascade {
    /// Place of int8 among the two.
    first_stage: Place,
    curve: MarginCurve,
}

enum Place {
    First,
    Second,
}

impl Cascade {
    /// Returns the cascade of a model in int8 and f32; `None` for other precisions.
    fn between(models: &[Classifier; 2]) -> Result<Option<Self>, Failure> {
        let first_stage = match models.each_ref().map(|model| model.info().precision) {
            [Precision::Int8, Precision::F32] => Place::First,
            [Precision::F32, Precision::Int8] => Place::Second,
            _ => return Ok(None),
        };
        let curve = MarginCurve::new(models[0].problem_type())?;
        Ok(Some(Self { first_stage, curve }))
    }
}

/// Row on which the models predict different labels.
struct Difference {
    row: u64,
    text: String,
    pair: Pair,
    /// Score of each model's best label.
    scores: [f32; 2],
    /// Ids of the true labels, if the table has labels.
    truth: Option<Vec<usize>>,
}

impl Comparison {
    fn run(&mut self) -> Result<(), Failure> {
        let mut rows = Vec::new();
        while self.table.read_chunk(&mut rows)? {
            self.compare(&rows)?;
            self.progress.advance(rows.len(), self.table.position());
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
            let [first, second] =
                [first, second].map(|model| classify(model, texts, &ClassifyOptions::default()));
            let pairs = first?.into_iter().zip(second?);
            Ok(pairs.map(|(first, second)| Ok((first?, second?))).collect())
        };
        let answers = answer_rows(both, rows, text_place)?;
        for (row, answer) in rows.iter().zip(answers) {
            let (text, (first, second)) = match answer {
                Ok(answer) => answer,
                Err(rejection) => {
                    self.failed += 1;
                    let failure = self.table.invalid_row(row, &rejection);
                    self.progress.suspend(|| terminal::print_error(&failure));
                    continue;
                }
            };
            let cell = row.cell(label_place);
            let truth = cell.and_then(|cell| self.labels.ids_of_cell(&cell));
            let truth = truth.map_err(|reason| self.table.invalid_row(row, &reason))?;
            let pair = self.agreement.push(&first, &second, truth.as_deref());
            if let Some(Cascade { first_stage, curve }) = &mut self.cascade {
                let stages = match first_stage {
                    Place::First => [&first, &second],
                    Place::Second => [&second, &first],
                };
                curve.push(stages[0], stages[1], truth.as_deref());
            }
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

    /// Returns the names of labels.
    fn names(&self, labels: &[usize]) -> Vec<&str> {
        labels.iter().map(|&label| self.models[0].labels()[label].as_str()).collect()
    }
}
