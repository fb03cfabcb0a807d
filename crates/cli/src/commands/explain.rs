//! `distilbert explain`: which words made the prediction, for texts from the command line or standard input.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgGroup, Args, ValueEnum};
use distilbert::explain::{self, ExplainOptions, Explanation, Order, PerturbOptions, Target};
use distilbert::{Classifier, Error};
use distilbert_report::explanation::Page;

use crate::args::engine::WantedEngine;
use crate::args::model_folder::ModelFolder;
use crate::args::{objective, replacement};
use crate::failure::{Failure, end_over_usage};
use crate::render::explanation::{self, Report};
use crate::texts::{self, Task};

/// Steps of integrated gradients unless `--steps` says otherwise.
pub const STEPS: u16 = 50;

/// Say which words made a prediction: of the texts given, or of each line of standard input
///
/// Relevance shares out what the model has computed: it is no proof of cause. What a word does, taking it
/// away shows (--perturb). The methods lrp and attnlrp are reported to be covered by a patent in some
/// countries; the gradient methods are the alternative.
#[derive(Args)]
#[command(
    // What wants words taken away.
    group = ArgGroup::new("curves").args(["perturb", "html", "svg"]).multiple(true),
    after_help = "Examples:
  distilbert explain \"I can't believe we won!\"
  distilbert explain --html why.html --target surprise --against happiness \"I can't believe we won!\"
  distilbert explain --json < reviews.txt > reasons.jsonl"
)]
pub struct Arguments {
    /// Texts to explain; without any, each line of standard input is one
    #[arg(value_name = "TEXT")]
    texts: Vec<String>,

    /// How relevance is shared out
    #[arg(long, value_name = "NAME", value_enum, default_value_t = Method::Lrp)]
    method: Method,

    /// Steps of integrated gradients [default: 50]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    steps: Option<u16>,

    /// The label to explain [default: the one predicted]
    #[arg(long, value_name = "LABEL")]
    target: Option<String>,

    /// Explain the target against this label
    #[arg(long, value_name = "LABEL", requires = "target")]
    against: Option<String>,

    /// Which of the target's numbers to explain
    #[arg(long, value_name = "WHICH", value_enum, default_value_t = objective::Name::Logit)]
    objective: objective::Name,

    /// Take the words away, too, in three orders, and say how the target's score falls
    #[arg(long)]
    perturb: bool,

    /// What stands in for words that are taken away
    #[arg(long, value_name = "HOW", value_enum, requires = "curves",
        default_value_t = replacement::Name::Pad)]
    replacement: replacement::Name,

    /// Seed of the random order in which words are taken away
    #[arg(long, value_name = "N", requires = "curves", default_value_t = 0)]
    seed: u64,

    /// Write a page of pictures, curves and maps of attention to this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Write the page's pictures into this folder; made if it is not there
    #[arg(long, value_name = "DIR")]
    svg: Option<PathBuf>,

    /// Print one JSON object a line, in the order of the texts
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    model: ModelFolder,

    #[command(flatten)]
    engine: WantedEngine,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Method {
    /// Layer-wise relevance propagation: the weights of attention are held
    Lrp,
    /// The same, with shares for queries and keys
    #[value(name = "attnlrp", alias = "attn-lrp")]
    AttnLrp,
    /// The gradient times the input
    #[value(name = "gradient-x-input")]
    GradientXInput,
    /// The mean gradient on the way from a text of padding, times the way
    IntegratedGradients,
}

impl Arguments {
    fn options(&self) -> ExplainOptions {
        let target = match (&self.target, &self.against) {
            (None, _) => Target::Predicted,
            (Some(label), None) => Target::label(label),
            (Some(label), Some(other)) => Target::against(label, other),
        };
        ExplainOptions::default()
            .method(self.method())
            .target(target)
            .objective(self.objective.into())
            .attention(self.draws())
    }

    fn method(&self) -> explain::Method {
        match (self.method, self.steps) {
            (Method::IntegratedGradients, steps) => {
                let steps = steps.unwrap_or(STEPS).into();
                explain::Method::IntegratedGradients { steps }
            }
            (_, Some(_)) => {
                let why = "--steps needs --method integrated-gradients";
                end_over_usage::<Self>("distilbert explain", why)
            }
            (Method::Lrp, None) => explain::Method::Lrp,
            (Method::AttnLrp, None) => explain::Method::AttnLrp,
            (Method::GradientXInput, None) => explain::Method::GradientXInput,
        }
    }

    /// Whether there will be pictures.
    fn draws(&self) -> bool {
        self.html.is_some() || self.svg.is_some()
    }

    /// How words are taken away, if they are.
    fn perturbations(&self) -> Vec<PerturbOptions> {
        if !self.perturb && !self.draws() {
            return Vec::new();
        }
        let random = Order::Random { seed: self.seed };
        [Order::MostRelevantFirst, Order::LeastRelevantFirst, random]
            .map(|order| {
                PerturbOptions::default().order(order).replacement(self.replacement.into())
            })
            .to_vec()
    }
}

pub fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let (options, perturbations) = (arguments.options(), arguments.perturbations());
    let draws = arguments.draws();
    let classifier =
        arguments.engine.apply(Classifier::builder(arguments.model.find()?)).build()?;
    let report = if arguments.json { Report::json() } else { Report::table() };
    let (html, svg) = (arguments.html, arguments.svg);
    let task = Explaining { classifier, options, perturbations, report, html, svg };
    if draws {
        texts::answer_one(task, &arguments.texts)
    } else {
        texts::answer_all(task, &arguments.texts)
    }
}

struct Explaining {
    classifier: Classifier,
    options: ExplainOptions,
    perturbations: Vec<PerturbOptions>,
    report: Report,
    html: Option<PathBuf>,
    svg: Option<PathBuf>,
}

impl Task for Explaining {
    type Answer = explanation::Answer;

    fn answers(&self, texts: &[&str]) -> Result<Vec<Self::Answer>, Error> {
        let explanations = self.classifier.explain_batch(texts, &self.options)?;
        let answer = |explanation: Explanation| {
            let perturbations = self.perturbations.iter();
            let curves =
                perturbations.map(|options| self.classifier.perturb(&explanation, options));
            Ok(explanation::Answer { curves: curves.collect::<Result<_, _>>()?, explanation })
        };
        explanations.into_iter().map(answer).collect()
    }

    fn write(&mut self, _: &str, answer: &Self::Answer) -> Result<(), Failure> {
        let info = self.classifier.info();
        let settings = [
            ("model", info.folder.display().to_string()),
            ("precision", info.precision.to_string()),
        ];
        let mut page = Page::new(&answer.explanation);
        for curve in &answer.curves {
            page = page.curve(curve);
        }
        for (name, value) in settings {
            page = page.setting(name, value);
        }
        if let Some(file) = &self.html {
            write_file(file, &page.html())?;
        }
        if let Some(folder) = &self.svg {
            fs::create_dir_all(folder)
                .map_err(|source| Failure::Write { path: folder.clone(), source })?;
            for (name, picture) in page.pictures() {
                write_file(&folder.join(name), &picture)?;
            }
        }
        self.report.write(&self.classifier, answer).map_err(Failure::Output)
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.report.flush().map_err(Failure::Output)
    }
}

fn write_file(path: &Path, content: &str) -> Result<(), Failure> {
    fs::write(path, content).map_err(|source| Failure::Write { path: path.to_owned(), source })
}
