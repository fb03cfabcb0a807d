//! An explanation as people read it, and as programs do.

use std::io::{BufWriter, Result, Write};
use std::ops::Range;

use anstyle::{Ansi256Color, Effects, Style};
use distilbert::explain::{Curve, Explanation, Method, Objective, Order, Point, Replacement};
use distilbert::{Classifier, ProblemType};
use serde_json::{Map, Value, json};

use crate::render::report::number;
use crate::render::terminal::{self, BOLD, DIM, FIRST};

/// Orange and violet: told apart by those who do not see red or green, on dark ground and light.
const FOR: Style = Ansi256Color(172).on_default();
const AGAINST: Style = Ansi256Color(98).on_default();

/// From this share of the largest relevance on, a word of the text is coloured; and from this one on, bold.
const COLOURED: f32 = 0.1;
const STRONG: f32 = 0.5;

/// Of more words, so many have bars: those with the most relevance.
const MOST_BARS: usize = 20;

/// All bars together are no wider than this, however wide the terminal.
const LONGEST_BARS: usize = 50;

/// A word beside its bar, or a label, is cut to so many columns.
const LONGEST_NAME: usize = 24;

/// What is said of one text.
pub struct Answer {
    pub explanation: Explanation,
    pub curves: Vec<Curve>,
}

/// Writes explanations to standard output.
pub struct Report {
    out: Box<dyn Write>,
    form: Form,
}

enum Form {
    Table { first: bool },
    Json,
}

impl Report {
    /// For people.
    pub fn table() -> Self {
        let out = Box::new(BufWriter::new(anstream::stdout().lock()));
        Self { out, form: Form::Table { first: true } }
    }

    /// For programs: one JSON object a line.
    pub fn json() -> Self {
        Self { out: Box::new(BufWriter::new(std::io::stdout().lock())), form: Form::Json }
    }

    pub fn write(&mut self, classifier: &Classifier, answer: &Answer) -> Result<()> {
        match &mut self.form {
            Form::Table { first } => {
                if !std::mem::replace(first, false) {
                    writeln!(self.out)?;
                }
                Table::new(classifier, answer).write(&mut self.out)
            }
            Form::Json => writeln!(self.out, "{}", json(classifier, answer)),
        }
    }

    pub fn flush(&mut self) -> Result<()> {
        self.out.flush()
    }
}

/// One explanation: the text, the prediction, a bar for each word, and the books.
struct Table<'a> {
    explanation: &'a Explanation,
    curves: &'a [Curve],
    problem_type: ProblemType,
    columns: usize,
    /// Digits after the point of what is explained.
    decimals: usize,
}

impl<'a> Table<'a> {
    fn new(classifier: &Classifier, answer: &'a Answer) -> Self {
        let Answer { explanation, curves } = answer;
        let columns = terminal::columns();
        let decimals = decimals(explanation.value().abs().max(largest(explanation).into()));
        let problem_type = classifier.problem_type();
        Self { explanation, curves, problem_type, columns, decimals }
    }

    fn write(&self, out: &mut dyn Write) -> Result<()> {
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
        let dropped = self.explanation.prediction().dropped_tokens();
        if dropped > 0 {
            let tokens = if dropped == 1 { "token was" } else { "tokens were" };
            let limit = self.explanation.tokens().len();
            writeln!(
                out,
                "  {DIM}the last {dropped} {tokens} not read: the model takes {limit}{DIM:#}"
            )?;
        }
        Ok(())
    }

    /// The whole text in lines of words, coloured by relevance.
    fn write_text(&self, out: &mut dyn Write) -> Result<()> {
        let text = self.explanation.text();
        if text.trim().is_empty() {
            return writeln!(out, "{DIM}(empty text){DIM:#}");
        }
        let largest = largest(self.explanation);
        let mut lines = Lines { out, columns: self.columns, column: 0, chunk: Chunk::default() };
        let mut written = 0;
        for word in self.explanation.words() {
            // A tokenizer may find two words in one character.
            if word.bytes.start < written {
                continue;
            }
            lines.write(&text[written..word.bytes.start])?;
            lines.chunk.push(&word.text, shade(word.relevance, largest));
            written = word.bytes.end;
        }
        lines.write(&text[written..])?;
        lines.end()
    }

    fn write_prediction(&self, out: &mut dyn Write) -> Result<()> {
        let explanation = self.explanation;
        let prediction = explanation.prediction();
        let label = name(prediction.label());
        write!(out, "  {FIRST}{label}  {}{FIRST:#}", self.score(prediction.score()))?;
        if explanation.target() != prediction.label() {
            let (target, score) = (name(explanation.target()), self.score(explanation.score()));
            write!(out, "; explained is {BOLD}{target}{BOLD:#}  {score}")?;
        }
        match self.problem_type {
            ProblemType::Regression => writeln!(out),
            _ => writeln!(out, ", logit {:+.3}", explanation.logit()),
        }
    }

    fn score(&self, score: f32) -> String {
        match self.problem_type {
            ProblemType::Regression => format!("{score:.4}"),
            _ => format!("{:.1} %", 100.0 * f64::from(score)),
        }
    }

    /// Which number is explained.
    fn objective(&self) -> &'static str {
        match self.explanation.objective() {
            Objective::Probability => "probability",
            _ if self.problem_type == ProblemType::Regression => "value",
            _ => "logit",
        }
    }

    fn goal(&self) -> String {
        let target = name(self.explanation.target());
        match self.explanation.against() {
            Some(against) => format!("{target} rather than {}", name(against)),
            None => target,
        }
    }

    fn write_bars(&self, out: &mut dyn Write) -> Result<()> {
        let mut words: Vec<_> = self.explanation.words().iter().collect();
        words.sort_by(|a, b| b.relevance.abs().total_cmp(&a.relevance.abs()));
        let rest = words.split_off(words.len().min(MOST_BARS));
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
        let columns = columns.min(LONGEST_BARS);
        let highest = rows.iter().map(|row| row.2).fold(0.0, f32::max);
        let lowest = rows.iter().map(|row| row.2).fold(0.0, f32::min);
        // A column may be lost where both sides are rounded up.
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
            let (words, add) = if count == 1 { ("word", "adds") } else { ("words", "add") };
            writeln!(out, "  {DIM}{count} more {words} of less relevance {add} {sum}{DIM:#}")?;
        }
        Ok(())
    }

    /// What the value explained is made of.
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

    /// A line for each order in which words were taken away.
    fn write_curves(&self, out: &mut dyn Write) -> Result<()> {
        let Some(first) = self.curves.first() else { return Ok(()) };
        let how = match first.replacement() {
            Replacement::Delete => "delete".to_owned(),
            replacement => format!("replace by [{}]", replacement.name().to_uppercase()),
        };
        let goal = name(self.explanation.target());
        writeln!(out, "  {DIM}score of {goal} while words are taken away ({how}){DIM:#}")?;
        let names = self.curves.iter().map(|curve| curve.ordered_by().name().len());
        let names = names.max().unwrap_or(0);
        for curve in self.curves {
            let (name, points) = (curve.ordered_by().name().replace('-', " "), curve.points());
            let [first, .., last] = points else { continue };
            let course = match self.problem_type {
                ProblemType::Regression => String::new(),
                _ => points.iter().map(|point| terminal::level(point.score)).collect(),
            };
            let (first, last) = (self.score(first.score), self.score(last.score));
            let area = curve.area_under();
            writeln!(out, "  {name:<names$}  {course}  {first} to {last}, area {area:.3}")?;
        }
        Ok(())
    }

    fn signed(&self, value: f64) -> String {
        let shown = format!("{value:+.*}", self.decimals);
        // What rounds to nothing has no sign.
        if shown.contains(|digit| matches!(digit, '1'..='9')) {
            shown
        } else {
            shown[1..].to_owned()
        }
    }
}

/// Breaks a text into lines at its spaces.
struct Lines<'a> {
    out: &'a mut dyn Write,
    columns: usize,
    column: usize,
    /// What has come since the last space.
    chunk: Chunk,
}

#[derive(Default)]
struct Chunk {
    text: String,
    columns: usize,
}

impl Chunk {
    fn push(&mut self, text: &str, style: Style) {
        let text = terminal::visible(text);
        self.columns += terminal::width(&text);
        self.text += &format!("{style}{text}{style:#}");
    }
}

impl Lines<'_> {
    fn write(&mut self, text: &str) -> Result<()> {
        for (index, part) in text.split(char::is_whitespace).enumerate() {
            if index > 0 {
                self.write_chunk()?;
            }
            if !part.is_empty() {
                self.chunk.push(part, Style::new());
            }
        }
        Ok(())
    }

    fn write_chunk(&mut self) -> Result<()> {
        let Chunk { text, columns } = std::mem::take(&mut self.chunk);
        if columns == 0 {
            return Ok(());
        }
        let space = usize::from(self.column > 0);
        if space > 0 && self.column + space + columns > self.columns {
            write!(self.out, "\n{text}")?;
            self.column = columns;
        } else {
            write!(self.out, "{:space$}{text}", "")?;
            self.column += space + columns;
        }
        Ok(())
    }

    fn end(mut self) -> Result<()> {
        self.write_chunk()?;
        writeln!(self.out)
    }
}

/// At least three digits of the largest value that is shown.
fn decimals(largest: f64) -> usize {
    match largest.log10().floor() {
        magnitude if magnitude.is_finite() => (2.0 - magnitude).clamp(3.0, 9.0) as usize,
        _ => 3,
    }
}

/// The relevance of the word that has most.
fn largest(explanation: &Explanation) -> f32 {
    explanation.words().iter().map(|word| word.relevance.abs()).fold(0.0, f32::max)
}

fn side(relevance: f32) -> Style {
    if relevance < 0.0 { AGAINST } else { FOR }
}

/// The style of a word in the text.
fn shade(relevance: f32, largest: f32) -> Style {
    let share = relevance.abs() / largest;
    match side(relevance) {
        side if share >= STRONG => side.effects(Effects::BOLD),
        side if share >= COLOURED => side,
        _ => Style::new(),
    }
}

/// What a word or a label is called beside others.
fn name(text: &str) -> String {
    terminal::fit(text, LONGEST_NAME)
}

fn json(classifier: &Classifier, answer: &Answer) -> Value {
    let Answer { explanation, curves } = answer;
    let info = classifier.info();
    let mut settings = json!({
        "model": info.folder.display().to_string(),
        "precision": info.precision.to_string(),
    });
    if let Method::IntegratedGradients { steps } = explanation.method() {
        settings["steps"] = steps.into();
    }
    let tokens = explanation.tokens().iter();
    let tokens = tokens.map(|token| part(&token.text, token.start..token.end, token.relevance));
    let words = explanation.words().iter();
    let words = words.map(|word| part(&word.text, word.start..word.end, word.relevance));
    let ledger = explanation.ledger().entries();
    let ledger = ledger.map(|(name, share)| (name.to_owned(), Value::from(share)));
    let mut object = json!({
        "text": explanation.text(),
        "label": explanation.prediction().label(),
        "method": explanation.method().name(),
        "settings": settings,
        "target": explanation.target(),
        "against": explanation.against(),
        "objective": explanation.objective().name(),
        "logit": number(explanation.logit()),
        "score": number(explanation.score()),
        "value": explanation.value(),
        "tokens": tokens.collect::<Vec<_>>(),
        "words": words.collect::<Vec<_>>(),
        "ledger": Map::from_iter(ledger),
        "unexplained": explanation.unexplained(),
        "dropped_tokens": explanation.prediction().dropped_tokens(),
    });
    if let Some(first) = curves.first() {
        let mut all = Map::new();
        all.insert("replacement".to_owned(), first.replacement().name().into());
        let named =
            |curve: &Curve| (curve.ordered_by().name().replace('-', "_"), curve_json(curve));
        all.extend(curves.iter().map(named));
        object["curves"] = all.into();
    }
    object
}

/// A token or a word.
fn part(text: &str, characters: Range<usize>, relevance: f32) -> Value {
    json!({
        "text": text,
        "start": characters.start,
        "end": characters.end,
        "relevance": number(relevance),
    })
}

fn curve_json(curve: &Curve) -> Value {
    let point = |point: &Point| {
        let Point { replaced, fraction, score, .. } = point;
        json!({ "replaced": replaced, "fraction": fraction, "score": number(*score) })
    };
    let mut object = json!({
        "area_under": curve.area_under(),
        "order": curve.order(),
        "points": curve.points().iter().map(point).collect::<Vec<_>>(),
    });
    if let Order::Random { seed } = curve.ordered_by() {
        object["seed"] = seed.into();
    }
    object
}
