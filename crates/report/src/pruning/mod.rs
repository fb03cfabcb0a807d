//! [`Page`]: the HTML report of a pruned model, or of several.

mod curve;
mod html;
mod layers;
#[cfg(test)]
mod tests;

/// Figures of one model: the original, or a pruned one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// Name to display.
    pub name: String,
    /// Share of the original's multiply-adds.
    pub share: f64,
    /// Number of weights.
    pub parameters: usize,
    /// Size of the weight file in bytes.
    pub bytes: usize,
    /// Heads and feed-forward width of each layer.
    pub layers: Vec<[usize; 2]>,
    /// Tokens of a text, and the median time to classify one, in milliseconds.
    pub times: Vec<(usize, f64)>,
    /// Share of texts to which the original and the pruned model give the same label.
    pub agreement: Option<f64>,
    /// Quality on labeled texts.
    pub quality: Option<Quality>,
}

/// Quality of a model on labeled texts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quality {
    /// Number of texts.
    pub rows: usize,
    /// Share of texts with the right label.
    pub accuracy: f64,
    /// Mean F1 of the labels.
    pub macro_f1: f64,
    /// Each label with its F1.
    pub classes: Vec<(String, f64)>,
}

/// HTML report of pruned models beside the original: one self-contained file with SVG pictures, without scripts.
///
/// The page shows sizes, times by length, agreement and quality, which layers lost what, and with several pruned models
/// a curve over their sizes.
///
/// ```
/// use distilbert_report::pruning::{Model, Page};
///
/// let model = |name: &str, share, width| Model {
///     name: name.to_owned(),
///     share,
///     layers: vec![[12, width]; 6],
///     agreement: Some(if share < 1.0 { 0.94 } else { 1.0 }),
///     ..Model::default()
/// };
/// let models = [model("original", 1.0, 1536), model("pruned", 0.5, 352)];
/// assert!(Page::new(&models).setting("seed", "0").html().starts_with("<!DOCTYPE html>"));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Page<'a> {
    models: &'a [Model],
    settings: Vec<(String, String)>,
}

impl<'a> Page<'a> {
    /// Creates the page of some models, the original first.
    pub fn new(models: &'a [Model]) -> Self {
        Self { models, settings: Vec::new() }
    }

    /// Adds a setting to display, such as the number of calibration texts.
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Renders the page as HTML, which is also well-formed XML.
    pub fn html(&self) -> String {
        html::page(self)
    }
}
