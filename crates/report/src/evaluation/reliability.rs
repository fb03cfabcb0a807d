//! The reliability diagram: accuracy and number of predictions by confidence.

use super::Page;
use super::confusion::short;
use crate::page::frame::Frame;
use crate::page::markup::Markup;
use crate::page::number::Length;
use crate::page::picture::{Picture, WIDTH, text};
use distilbert_evaluate::Bin;

const FRAME: Frame = Frame { left: 34.0, right: WIDTH - 8.0, top: 10.0, bottom: 210.0 };
/// Bottom of the bars of counts, and top of the highest bar.
const FLOOR: f64 = 320.0;
const CEILING: f64 = 268.0;
const HEIGHT: f64 = FLOOR + 8.0;
/// Maximum number of bins with their counts as text.
const NAMED: usize = 16;

pub(super) fn picture(page: &Page<'_>) -> Picture {
    let bins = page.report.calibration().bins();
    let mut drawing = Markup::default();
    let mark = |share: f64| share.to_string();
    FRAME.draw(&mut drawing, mark, mark, "confidence");
    bins.iter().for_each(|bin| bar(&mut drawing, page, bin));
    let Frame { left, right, top, bottom } = FRAME;
    let diagonal = format!("{},{} {},{}", Length(left), Length(bottom), Length(right), Length(top));
    drawing.empty("polyline", &[("class", &"line least"), ("points", &diagonal)]);
    counts(&mut drawing, &bins);
    let error = page.figure(page.report.calibration().expected_error());
    let label = format!("Reliability diagram; the expected calibration error is {error}");
    Picture { label, width: WIDTH, height: HEIGHT, drawing }
}

fn rectangle(drawing: &mut Markup, class: &str, bin: &Bin, ends: (f64, f64)) {
    const BETWEEN: f64 = 1.0;
    let width = (FRAME.x(bin.high) - FRAME.x(bin.low) - BETWEEN).max(0.5);
    drawing.open(
        "rect",
        &[
            ("class", &class),
            ("x", &Length(FRAME.x(bin.low) + BETWEEN / 2.0)),
            ("y", &Length(ends.0.min(ends.1))),
            ("width", &Length(width)),
            ("height", &Length((ends.0 - ends.1).abs())),
        ],
    );
}

/// Draws the common part of confidence and accuracy, and above it the rest of the larger one.
fn bar(drawing: &mut Markup, page: &Page<'_>, bin: &Bin) {
    let (Some(confidence), Some(accuracy)) = (bin.confidence, bin.accuracy) else { return };
    let [low, high, sure, right] =
        [bin.low, bin.high, confidence, accuracy].map(|value| page.figure(value));
    let title = format!("{low} to {high}: confidence {sure}, accuracy {right}, {}", bin.count);
    let agreed = accuracy.min(confidence);
    rectangle(drawing, "agreed", bin, (FRAME.y(agreed), FRAME.bottom));
    drawing.element("title", &[], &title).close();
    let (class, end) =
        if confidence > accuracy { ("over", confidence) } else { ("under", accuracy) };
    rectangle(drawing, class, bin, (FRAME.y(agreed), FRAME.y(end)));
    drawing.element("title", &[], &title).close();
}

/// Draws the number of predictions in each bin.
fn counts(drawing: &mut Markup, bins: &[Bin]) {
    let most = bins.iter().map(|bin| bin.count).max().unwrap_or(0).max(1);
    for bin in bins.iter().filter(|bin| bin.count > 0) {
        let height = (FLOOR - CEILING) * bin.count as f64 / most as f64;
        let top = FLOOR - height.max(0.5);
        rectangle(drawing, "rows", bin, (FLOOR, top));
        drawing.element("title", &[], bin.count).close();
        if bins.len() <= NAMED {
            let middle = FRAME.x((bin.low + bin.high) / 2.0);
            text(drawing, "tiny number", middle, top - 3.0, "middle", &short(bin.count));
        }
    }
}
