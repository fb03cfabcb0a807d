//! Explanations as text.

use std::io::{Result, Write};

use anstyle::{Ansi256Color, Effects, Style};
use distilbert::explain::{Curve, Explanation, Method, Objective, Replacement};
use distilbert::{Classifier, ProblemType};

use super::Answer;
use super::lines::Lines;
use crate::render::prediction::write_cut;
use crate::render::terminal::{self, BOLD, DIM, FIRST};

/// Orange and violet, which color-blind readers can tell apart, on dark and light backgrounds.
const FOR: Style = Ansi256Color(172).on_default();
const AGAINST: Style = Ansi256Color(98).on_default();

/// Share of the largest relevance from which a word is colored.
const COLORED: f32 = 0.1;

/// Share of the largest relevance from which a word is bold.
const STRONG: f32 = 0.5;

/// Maximum number of bars; the words with the largest relevances get them.
const MAX_BARS: usize = 20;

/// Maximum width of the bars on both sides together.
const MAX_BAR_COLUMNS: usize = 50;

/// Maximum width of a word beside its bar, or of a label.
const MAX_NAME_COLUMNS: usize = 24;

/// One explanation: the text, the prediction, a bar for each word, and the ledger.
pub(super) struct Table<'a> {
    explanation: &'a Explanation,
    curves: &'a [Curve],
    problem_type: ProblemType,
    columns: usize,
    /// Decimals of the relevances.
    decimals: usize,
}

impl<'a> Table<'a> {
    pub(super) fn new(classifier: &Classifier, answer: &'a Answer) -> Self {
        let Answer { explanation, curves } = answer;
        let columns = terminal::columns();
        let decimals = decimals(explanation.value().abs().max(largest(explanation).into()));
        let problem_type = classifier.problem_type();
        Self { explanation, curves, problem_type, columns, decimals }
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> Result<()> {
        self.write_text(out)?;
        self.write_prediction(out)?;
        let (name, goal, method) =
            (self.objective(), self.goal(), self.explanation.method().name());
        let steps = match self.explanation.method() {
            Method::IntegratedGradients { steps } => format!(", {steps} steps"),
            _ => String::new(),
        };
        writeln!(out, "  {DIM}relevance for the {name} of {goal} ({method}{steps}){DIM:#}")?;
        self.write_bars(out)?;
        self.write_ledger(out)?;
        self.write_curves(out)?;
        let limit = self.explanation.tokens().len();
        write_cut(out, self.explanation.prediction(), limit)
    }

    /// Writes the whole text, colored by relevance.
    fn write_text(&self, out: &mut dyn Write) -> Result<()> {
        let text = self.explanation.text();
        if text.trim().is_empty() {
            return writeln!(out, "{DIM}(empty text){DIM:#}");
        }
        let largest = largest(self.explanation);
        let mut lines = Lines::new(out, self.columns);
        let mut written = 0;
        for word in self.explanation.words() {
            // A tokenizer may split one character into two words.
            if word.bytes.start < written {
                continue;
            }
            lines.write(&text[written..word.bytes.start])?;
            lines.push(&word.text, shade(word.relevance, largest));
            written = word.bytes.end;
        }
        lines.write(&text[written..])?;
        lines.finish()
    }

    /// Writes the predicted label and, if it is another one, the explained label.
    fn write_prediction(&self, out: &mut dyn Write) -> Result<()> {
        let explanation = self.explanation;
        let prediction = explanation.prediction();
        let label = name(prediction.label());
        write!(out, "  {FIRST}{label}  {}{FIRST:#}", self.score(prediction.score()))?;
        if explanation.target() != prediction.label() {
            let (target, score) = (name(explanation.target()), self.score(explanation.score()));
            write!(out, "; explaining {BOLD}{target}{BOLD:#}  {score}")?;
        }
        match self.problem_type {
            ProblemType::Regression => writeln!(out),
            _ => writeln!(out, ", logit {:+.3}", explanation.logit()),
        }
    }

    /// Formats a score.
    fn score(&self, score: f32) -> String {
        match self.problem_type {
            ProblemType::Regression => format!("{score:.4}"),
            _ => format!("{:.1}%", 100.0 * f64::from(score)),
        }
    }

    /// Returns the name of the explained number.
    fn objective(&self) -> &'static str {
        match self.explanation.objective() {
            Objective::Probability => "probability",
            _ if self.problem_type == ProblemType::Regression => "value",
            _ => "logit",
        }
    }

    /// Returns the name of the explained label or pair of labels.
    fn goal(&self) -> String {
        let target = name(self.explanation.target());
        match self.explanation.against() {
            Some(against) => format!("{target} rather than {}", name(against)),
            None => target,
        }
    }

    /// Writes a bar for each word, the largest relevance first.
    fn write_bars(&self, out: &mut dyn Write) -> Result<()> {
        let mut words: Vec<_> = self.explanation.words().iter().collect();
        words.sort_by(|a, b| b.relevance.abs().total_cmp(&a.relevance.abs()));
        let rest = words.split_off(words.len().min(MAX_BARS));
        words.sort_by(|a, b| b.relevance.total_cmp(&a.relevance));
        let rows: Vec<_> = words
            .into_iter()
            .map(|word| (name(&word.text), self.signed(word.relevance.into()), word.relevance))
            .collect();
        let width = |text: fn(&(String, String, f32)) -> &str| {
            rows.iter().map(|row| terminal::width(text(row))).max().unwrap_or(0)
        };
        let (names, values) = (width(|row| &row.0), width(|row| &row.1));
        let columns = self.columns.saturating_sub(2 + names + 2 + values + 2 + 1);
        let columns = columns.min(MAX_BAR_COLUMNS);
        let highest = rows.iter().map(|row| row.2).fold(0.0, f32::max);
        let lowest = rows.iter().map(|row| row.2).fold(0.0, f32::min);
        // Rounding up both sides may take an extra column.
        let scale = columns.saturating_sub(1) as f32 / (highest - lowest);
        let left = ((-lowest * scale).ceil() as usize).min(columns);
        let right = columns - left;
        for (name, value, relevance) in &rows {
            let style = side(*relevance);
            let share = |size: f32, columns: usize| size * scale / columns as f32;
            let against = terminal::leftward_bar(share(-relevance.min(0.0), left), left);
            let bar = terminal::bar(share(relevance.max(0.0), right), right);
            let name = terminal::pad(name, names);
            writeln!(out, "  {style}{name}  {value:>values$}  {against}│{bar}{style:#}")?;
        }
        if !rest.is_empty() {
            let sum = rest.iter().map(|word| f64::from(word.relevance)).sum();
            let (count, sum) = (rest.len(), self.signed(sum));
            let (s, total) = if count == 1 { ("", "has") } else { ("s", "total") };
            writeln!(out, "  {DIM}{count} more word{s} with less relevance {total} {sum}{DIM:#}")?;
        }
        Ok(())
    }

    /// Writes the sum that makes up the explained number.
    fn write_ledger(&self, out: &mut dyn Write) -> Result<()> {
        let explanation = self.explanation;
        let words: f64 = explanation.words().iter().map(|word| f64::from(word.relevance)).sum();
        let all: f64 = explanation.tokens().iter().map(|token| f64::from(token.relevance)).sum();
        let (name, value) = (self.objective(), self.signed(explanation.value()));
        write!(out, "  {DIM}{name} {value} = words {}", self.signed(words))?;
        write!(out, " + special tokens {}", self.signed(all - words))?;
        for (name, share) in explanation.ledger().entries().into_iter().filter(|e| e.1 != 0.0) {
            write!(out, " + {} {}", name.replace('_', " "), self.signed(share))?;
        }
        writeln!(out, " (unexplained {:.0e}){DIM:#}", explanation.unexplained())
    }

    /// Writes a line for each order in which words were removed.
    fn write_curves(&self, out: &mut dyn Write) -> Result<()> {
        let Some(first) = self.curves.first() else { return Ok(()) };
        let how = match first.replacement() {
            Replacement::Delete => "deleted".to_owned(),
            replacement => format!("replaced by [{}]", replacement.name().to_uppercase()),
        };
        let goal = name(self.explanation.target());
        writeln!(out, "  {DIM}score of {goal} as words are removed ({how}){DIM:#}")?;
        let names = self.curves.iter().map(|curve| curve.ordered_by().name().len());
        let names = names.max().unwrap_or(0);
        for curve in self.curves {
            let (name, points) = (curve.ordered_by().name().replace('-', " "), curve.points());
            let [first, .., last] = points else { continue };
            let levels = match self.problem_type {
                ProblemType::Regression => String::new(),
                _ => points.iter().map(|point| terminal::level(point.score)).collect(),
            };
            let (first, last) = (self.score(first.score), self.score(last.score));
            let area = curve.area_under();
            writeln!(out, "  {name:<names$}  {levels}  {first} to {last}, area {area:.3}")?;
        }
        Ok(())
    }

    /// Formats a relevance with its sign.
    fn signed(&self, value: f64) -> String {
        let shown = format!("{value:+.*}", self.decimals);
        // A value that rounds to zero has no sign.
        if shown.contains(|digit| matches!(digit, '1'..='9')) {
            shown
        } else {
            shown[1..].to_owned()
        }
    }
}

/// Returns the number of decimals that gives the largest value at least three significant digits.
fn decimals(largest: f64) -> usize {
    match largest.log10().floor() {
        magnitude if magnitude.is_finite() => (2.0 - magnitude).clamp(3.0, 9.0) as usize,
        _ => 3,
    }
}

/// Returns the largest absolute relevance of a word.
fn largest(explanation: &Explanation) -> f32 {
    explanation.words().iter().map(|word| word.relevance.abs()).fold(0.0, f32::max)
}

/// Returns the color of a relevance by its sign.
fn side(relevance: f32) -> Style {
    if relevance < 0.0 { AGAINST } else { FOR }
}

/// Returns the style of a word in the text.
fn shade(relevance: f32, largest: f32) -> Style {
    let share = relevance.abs() / largest;
    match side(relevance) {
        side if share >= STRONG => side.effects(Effects::BOLD),
        side if share >= COLORED => side,
        _ => Style::new(),
    }
}

/// Cuts a word or a label to its column.
fn name(text: &str) -> String {
    terminal::fit(text, MAX_NAME_COLUMNS)
}
