//! `distilbert faithfulness`: which method of explanation tells best what the model goes by.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anstyle::Style;
use clap::{Args, ValueEnum};
use distilbert::Classifier;
use distilbert::explain::{Faithfulness, Method};
use distilbert_evaluate::{
    ComparisonOptions, Estimate, MethodComparison, Ranking, compare_methods,
};
use serde_json::{Map, Value, json};

use crate::args::engine::WantedEngine;
use crate::args::model_folder::ModelFolder;
use crate::args::{objective, replacement};
use crate::commands::explain::STEPS;
use crate::failure::{Failure, end_over_usage};
use crate::render::progress;
use crate::render::terminal::{self, BOLD, DIM};
use crate::table::{Table, TableOptions};

/// Columns of the settings' names.
const NAMES: usize = 15;

/// Columns between those of the table.
const GAP: usize = 2;

/// A measure of how faithful a method is.
struct Measure {
    name: &'static str,
    /// Its name over a column, and whether more of it is better.
    heading: &'static str,
    of: fn(&Faithfulness<Estimate>) -> Estimate,
}

const MEASURES: [Measure; 5] = [
    Measure { name: "auac", heading: "AUAC ↑", of: |found| found.auac },
    Measure {
        name: "most_relevant_first",
        heading: "MoRF ↓",
        of: |found| found.most_relevant_first,
    },
    Measure { name: "au_mse", heading: "AU-MSE ↓", of: |found| found.au_mse },
    Measure {
        name: "comprehensiveness",
        heading: "compreh. ↑",
        of: |found| found.comprehensiveness,
    },
    Measure { name: "sufficiency", heading: "suffic. ↓", of: |found| found.sufficiency },
];

/// Compare methods of explanation: how well they tell which words a prediction hangs on
///
/// Each method ranks the words of a text; then words are taken away, and the model is asked again. For each
/// method, means over the texts are printed, each with its 95 % bootstrap interval below it:
///
///   AUAC      area under the score while words come, the most relevant first; higher is better
///   MoRF      area under the score while words go, the most relevant first; lower is better
///   AU-MSE    area under the logits' squared change while words go, the least relevant
///             of either sign first; lower is better
///   compreh.  comprehensiveness: fall of the score without the most relevant words;
///             higher is better
///   suffic.   sufficiency: fall of the score with them alone; lower is better
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  distilbert faithfulness reviews.tsv --limit 500
  distilbert faithfulness reviews.tsv --methods lrp,random --against random --json"
)]
pub struct Arguments {
    /// A table of texts: CSV, tab-separated values or JSON lines; - is standard input
    #[arg(value_name = "DATA")]
    data: PathBuf,

    #[command(flatten)]
    table: TableOptions,

    /// Take only the first N texts
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,

    /// What to compare
    #[arg(
        long,
        value_name = "NAME,...",
        value_enum,
        value_delimiter = ',',
        default_values_t = Name::value_variants().to_vec(),
        hide_default_value = true
    )]
    methods: Vec<Name>,

    /// Give also by how much each method differs from this one on the same text
    #[arg(long, value_name = "NAME", value_enum)]
    against: Option<Name>,

    /// Steps of integrated gradients [default: 50]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    steps: Option<u16>,

    /// Which of the predicted label's numbers the methods explain
    #[arg(long, value_name = "WHICH", value_enum, default_value_t = objective::Name::Logit)]
    objective: objective::Name,

    /// What stands in for words that are taken away
    #[arg(long, value_name = "HOW", value_enum, default_value_t = replacement::Name::Pad)]
    replacement: replacement::Name,

    /// How many random orders of each text are averaged
    #[arg(long, value_name = "N", default_value_t = 10,
        value_parser = clap::value_parser!(u16).range(1..))]
    random_orders: u16,

    /// Seed of the random orders and of the bootstrap
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// How often texts are drawn again for the intervals
    #[arg(long, value_name = "N", default_value_t = 2000,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    resamples: u32,

    #[command(flatten)]
    model: ModelFolder,

    #[command(flatten)]
    engine: WantedEngine,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Name {
    /// Layer-wise relevance propagation
    Lrp,
    /// The gradient times the input
    GradientXInput,
    /// LRP that shares relevance with queries and keys
    #[value(name = "attnlrp", alias = "attn-lrp")]
    AttnLrp,
    /// Integrated gradients, in so many `--steps`
    IntegratedGradients,
    /// Attention rollout
    Rollout,
    /// A random order
    Random,
}

impl Arguments {
    fn ranking(&self, name: Name) -> Ranking {
        let steps = self.steps.unwrap_or(STEPS).into();
        match name {
            Name::Lrp => Method::Lrp.into(),
            Name::GradientXInput => Method::GradientXInput.into(),
            Name::AttnLrp => Method::AttnLrp.into(),
            Name::IntegratedGradients => Method::IntegratedGradients { steps }.into(),
            Name::Rollout => Ranking::Rollout,
            Name::Random => Ranking::Random,
        }
    }

    fn options(&self) -> ComparisonOptions {
        if self.steps.is_some() && !self.methods.contains(&Name::IntegratedGradients) {
            Self::refuse("--steps needs integrated-gradients among --methods");
        }
        ComparisonOptions::default()
            .rankings(self.methods.iter().map(|&name| self.ranking(name)))
            .objective(self.objective.into())
            .replacement(self.replacement.into())
            .random_orders(self.random_orders.into())
            .seed(self.seed)
            .resamples(self.resamples as usize)
    }

    /// What the methods are to be compared with.
    fn against(&self) -> Option<Ranking> {
        let against = self.against?;
        if !self.methods.contains(&against) {
            Self::refuse("--against needs one of --methods");
        }
        Some(self.ranking(against))
    }

    fn refuse(why: &str) -> ! {
        end_over_usage::<Self>("distilbert faithfulness", why)
    }
}

/// The first texts of a table, at least one.
fn texts(path: &Path, options: &TableOptions, limit: u64) -> Result<Vec<String>, Failure> {
    let mut table = Table::open(path, options, &[options.texts()])?.limit(limit);
    let mut texts = Vec::new();
    while let Some(row) = table.next_row()? {
        let text = row.text(&table.places()[0]).map_err(|reason| table.fault(&row, &reason))?;
        texts.push(text.into_owned());
    }
    if texts.is_empty() {
        return Err(Failure::NoTexts { path: path.into() });
    }
    Ok(texts)
}

pub fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let against = arguments.against();
    let options = arguments.options();
    let limit = arguments.limit.map_or(u64::MAX, u64::from);
    let texts = texts(&arguments.data, &arguments.table, limit)?;
    let builder = Classifier::builder(arguments.model.find()?);
    let classifier = arguments.engine.apply(builder).build()?;
    let progress = progress::bar(texts.len());
    let comparison = compare_methods(&classifier, progress.wrap_iter(texts.iter()), &options);
    progress.finish_and_clear();
    let report = Report {
        data: &arguments.data,
        classifier: &classifier,
        comparison: &comparison?,
        against,
    };
    let text = if arguments.json { format!("{}\n", report.json()) } else { report.table() };
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::Output)?;
    Ok(ExitCode::SUCCESS)
}

/// What was compared and found.
struct Report<'a> {
    data: &'a Path,
    classifier: &'a Classifier,
    comparison: &'a MethodComparison,
    against: Option<Ranking>,
}

impl Report<'_> {
    fn json(&self) -> Value {
        let &Self { data, classifier, comparison, against } = self;
        let info = classifier.info();
        let method = |(ranking, means): (Ranking, Faithfulness<Estimate>)| {
            let mut object = Map::from_iter([("method".to_owned(), ranking.name().into())]);
            object.extend(estimates(&means));
            let difference = against.and_then(|from| comparison.difference(ranking, from));
            if let Some(difference) = difference {
                object.insert("difference".to_owned(), estimates(&difference).into());
            }
            object
        };
        json!({
            "data": data.to_string_lossy(),
            "model": info.folder.to_string_lossy(),
            "precision": info.precision.name(),
            "texts": comparison.texts(),
            "skipped": {
                "without_words": comparison.without_words(),
                "of_one_word": comparison.of_one_word(),
            },
            "truncated": comparison.truncated(),
            "objective": comparison.objective().name(),
            "replacement": comparison.replacement().name(),
            "random_orders": comparison.random_orders(),
            "steps": self.steps(),
            "seed": comparison.seed(),
            "resamples": comparison.resamples(),
            "confidence": 0.95,
            "against": against.map(Ranking::name),
            "methods": comparison.means().into_iter().map(method).collect::<Vec<_>>(),
        })
    }

    /// Steps of integrated gradients, where they are compared.
    fn steps(&self) -> Option<usize> {
        self.comparison.rankings().iter().find_map(|ranking| match *ranking {
            Ranking::Method(Method::IntegratedGradients { steps }) => Some(steps),
            _ => None,
        })
    }

    fn table(&self) -> String {
        let &Self { data, classifier, comparison, against } = self;
        let info = classifier.info();
        let skipped = [
            (comparison.without_words(), "without words"),
            (comparison.of_one_word(), "of one word"),
        ];
        let skipped = skipped.into_iter().filter(|&(count, _)| count > 0);
        let skipped: String =
            skipped.map(|(count, why)| format!(", {count} {why} skipped")).collect();
        let truncated = match comparison.truncated() {
            0 => String::new(),
            count => {
                let limit = classifier.config().max_position_embeddings;
                format!(", {count} cut at {limit} tokens")
            }
        };
        let mut rows = vec![
            ("data", data.display().to_string()),
            ("texts", format!("{}{skipped}{truncated}", comparison.texts())),
            ("model", format!("{}, {}", info.folder.display(), info.precision)),
            ("explained", format!("the predicted label's {}", comparison.objective().name())),
            ("replacement", comparison.replacement().name().to_owned()),
        ];
        if let Some(steps) = self.steps() {
            rows.push(("steps", format!("{steps} of integrated gradients")));
        }
        if comparison.rankings().contains(&Ranking::Random) {
            rows.push(("random orders", format!("{} of each text", comparison.random_orders())));
        }
        rows.push(("seed", comparison.seed().to_string()));
        rows.push((
            "intervals",
            format!("95 %, {} resamples of the texts", comparison.resamples()),
        ));
        let rows = rows.into_iter().map(|(name, value)| {
            format!("{BOLD}{name:NAMES$}{BOLD:#}{}\n", terminal::visible(&value))
        });
        let mut text: String = rows.collect();
        text.push('\n');
        text += &table("", comparison.means(), false);
        if let Some(from) = against {
            let others = comparison.rankings().iter().copied().filter(|&ranking| ranking != from);
            let differences = others.filter_map(|of| Some((of, comparison.difference(of, from)?)));
            text.push('\n');
            text += &table(&format!("less {from}"), differences.collect(), true);
        }
        text
    }
}

/// A method in two lines: the values, and below them the intervals.
fn table(title: &str, rows: Vec<(Ranking, Faithfulness<Estimate>)>, signed: bool) -> String {
    let mut lines =
        vec![(BOLD, title.to_owned(), MEASURES.map(|measure| measure.heading.to_owned()))];
    for (ranking, means) in rows {
        let estimates = MEASURES.map(|measure| (measure.of)(&means));
        let values = estimates.map(|found| number(found.value, signed));
        let intervals = estimates
            .map(|found| format!("{}..{}", number(found.low, signed), number(found.high, signed)));
        lines.push((Style::new(), ranking.name().to_owned(), values));
        lines.push((DIM, String::new(), intervals));
    }
    let names = lines.iter().map(|(_, name, _)| terminal::width(name)).max().unwrap_or(0);
    let cells = lines.iter().flat_map(|(_, _, cells)| cells);
    let columns = cells.map(|cell| terminal::width(cell)).max().unwrap_or(0);
    let line = |(style, name, cells): &(Style, String, [String; MEASURES.len()])| {
        let cells = cells
            .iter()
            .map(|cell| format!("{:1$}{cell}", "", GAP + columns - terminal::width(cell)));
        let text = terminal::pad(name, names) + &cells.collect::<String>();
        format!("{style}{text}{style:#}\n")
    };
    lines.iter().map(line).collect()
}

fn number(value: f64, signed: bool) -> String {
    let text = if signed { format!("{value:+.3}") } else { format!("{value:.3}") };
    // The sign of zero says nothing.
    text.replace("-0.000", "0.000")
}

/// Each measure with its interval.
fn estimates(found: &Faithfulness<Estimate>) -> Map<String, Value> {
    let estimate = |measure: &Measure| {
        let Estimate { value, low, high, .. } = (measure.of)(found);
        (measure.name.to_owned(), json!({ "value": value, "low": low, "high": high }))
    };
    MEASURES.iter().map(estimate).collect()
}
