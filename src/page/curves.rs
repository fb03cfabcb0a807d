//! The confidence lines: the target's probability while words are replaced.

use super::markup::{Attributes, Markup};
use super::number::{self, Length};
use super::picture::{Picture, WIDTH};
use super::view::{Curve, Curves, View};

/// A step that loses so much of the probability is costly.
pub(super) const COSTLY: f32 = 0.1;

/// The plot within the picture; above it stand the losses, below it the marks and the key.
const LEFT: f64 = 34.0;
const RIGHT: f64 = WIDTH - 8.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 200.0;
const KEY: f64 = BOTTOM + 56.0;
const KEY_ROW: f64 = 18.0;
/// What the number of a loss takes.
const LOSS: f64 = 38.0;
/// Points are dots as long as there are no more.
const DOTS: usize = 40;

pub(super) fn picture(view: &View<'_>, curves: &Curves<'_>) -> Picture {
    let plot = Plot { view, curves, end: curves.gone.iter().copied().max().unwrap_or(0) };
    let mut drawing = Markup::default();
    plot.costly(&mut drawing);
    plot.axes(&mut drawing);
    let mut lines = vec![
        ("most", "most relevant first", &curves.most_first),
        ("least", "least relevant first", &curves.least_first),
    ];
    lines.extend(curves.random.as_ref().map(|curve| ("random", "random order", curve)));
    for &(class, name, curve) in lines.iter().rev() {
        plot.line(&mut drawing, class, name, curve);
    }
    for (index, (class, name, _)) in lines.iter().enumerate() {
        key(&mut drawing, class, name, KEY + KEY_ROW * index as f64);
    }
    let height = KEY + KEY_ROW * (lines.len() - 1) as f64 + 8.0;
    Picture { label: in_words(curves), height, drawing }
}

fn in_words(curves: &Curves<'_>) -> String {
    let ends = |curve: &Curve| match curve.probabilities.as_slice() {
        [first, .., last] => {
            let least = curve.probabilities.iter().copied().fold(1.0, f32::min);
            format!("from {first:.3} to {last:.3}, {least:.3} at the least")
        }
        [one] => format!("{one:.3}"),
        [] => "nothing".to_owned(),
    };
    format!(
        "Probability while words are replaced; most relevant first: {}; least relevant first: {}",
        ends(&curves.most_first),
        ends(&curves.least_first)
    )
}

struct Plot<'a> {
    view: &'a View<'a>,
    curves: &'a Curves<'a>,
    /// Words gone at the right edge.
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

    /// Shades each costly step, and writes the loss above as long as there is room, largest first.
    fn costly(&self, drawing: &mut Markup) {
        let mut steps: Vec<(f64, f64, f32)> = Vec::new();
        let ends = self.curves.gone.windows(2);
        for (gone, probability) in ends.zip(self.curves.most_first.probabilities.windows(2)) {
            let loss = probability[0] - probability[1];
            if loss >= COSTLY {
                steps.push((self.x(gone[0]), self.x(gone[1]), loss));
            }
        }
        for &(left, right, _) in &steps {
            drawing.empty(
                "rect",
                &[
                    ("class", &"costly"),
                    ("x", &Length(left)),
                    ("y", &Length(TOP)),
                    // Wide enough to see, of however many words.
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
        let marks = (0..=self.end).step_by(number::mark_distance(self.end));
        for gone in marks {
            text(drawing, "mark", self.x(gone), BOTTOM + 16.0, "middle", &gone.to_string());
        }
        let name = format!("words replaced by {}", self.curves.replacement);
        text(drawing, "mark", (LEFT + RIGHT) / 2.0, BOTTOM + 34.0, "middle", &name);
    }

    fn line(&self, drawing: &mut Markup, class: &str, name: &str, curve: &Curve) {
        let steps = || self.curves.gone.iter().zip(&curve.probabilities);
        let points = steps()
            .map(|(&gone, &probability)| {
                format!("{},{}", Length(self.x(gone)), Length(Self::y(probability)))
            })
            .collect::<Vec<_>>()
            .join(" ");
        drawing.empty("polyline", &[("class", &format_args!("line {class}")), ("points", &points)]);
        let dot = if self.curves.gone.len() > DOTS { "hidden" } else { class };
        for (&gone, probability) in steps() {
            drawing.open(
                "circle",
                &[
                    ("class", &format_args!("dot {dot}")),
                    ("cx", &Length(self.x(gone))),
                    ("cy", &Length(Self::y(*probability))),
                    ("r", &3),
                ],
            );
            let last = gone.checked_sub(1).and_then(|last| curve.order.get(last));
            let last = last.map_or("", |&word| self.view.word(word));
            let comma = if last.is_empty() { "" } else { ", last: " };
            let words = number::count(gone, "word");
            drawing
                .element(
                    "title",
                    &[],
                    format_args!("{probability:.3} after {words}, {name}{comma}{last}"),
                )
                .close();
        }
    }
}

fn key(drawing: &mut Markup, class: &str, name: &str, y: f64) {
    let line = Length(y - 4.0);
    drawing.empty(
        "line",
        &[
            ("class", &format_args!("line {class}")),
            ("x1", &Length(LEFT)),
            ("x2", &Length(LEFT + 26.0)),
            ("y1", &line),
            ("y2", &line),
        ],
    );
    text(drawing, "key", LEFT + 34.0, y, "start", name);
}

fn text(drawing: &mut Markup, class: &str, x: f64, y: f64, anchor: &str, text: &str) {
    let place: Attributes<'_> =
        &[("class", &class), ("x", &Length(x)), ("y", &Length(y)), ("text-anchor", &anchor)];
    drawing.element("text", place, text);
}
