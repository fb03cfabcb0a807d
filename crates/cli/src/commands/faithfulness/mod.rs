//! `distilbert faithfulness`: comparison of explanation methods on a data set.

mod json;
mod text;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use distilbert::Classifier;
use distilbert::explain::{Faithfulness, Method, Replacement};
use distilbert_evaluate::{
    ComparisonOptions, Estimate, MethodComparison, Ranking, compare_methods,
};

use crate::args::explanation::ExplanationOptions;
use crate::args::model::ModelOptions;
use crate::args::named::named;
use crate::failure::Failure;
use crate::render::{self, progress, terminal};
use crate::table::{Table, TableOptions};

/// Measure of faithfulness.
struct Measure {
    /// Key in JSON.
    key: &'static str,
    /// Column heading, with the direction that is better.
    heading: &'static str,
    get: fn(&Faithfulness<Estimate>) -> Estimate,
}

const MEASURES: [Measure; 5] = [
    Measure { key: "auac", heading: "AUAC ↑", get: |means| means.auac },
    Measure {
        key: "most_relevant_first",
        heading: "MoRF ↓",
        get: |means| means.most_relevant_first,
    },
    Measure { key: "au_mse", heading: "AU-MSE ↓", get: |means| means.au_mse },
    Measure {
        key: "comprehensiveness",
        heading: "compreh. ↑",
        get: |means| means.comprehensiveness,
    },
    Measure { key: "sufficiency", heading: "suffic. ↓", get: |means| means.sufficiency },
];

/// Compare how well explanation methods identify the words that a prediction depends on
///
/// Each method ranks the words of a text; then words are removed or added in that order and the text is classified
/// again. For each method, means over the texts are printed, each with its 95% bootstrap interval below:
///
///   AUAC      area under the score curve as words are added, most relevant first; higher is better
///   MoRF      area under the score curve as words are removed, most relevant first; lower is better
///   AU-MSE    area under the squared change of the logits as words are removed, smallest
///             absolute relevance first; lower is better
///   compreh.  comprehensiveness: decrease in the score when the most relevant words are removed;
///             higher is better
///   suffic.   sufficiency: decrease in the score when only the most relevant words are kept; lower is
///             better
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  distilbert faithfulness reviews.tsv --limit 500
  distilbert faithfulness reviews.tsv --methods lrp,random --against random --json"
)]
pub struct Arguments {
    /// Table of texts: CSV, TSV, JSON Lines or Parquet; - for standard input
    #[arg(value_name = "DATA")]
    data: PathBuf,

    #[command(flatten)]
    table: TableOptions,

    /// Read only the first N texts
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,

    /// Methods to compare [default: all]
    #[arg(
        long,
        value_name = "METHOD,...",
        value_parser = named::<Ranking>(),
        value_delimiter = ',',
        default_values = Ranking::ALL.iter().map(|ranking| ranking.name()),
        hide_default_value = true
    )]
    methods: Vec<Ranking>,

    /// Also print how each method differs from this one on the same texts
    #[arg(long, value_name = "METHOD", value_parser = named::<Ranking>())]
    against: Option<Ranking>,

    #[command(flatten)]
    explanation: ExplanationOptions,

    /// Replacement for removed words
    #[arg(long, value_parser = named::<Replacement>(), default_value_t = Replacement::Pad)]
    replacement: Replacement,

    /// Number of random orders per text to average
    #[arg(long, value_name = "N", default_value_t = 10,
        value_parser = clap::value_parser!(u16).range(1..))]
    random_orders: u16,

    /// Seed for the random orders and the bootstrap
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// Number of bootstrap resamples for the intervals
    #[arg(long, value_name = "N", default_value_t = 2000,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    resamples: u32,

    #[command(flatten)]
    model: ModelOptions,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// Returns a ranking with the requested number of steps.
    fn with_steps(&self, ranking: Ranking) -> Ranking {
        match ranking {
            Ranking::Method(method) => self.explanation.with_steps(method).into(),
            other => other,
        }
    }

    fn options(&self) -> Result<ComparisonOptions, Failure> {
        let is_integrated = |ranking: &Ranking| {
            matches!(ranking, Ranking::Method(Method::IntegratedGradients { .. }))
        };
        if self.explanation.has_steps() && !self.methods.iter().any(is_integrated) {
            return Err(Failure::Usage(
                "--steps requires --methods to include integrated-gradients",
            ));
        }
        Ok(ComparisonOptions::default()
            .rankings(self.methods.iter().map(|&ranking| self.with_steps(ranking)))
            .objective(self.explanation.objective)
            .replacement(self.replacement)
            .random_orders(self.random_orders.into())
            .seed(self.seed)
            .resamples(self.resamples as usize))
    }

    /// Returns the method to compare the others with, if any.
    fn against(&self) -> Result<Option<Ranking>, Failure> {
        match self.against {
            Some(against) if !self.methods.contains(&against) => {
                Err(Failure::Usage("--against must be one of the --methods"))
            }
            against => Ok(against.map(|against| self.with_steps(against))),
        }
    }
}

pub fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let (options, against) = (arguments.options()?, arguments.against()?);
    let limit = arguments.limit.map_or(u64::MAX, u64::from);
    let texts = read_texts(&arguments.data, &arguments.table, limit)?;
    let classifier = arguments.model.builder()?.build()?;
    let progress = progress::bar(texts.len());
    let comparison = compare_methods(&classifier, progress.wrap_iter(texts.iter()), &options);
    progress.finish_and_clear();
    let report = Report {
        data: &arguments.data,
        classifier: &classifier,
        comparison: &comparison?,
        against,
    };
    if arguments.json {
        render::json::print(&report.json())?;
    } else {
        terminal::print(&report.text())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads the first texts of a table.
fn read_texts(path: &Path, options: &TableOptions, limit: u64) -> Result<Vec<String>, Failure> {
    let mut table = Table::open(path, options, &[options.text_column()])?.limit(limit);
    let mut texts = Vec::new();
    while let Some(row) = table.next_row()? {
        let text = row.text(&table.places()[0]);
        texts.push(text.map_err(|reason| table.invalid_row(&row, &reason))?.into_owned());
    }
    if texts.is_empty() {
        return Err(Failure::NoTexts { path: path.into() });
    }
    Ok(texts)
}

/// Comparison with its settings.
struct Report<'a> {
    data: &'a Path,
    classifier: &'a Classifier,
    comparison: &'a MethodComparison,
    against: Option<Ranking>,
}

impl Report<'_> {
    /// Returns the steps of integrated gradients, if compared.
    fn steps(&self) -> Option<usize> {
        self.comparison.rankings().iter().find_map(|ranking| match *ranking {
            Ranking::Method(Method::IntegratedGradients { steps }) => Some(steps),
            _ => None,
        })
    }
}
