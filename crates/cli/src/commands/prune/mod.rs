//! `distilbert prune`: writes a smaller model that gives nearly the same answers, without retraining.

mod figures;
mod json;
mod text;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{ArgGroup, Args};
use distilbert::Tokenizer;
use distilbert::prune::{Calibration, PruneOptions, PruneStage, PruneTarget, Pruned, Pruner};
use distilbert_report::pruning::{Model, Page};

use self::figures::Candidate;
use crate::args::labels::LabelOptions;
use crate::args::model_folder;
use crate::failure::Failure;
use crate::render::progress::StageBar;
use crate::render::{self, terminal};
use crate::table::{Table, TableOptions};

/// Prune a model without retraining it, with texts that need no labels
///
/// Removes the neurons, and with --per-layer also the attention heads, that matter least for the model's answers on the
/// calibration texts, and refits the matrices that follow. The result is a Hugging Face checkpoint whose weights are of
/// the same type as the original's.
#[derive(Args)]
#[command(group = ArgGroup::new("size").args(["keep", "hidden_dim", "budget_ms", "sweep"]))]
#[command(after_help = "Examples:
  distilbert prune models/emotion emotion-half --calibrate texts.csv
  distilbert prune models/emotion emotion-384 --calibrate texts.csv --hidden-dim 384
  distilbert prune models/emotion emotion-layers --calibrate texts.csv --keep 0.5 --per-layer
  distilbert prune models/emotion emotion-sizes --calibrate texts.csv --sweep 0.9,0.7,0.5 \
    --evaluate labeled.csv --report sizes.html
  distilbert quantize --model emotion-half emotion-half-int8")]
pub struct Arguments {
    /// Model to read, given as for --model in the other commands
    #[arg(value_name = "MODEL")]
    from: PathBuf,

    /// Folder to write to, created if missing
    #[arg(value_name = "OUT_DIR")]
    to: PathBuf,

    /// Table of texts like those that the model will see: CSV, TSV, JSON Lines or Parquet; - for standard input
    #[arg(long, value_name = "DATA")]
    calibrate: PathBuf,

    /// Number of calibration texts, drawn at random from the table
    #[arg(long, value_name = "N", default_value_t = 2048,
        value_parser = clap::value_parser!(u32).range(1..))]
    texts: u32,

    /// Largest share of the multiply-adds to keep [default: 0.5]
    #[arg(long, value_name = "SHARE")]
    keep: Option<f64>,

    /// Feed-forward width to keep in every layer, with all heads
    #[arg(long, value_name = "N", conflicts_with = "per_layer")]
    hidden_dim: Option<usize>,

    /// Maximum time for a text of --tokens tokens, in milliseconds, in f32 on this machine
    #[arg(long, value_name = "TIME", requires = "tokens")]
    budget_ms: Option<f64>,

    /// Write a model for each of these shares of the multiply-adds, to folders named after them in OUT_DIR
    #[arg(long, value_name = "SHARES", value_delimiter = ',')]
    sweep: Vec<f64>,

    /// Let each layer keep its own heads and width: this preserves more predictions, but Transformers can't load the model
    #[arg(long)]
    per_layer: bool,

    /// Text length for which costs are computed, in tokens [default: the mean of the calibration texts]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    tokens: Option<u16>,

    /// Seed for sampling the texts and for the selection
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// Write an HTML page: sizes, times, agreement with the original, quality with --evaluate, and what each layer lost
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// Print the figures of the report as one JSON object
    #[arg(long)]
    json: bool,

    /// Table of labeled texts to measure the models' quality on
    #[arg(long, value_name = "DATA")]
    evaluate: Option<PathBuf>,

    #[command(flatten)]
    labels: LabelOptions,

    /// Number of threads [default: the number of physical cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    #[command(flatten, next_help_heading = "Tables")]
    table: TableOptions,
}

impl Arguments {
    /// Returns the models to write: names, folders and sizes.
    fn targets(&self) -> Vec<(String, PathBuf, PruneTarget)> {
        if !self.sweep.is_empty() {
            let target = |&share: &f64| {
                (format!("{share}"), self.to.join(share.to_string()), PruneTarget::Keep(share))
            };
            return self.sweep.iter().map(target).collect();
        }
        let target = match (self.hidden_dim, self.budget_ms) {
            (Some(width), _) => PruneTarget::HiddenDim(width),
            (_, Some(time)) => PruneTarget::Milliseconds(time),
            _ => PruneTarget::Keep(self.keep.unwrap_or(0.5)),
        };
        vec![("pruned".to_owned(), self.to.clone(), target)]
    }

    fn options(&self, bar: &Arc<StageBar>) -> PruneOptions {
        let bar = Arc::clone(bar);
        let mut options = PruneOptions::default().per_layer(self.per_layer).seed(self.seed);
        options = options.on_progress(move |progress| {
            let name = match progress.stage {
                PruneStage::Select => "selecting",
                PruneStage::Refit => "refitting",
                _ => "working",
            };
            bar.update(name, progress.done, progress.total);
        });
        if let Some(tokens) = self.tokens {
            options = options.tokens(tokens.into());
        }
        match self.threads {
            Some(threads) => options.threads(threads.into()),
            None => options,
        }
    }

    /// Draws the calibration texts, and others to compare the models on.
    fn sample(&self) -> Result<Sample, Failure> {
        let mut calibration = Calibration::new(self.texts as usize, self.seed);
        let mut others = Calibration::new(OTHER_TEXTS, self.seed.wrapping_add(1));
        let mut table = Table::open(&self.calibrate, &self.table, &[self.table.text_column()])?;
        let mut rows = Vec::new();
        while table.read_chunk(&mut rows)? {
            for row in &rows {
                let text = row.text(&table.places()[0]);
                let text = text.map_err(|reason| table.invalid_row(row, &reason))?;
                calibration.push(&text);
                others.push(&text);
            }
        }
        if calibration.seen() == 0 {
            return Err(Failure::NoTexts { path: self.calibrate.clone() });
        }
        let used: HashSet<&String> = calibration.texts().iter().collect();
        let others = others.texts().iter().filter(|text| !used.contains(text));
        Ok(Sample { others: others.cloned().collect(), calibration })
    }
}

/// Texts of the table.
struct Sample {
    calibration: Calibration,
    /// Texts that are not among the calibration texts.
    others: Vec<String>,
}

/// Maximum number of texts that pruned models are compared with the original on.
const OTHER_TEXTS: usize = 2048;

pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let from = model_folder::locate(&arguments.from)?;
    let targets = arguments.targets();
    targets.iter().try_for_each(|(_, folder, _)| check_new(folder))?;
    let sample = arguments.sample()?;
    let tokenizer = Tokenizer::from_folder(&from)?;
    if let Some(doubt) = sample.calibration.doubt(&tokenizer)? {
        terminal::print_note(&doubt);
    }
    let bar = Arc::new(StageBar::default());
    let texts = sample.calibration.tokenize(&tokenizer)?;
    let pruner = Pruner::new(&from, &texts, arguments.options(&bar))?;
    let original = Candidate { name: "original".to_owned(), folder: from.clone(), share: 1.0 };
    let mut candidates = vec![original];
    let mut summary = String::new();
    for (name, folder, target) in targets {
        let pruned: Pruned<'_> = pruner.prune(target)?;
        pruned.write(&folder)?;
        summary += &text::summary(&folder, &pruned);
        candidates.push(Candidate { name, folder, share: pruned.kept_share() });
    }
    bar.clear();
    if arguments.report.is_some() || arguments.json {
        let models = figures::measure(arguments, &candidates, &sample.others)?;
        write_report(arguments, &models, &sample)?;
        if arguments.json {
            render::json::print(&json::View::new(&models))?;
            return Ok(ExitCode::SUCCESS);
        }
    }
    terminal::print(&summary)?;
    Ok(ExitCode::SUCCESS)
}

fn write_report(arguments: &Arguments, models: &[Model], sample: &Sample) -> Result<(), Failure> {
    let Some(path) = &arguments.report else { return Ok(()) };
    let page = Page::new(models)
        .setting("model", arguments.from.display().to_string())
        .setting("calibration texts", sample.calibration.texts().len().to_string())
        .setting("texts compared", sample.others.len().to_string())
        .setting("seed", arguments.seed.to_string());
    let page = match &arguments.evaluate {
        Some(data) => page.setting("labeled texts", data.display().to_string()),
        None => page,
    };
    fs::write(path, page.html()).map_err(|source| Failure::Write { path: path.clone(), source })
}

/// Checks that the folder has no model before the work begins.
fn check_new(to: &Path) -> Result<(), Failure> {
    for name in ["model.safetensors", "config.json"] {
        let path = to.join(name);
        if path.exists() {
            let exists = distilbert::CheckpointError::Exists { path };
            return Err(distilbert::Error::from(exists).into());
        }
    }
    Ok(())
}
