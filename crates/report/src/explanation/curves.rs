//! Perturbation curves: the target's probability while words are replaced.

use super::Page;
use crate::page::markup::{Attributes, Markup};
use crate::page::number::{self, Length};
use crate::page::picture::{Picture, WIDTH, text};
use distilbert::explain::Replacement;
use distilbert::explain::{Curve, Order, Point};

/// Loss of probability from which a step is highlighted.
pub(super) const COSTLY: f32 = 0.1;

/// Edges of the plot within the picture. Losses are above it, tick labels and the key below.
const LEFT: f64 = 34.0;
const RIGHT: f64 = WIDTH - 8.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 200.0;
const KEY: f64 = BOTTOM + 56.0;
const KEY_ROW: f64 = 18.0;
/// Width of the text of a loss.
const LOSS: f64 = 38.0;
/// Maximum number of points of a curve that are drawn as dots.
const DOTS: usize = 40;

pub(super) fn picture(page: &Page<'_>) -> Picture {
    let curves = page.curves();
    let ends = curves.iter().filter_map(|curve| curve.points().last());
    let plot = Plot { page, end: ends.map(|point| point.replaced).max().unwrap_or(0) };
    let mut drawing = Markup::default();
    plot.costly(&mut drawing);
    plot.axes(&mut drawing);
    for curve in curves.iter().rev() {
        plot.line(&mut drawing, curve);
    }
    for (index, curve) in curves.iter().enumerate() {
        key(&mut drawing, curve, KEY + KEY_ROW * index as f64);
    }
    let height = KEY + KEY_ROW * curves.len().saturating_sub(1) as f64 + 8.0;
    Picture { label: in_words(curves), width: WIDTH, height, drawing }
}

/// Returns the name of a curve.
pub(super) fn name(curve: &Curve) -> String {
    match curve.ordered_by() {
        Order::Random { seed } => format!("random order (seed {seed})"),
        order => order.name().replace('-', " "),
    }
}

/// Returns the CSS class of a curve.
fn class(curve: &Curve) -> &'static str {
    match curve.ordered_by() {
        Order::MostRelevantFirst => "most",
        Order::LeastRelevantFirst => "least",
        Order::SmallestFirst => "smallest",
        // Random orders, and any order without a style of its own.
        _ => "random",
    }
}

/// Returns the highlighted steps of a curve that removes the most relevant words first: the number of words removed
/// before and after, and the loss.
pub(super) fn costly(curve: &Curve) -> impl Iterator<Item = (usize, usize, f32)> {
    let loses = curve.ordered_by() == Order::MostRelevantFirst;
    let steps = curve.points().windows(2).filter(move |_| loses);
    let steps =
        steps.map(|ends| (ends[0].replaced, ends[1].replaced, ends[0].score - ends[1].score));
    steps.filter(|step| step.2 >= COSTLY)
}

/// Describes the replacement of a word.
fn change(replacement: Replacement) -> &'static str {
    match replacement {
        Replacement::Pad => "replaced by [PAD]",
        Replacement::Unk => "replaced by [UNK]",
        Replacement::Mask => "replaced by [MASK]",
        Replacement::Delete => "deleted",
        _ => "replaced",
    }
}

fn in_words(curves: &[&Curve]) -> String {
    let line = |curve: &&Curve| {
        let least = curve.points().iter().map(|point| point.score).fold(1.0, f32::min);
        let course = match curve.points() {
            [first, .., last] => {
                format!("from {:.3} to {:.3}, minimum {least:.3}", first.score, last.score)
            }
            _ => format!("{least:.3}"),
        };
        format!("{}: {course}", name(curve))
    };
    let lines: Vec<String> = curves.iter().map(line).collect();
    format!("Probability as words are removed; {}", lines.join("; "))
}

struct Plot<'a> {
    page: &'a Page<'a>,
    /// Number of words removed at the right edge.
    end: usize,
}

impl Plot<'_> {
    fn x(&self, gone: usize) -> f64 {
        LEFT + (RIGHT - LEFT) * gone as f64 / self.end.max(1) as f64
    }

    fn y(probability: f32) -> f64 {
        let probability = if probability.is_finite() { probability.clamp(0.0, 1.0) } else { 0.0 };
        BOTTOM - (BOTTOM - TOP) * f64::from(probability)
    }

    /// Shades each highlighted step and writes the losses above, the largest first, as far as there is room.
    fn costly(&self, drawing: &mut Markup) {
        let steps = self.page.curves().iter().flat_map(|curve| costly(curve));
        let place = |(from, to, loss)| (self.x(from), self.x(to), loss);
        let mut steps: Vec<(f64, f64, f32)> = steps.map(place).collect();
        for &(left, right, _) in &steps {
            drawing.empty(
                "rect",
                &[
                    ("class", &"costly"),
                    ("x", &Length(left)),
                    ("y", &Length(TOP)),
                    // Wide enough to be visible, even with many words.
                    ("width", &Length((right - left).max(2.0))),
                    ("height", &Length(BOTTOM - TOP)),
                ],
            );
        }
        steps.sort_by(|a, b| b.2.total_cmp(&a.2));
        let mut taken: Vec<f64> = Vec::new();
        for (left, right, loss) in steps {
            let x = ((left + right) / 2.0).clamp(LEFT + LOSS / 2.0, RIGHT - LOSS / 2.0);
            if taken.iter().all(|other| (other - x).abs() >= LOSS) {
                taken.push(x);
                let place: Attributes<'_> =
                    &[("class", &"loss"), ("x", &Length(x)), ("y", &Length(TOP - 7.0))];
                drawing.element("text", place, format_args!("\u{2212}{loss:.2}"));
            }
        }
    }

    fn axes(&self, drawing: &mut Markup) {
        for (probability, shown) in
            [(0.0, "0"), (0.25, "0.25"), (0.5, "0.5"), (0.75, "0.75"), (1.0, "1")]
        {
            let (class, mark) =
                if probability == 0.5 { ("half", "mark half") } else { ("grid", "mark") };
            let y = Self::y(probability);
            drawing.empty(
                "line",
                &[
                    ("class", &class),
                    ("x1", &Length(LEFT)),
                    ("x2", &Length(RIGHT)),
                    ("y1", &Length(y)),
                    ("y2", &Length(y)),
                ],
            );
            text(drawing, mark, LEFT - 6.0, y + 4.0, "end", shown);
        }
        let marks = (0..=self.end).step_by(number::tick_distance(self.end));
        for gone in marks {
            text(drawing, "mark", self.x(gone), BOTTOM + 16.0, "middle", &gone.to_string());
        }
        let curves = self.page.curves().iter();
        let mut changes: Vec<&str> = curves.map(|curve| change(curve.replacement())).collect();
        changes.dedup();
        let name = format!("words {}", changes.join(" or "));
        text(drawing, "mark", (LEFT + RIGHT) / 2.0, BOTTOM + 34.0, "middle", &name);
    }

    fn line(&self, drawing: &mut Markup, curve: &Curve) {
        let (class, name) = (class(curve), name(curve));
        let place = |point: &Point| (Length(self.x(point.replaced)), Length(Self::y(point.score)));
        let points = curve.points().iter().map(|point| {
            let (x, y) = place(point);
            format!("{x},{y}")
        });
        let points = points.collect::<Vec<_>>().join(" ");
        drawing.empty("polyline", &[("class", &format_args!("line {class}")), ("points", &points)]);
        let dot = if curve.points().len() > DOTS { "hidden" } else { class };
        for point in curve.points() {
            let (x, y) = place(point);
            let class = format_args!("dot {dot}");
            drawing.open("circle", &[("class", &class), ("cx", &x), ("cy", &y), ("r", &3)]);
            let last = curve.order()[..point.replaced].last();
            let last = last.and_then(|&word| self.page.words().get(word));
            let last = last.map_or(String::new(), |word| format!(", last: {}", word.text));
            let (score, words) = (point.score, number::count(point.replaced, "word"));
            let title = format_args!("{score:.3} after {words}, {name}{last}");
            drawing.element("title", &[], title).close();
        }
    }
}

fn key(drawing: &mut Markup, curve: &Curve, y: f64) {
    let line = Length(y - 4.0);
    drawing.empty(
        "line",
        &[
            ("class", &format_args!("line {}", class(curve))),
            ("x1", &Length(LEFT)),
            ("x2", &Length(LEFT + 26.0)),
            ("y1", &line),
            ("y2", &line),
        ],
    );
    text(drawing, "key", LEFT + 34.0, y, "start", &name(curve));
}
