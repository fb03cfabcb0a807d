//! `distilbert explain`: relevance of each word for a prediction.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgGroup, Args};
use distilbert::explain::{
    ExplainOptions, Explanation, Method, Order, PerturbOptions, Replacement, Target,
};
use distilbert::{Classifier, Error, ExplainError, InputError};
use distilbert_report::explanation::Page;

use crate::args::explanation::ExplanationOptions;
use crate::args::model::ModelOptions;
use crate::args::named::named;
use crate::failure::Failure;
use crate::files::{self, Source};
use crate::render::explanation::{Answer, Report};
use crate::texts::{self, Results, Task};

/// Show which words led to a prediction, for the given texts or for each line of standard input
///
/// Relevance shows how the model computed its answer; it doesn't prove causation. --perturb shows how the score changes when
/// words are removed. The methods lrp and attnlrp are reported to be patented in some countries; the gradient methods
/// are an alternative.
#[derive(Args)]
#[command(
    // Options that need words to be removed.
    group = ArgGroup::new("curves").args(["perturb", "html", "svg"]).multiple(true),
    after_help = "Examples:
  distilbert explain \"I can't believe we won!\"
  distilbert explain --html why.html --target surprise --against happiness \"I can't believe we won!\"
  distilbert explain --json < reviews.txt > explanations.jsonl"
)]
pub struct Arguments {
    /// Texts to explain [default: each line of standard input]
    #[arg(value_name = "TEXT")]
    texts: Vec<String>,

    /// Attribution method
    #[arg(long, value_parser = named::<Method>(), default_value_t = Method::Lrp)]
    method: Method,

    #[command(flatten)]
    explanation: ExplanationOptions,

    /// Label to explain [default: the predicted label]
    #[arg(long, value_name = "LABEL")]
    target: Option<String>,

    /// Explain the difference between the target and this label
    #[arg(long, value_name = "LABEL", requires = "target")]
    against: Option<String>,

    /// Also show how the target's score changes as words are removed, in three orders
    #[arg(long)]
    perturb: bool,

    /// Replacement for removed words
    #[arg(long, value_parser = named::<Replacement>(), requires = "curves",
        default_value_t = Replacement::Pad)]
    replacement: Replacement,

    /// Seed for the random order in which words are removed
    #[arg(long, value_name = "N", requires = "curves", default_value_t = 0)]
    seed: u64,

    /// Write an HTML page with charts, curves and attention maps
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Write the charts of the page as SVG files to this folder, created if missing
    #[arg(long, value_name = "DIR")]
    svg: Option<PathBuf>,

    /// Print one JSON object per line, in the order of the texts
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    model: ModelOptions,
}

impl Arguments {
    fn options(&self) -> Result<ExplainOptions, Failure> {
        let is_integrated = matches!(self.method, Method::IntegratedGradients { .. });
        if self.explanation.has_steps() && !is_integrated {
            return Err(Failure::Usage("--steps requires --method integrated-gradients"));
        }
        let target = match (&self.target, &self.against) {
            (None, _) => Target::Predicted,
            (Some(label), None) => Target::label(label),
            (Some(label), Some(other)) => Target::against(label, other),
        };
        Ok(ExplainOptions::default()
            .method(self.explanation.with_steps(self.method))
            .target(target)
            .objective(self.explanation.objective)
            .attention(self.draws()))
    }

    /// Returns `true` if charts are written.
    fn draws(&self) -> bool {
        self.html.is_some() || self.svg.is_some()
    }

    /// Returns the orders in which words are removed, if any.
    fn perturbations(&self) -> Vec<PerturbOptions> {
        if !self.perturb && !self.draws() {
            return Vec::new();
        }
        let random = Order::Random { seed: self.seed };
        [Order::MostRelevantFirst, Order::LeastRelevantFirst, random]
            .map(|order| PerturbOptions::default().order(order).replacement(self.replacement))
            .to_vec()
    }
}

pub fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let (options, perturbations) = (arguments.options()?, arguments.perturbations());
    let draws = arguments.draws();
    let classifier = arguments.model.builder()?.build()?;
    let report = if arguments.json { Report::json() } else { Report::table() };
    let mut sources = Source::of_folder(&classifier.info().folder);
    if arguments.texts.is_empty() {
        files::check_standard_output(&Source::standard_input())?;
        sources.push(Source::standard_input());
    }
    let (html, svg) = (arguments.html, arguments.svg);
    if let Some(html) = &html {
        files::check_output(html, &sources)?;
    }
    let task = Explaining { classifier, options, perturbations, report, html, svg, sources };
    if draws {
        texts::process_one(task, &arguments.texts)
    } else {
        texts::process_all(task, &arguments.texts)
    }
}

struct Explaining {
    classifier: Classifier,
    options: ExplainOptions,
    perturbations: Vec<PerturbOptions>,
    report: Report,
    html: Option<PathBuf>,
    svg: Option<PathBuf>,
    /// Files that are read, and must not be overwritten.
    sources: Vec<Source>,
}

impl Explaining {
    /// Explains texts, none of which may be rejected.
    fn explain(&self, texts: &[&str]) -> Result<Vec<Answer>, Error> {
        let explanations = self.classifier.explain_batch(texts, &self.options)?;
        let answer = |explanation: Explanation| {
            let perturbations = self.perturbations.iter();
            let curves =
                perturbations.map(|options| self.classifier.perturb(&explanation, options));
            Ok(Answer { curves: curves.collect::<Result<_, _>>()?, explanation })
        };
        explanations.into_iter().map(answer).collect()
    }
}

/// Returns `true` if every text would fail with this error.
fn is_independent_of_text(error: &Error) -> bool {
    matches!(
        error,
        Error::Device(_)
            | Error::Input(InputError::Stride { .. } | InputError::NoTokenizer)
            | Error::Explain(
                ExplainError::NoBackwardPass { .. }
                    | ExplainError::UnknownLabel { .. }
                    | ExplainError::SameLabel { .. }
                    | ExplainError::NoProbability
                    | ExplainError::NoToken { .. }
            )
    )
}

impl Task for Explaining {
    type Answer = Answer;

    fn answers(&self, texts: &[&str]) -> Results<Answer> {
        match self.explain(texts) {
            Ok(answers) => Ok(answers.into_iter().map(Ok).collect()),
            Err(error) if is_independent_of_text(&error) => Err(error),
            Err(error) if texts.len() == 1 => Ok(vec![Err(error)]),
            // One is rejected. Each half is explained on its own, so that most texts stay in large batches.
            Err(_) => {
                let (first, second) = texts.split_at(texts.len() / 2);
                let mut answers = self.answers(first)?;
                answers.extend(self.answers(second)?);
                Ok(answers)
            }
        }
    }

    fn write(&mut self, _: &str, answer: &Answer) -> Result<(), Failure> {
        let info = self.classifier.info();
        let page = answer.curves.iter().fold(Page::new(&answer.explanation), Page::curve);
        let page = page
            .setting("model", info.folder.display().to_string())
            .setting("precision", answer.explanation.prediction().precision().to_string());
        let pictures = if self.svg.is_some() { page.pictures() } else { Vec::new() };
        if let Some(folder) = &self.svg {
            for (name, _) in &pictures {
                files::check_output(&folder.join(name), &self.sources)?;
            }
        }
        if let Some(file) = &self.html {
            write_file(file, &page.html())?;
        }
        if let Some(folder) = &self.svg {
            fs::create_dir_all(folder)
                .map_err(|source| Failure::Write { path: folder.clone(), source })?;
            for (name, picture) in pictures {
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
