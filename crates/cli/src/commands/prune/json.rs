//! The figures of pruned models as JSON.

use distilbert_report::pruning::{Model, Quality};
use serde::Serialize;

use crate::render::json::object;

/// Figures as a JSON object.
#[derive(Serialize)]
pub struct View<'a> {
    models: Vec<ModelView<'a>>,
}

#[derive(Serialize)]
struct ModelView<'a> {
    name: &'a str,
    multiply_adds_share: f64,
    parameters: usize,
    checkpoint_bytes: usize,
    layers: Vec<LayerView>,
    milliseconds: Vec<TimeView>,
    agreement: Option<f64>,
    quality: Option<QualityView<'a>>,
}

#[derive(Serialize)]
struct LayerView {
    heads: usize,
    hidden_dim: usize,
}

#[derive(Serialize)]
struct TimeView {
    tokens: usize,
    median: f64,
}

#[derive(Serialize)]
struct QualityView<'a> {
    rows: usize,
    accuracy: f64,
    macro_f1: f64,
    #[serde(serialize_with = "object")]
    f1: &'a [(String, f64)],
}

impl<'a> View<'a> {
    pub fn new(models: &'a [Model]) -> Self {
        Self { models: models.iter().map(ModelView::new).collect() }
    }
}

impl<'a> ModelView<'a> {
    fn new(model: &'a Model) -> Self {
        let Model { name, share, parameters, bytes, layers, times, agreement, .. } = model;
        let layer = |&[heads, hidden_dim]: &[usize; 2]| LayerView { heads, hidden_dim };
        let quality = |quality: &'a Quality| {
            let Quality { rows, accuracy, macro_f1, classes } = quality;
            QualityView { rows: *rows, accuracy: *accuracy, macro_f1: *macro_f1, f1: classes }
        };
        Self {
            name,
            multiply_adds_share: *share,
            parameters: *parameters,
            checkpoint_bytes: *bytes,
            layers: layers.iter().map(layer).collect(),
            milliseconds: times
                .iter()
                .map(|&(tokens, median)| TimeView { tokens, median })
                .collect(),
            agreement: *agreement,
            quality: model.quality.as_ref().map(quality),
        }
    }
}
