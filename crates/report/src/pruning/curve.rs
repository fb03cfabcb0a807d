//! The curve of agreement and quality over sizes.

use super::Model;
use crate::page::frame::Frame;
use crate::page::markup::Markup;
use crate::page::number::Length;
use crate::page::picture::{Picture, WIDTH, text};

const FRAME: Frame = Frame { left: 44.0, right: WIDTH - 8.0, top: 10.0, bottom: 200.0 };
const KEY: f64 = FRAME.bottom + 56.0;
const KEY_ROW: f64 = 18.0;

/// A figure of each model, with its name and its CSS class.
struct Line {
    name: &'static str,
    class: &'static str,
    /// Share of multiply-adds, and the figure.
    points: Vec<(f64, f64)>,
}

pub(super) fn picture(models: &[Model]) -> Picture {
    let line = |name, class, figure: fn(&Model) -> Option<f64>| {
        let points = models.iter().filter_map(|model| Some((model.share, figure(model)?)));
        let mut points: Vec<(f64, f64)> = points.collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Line { name, class, points }
    };
    let lines = [
        line("agreement with the original", "most", |model| model.agreement),
        line("accuracy", "least", |model| Some(model.quality.as_ref()?.accuracy)),
        line("macro-F1", "smallest", |model| Some(model.quality.as_ref()?.macro_f1)),
    ];
    let lines: Vec<Line> = lines.into_iter().filter(|line| !line.points.is_empty()).collect();
    let figures = lines.iter().flat_map(|line| line.points.iter().map(|point| point.1));
    // Twentieths, so that the lowest figure is not on the axis.
    let floor = (figures.fold(1.0, f64::min) * 20.0 - 0.5).floor().clamp(0.0, 19.0) / 20.0;
    let mut drawing = Markup::default();
    let up = |share: f64| format!("{:.1}%", 100.0 * (floor + (1.0 - floor) * share));
    let across = |share: f64| format!("{:.0}%", 100.0 * share);
    FRAME.draw(&mut drawing, up, across, "multiply-adds");
    for (index, line) in lines.iter().enumerate() {
        draw(&mut drawing, line, floor);
        key(&mut drawing, line, KEY + KEY_ROW * index as f64);
    }
    let height = KEY + KEY_ROW * lines.len().saturating_sub(1) as f64 + 8.0;
    let label = lines.iter().map(in_words).collect::<Vec<_>>().join("; ");
    Picture { label, width: WIDTH, height, drawing }
}

fn in_words(line: &Line) -> String {
    let point = |(share, figure): &(f64, f64)| {
        format!("{:.1}% at {:.1}% of the multiply-adds", 100.0 * figure, 100.0 * share)
    };
    let points: Vec<String> = line.points.iter().map(point).collect();
    format!("{}: {}", line.name, points.join(", "))
}

/// Returns the place of a point. The lowest figure shown is `floor`.
fn place((share, figure): (f64, f64), floor: f64) -> (Length, Length) {
    let [share, figure] =
        [share, (figure - floor) / (1.0 - floor)].map(|share| share.clamp(0.0, 1.0));
    (Length(FRAME.x(share)), Length(FRAME.y(figure)))
}

fn draw(drawing: &mut Markup, line: &Line, floor: f64) {
    let points = line.points.iter().map(|&point| {
        let (x, y) = place(point, floor);
        format!("{x},{y}")
    });
    let points = points.collect::<Vec<_>>().join(" ");
    drawing
        .empty("polyline", &[("class", &format_args!("line {}", line.class)), ("points", &points)]);
    for &point in &line.points {
        let (x, y) = place(point, floor);
        let class = format_args!("dot {}", line.class);
        drawing.open("circle", &[("class", &class), ("cx", &x), ("cy", &y), ("r", &3)]);
        let title = format!("{}: {:.2}% at {:.1}%", line.name, 100.0 * point.1, 100.0 * point.0);
        drawing.element("title", &[], title).close();
    }
}

fn key(drawing: &mut Markup, line: &Line, y: f64) {
    let height = Length(y - 4.0);
    drawing.empty(
        "line",
        &[
            ("class", &format_args!("line {}", line.class)),
            ("x1", &Length(FRAME.left)),
            ("x2", &Length(FRAME.left + 26.0)),
            ("y1", &height),
            ("y2", &height),
        ],
    );
    text(drawing, "key", FRAME.left + 34.0, y, "start", line.name);
}
