//! The picture of a model's layers: what is left of heads and neurons.

use super::Model;
use crate::page::markup::Markup;
use crate::page::number::Length;
use crate::page::picture::{Picture, WIDTH, text};

/// Left edges and width of the bars of heads and of neurons.
const LEFT: [f64; 2] = [56.0, 236.0];
const BAR: f64 = 106.0;
const TOP: f64 = 40.0;
const STEP: f64 = 22.0;
const HEIGHT: f64 = 14.0;

pub(super) fn picture(original: &Model, model: &Model) -> Picture {
    let mut drawing = Markup::default();
    text(&mut drawing, "name", 0.0, 12.0, "start", &model.name);
    for (left, name) in LEFT.into_iter().zip(["heads", "neurons"]) {
        text(&mut drawing, "mark", left, 30.0, "start", name);
    }
    for (index, (before, after)) in original.layers.iter().zip(&model.layers).enumerate() {
        let y = TOP + STEP * index as f64;
        text(&mut drawing, "mark", 0.0, y + 11.0, "start", &format!("layer {index}"));
        for (kind, left) in LEFT.into_iter().enumerate() {
            bar(&mut drawing, (left, y), [before[kind], after[kind]]);
        }
    }
    let height = TOP + STEP * original.layers.len() as f64 + 8.0;
    Picture { label: in_words(original, model), width: WIDTH, height, drawing }
}

/// Draws what there was, and on it what is left.
fn bar(drawing: &mut Markup, (left, y): (f64, f64), [before, after]: [usize; 2]) {
    let width = BAR * after as f64 / before.max(1) as f64;
    for (class, width) in [("row", BAR), ("bar for", width.min(BAR))] {
        drawing.empty(
            "rect",
            &[
                ("class", &class),
                ("x", &Length(left)),
                ("y", &Length(y)),
                ("width", &Length(width)),
                ("height", &Length(HEIGHT)),
            ],
        );
    }
    text(drawing, "value", left + BAR + 4.0, y + 11.0, "start", &after.to_string());
}

fn in_words(original: &Model, model: &Model) -> String {
    let layers = original.layers.iter().zip(&model.layers).enumerate();
    let layers = layers.map(|(index, (before, after))| {
        format!(
            "layer {index}: {} of {} heads, {} of {} neurons",
            after[0], before[0], after[1], before[1]
        )
    });
    layers.collect::<Vec<_>>().join("; ")
}
