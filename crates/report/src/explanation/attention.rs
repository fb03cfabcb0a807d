//! The attention map: attention weights between tokens, by layer and head.

use super::Page;
use crate::page::markup::{Attributes, Markup};
use crate::page::number::Length;
use crate::page::picture::{Picture, WIDTH};
use crate::page::{label, shade};
use distilbert::explain::AttentionWeights;

/// Maximum number of tokens on the map. Longer texts show the most relevant tokens, in text order.
const MOST: usize = 28;

const LABEL_EMS: f64 = 7.0;
const EM: f64 = 10.5;
const GAP: f64 = 5.0;
/// Right margin, which the rotated last label needs if it is taller than a cell.
const EDGE: f64 = 2.0;
const WIDEST_CELL: f64 = 26.0;
/// Number of weights listed for a token.
const NAMED: usize = 4;
/// Height of the key below the map.
const FOOT: f64 = 38.0;

/// Attention maps of an explanation.
pub(super) struct Maps<'a> {
    page: &'a Page<'a>,
    weights: &'a AttentionWeights,
    /// Tokens shown, in text order.
    pub shown: Vec<usize>,
    labels: f64,
    cell: f64,
}

impl<'a> Maps<'a> {
    pub fn new(page: &'a Page<'a>, weights: &'a AttentionWeights) -> Self {
        let mut shown: Vec<usize> = (0..page.tokens().len()).collect();
        let size = |&token: &usize| match page.is_special(token) {
            true => f32::INFINITY,
            false => page.tokens()[token].relevance.abs(),
        };
        shown.sort_by(|a, b| size(b).total_cmp(&size(a)));
        shown.truncate(MOST);
        shown.sort_unstable();
        let ems = shown
            .iter()
            .map(|&token| label::width(&label::fit(&page.tokens()[token].text, LABEL_EMS)));
        let labels = EM * ems.fold(0.0, f64::max) + GAP;
        let cell = ((WIDTH - EDGE - labels) / shown.len().max(1) as f64).min(WIDEST_CELL);
        Self { page, weights, shown, labels, cell }
    }

    /// Draws all maps into one picture. Each is a group of class `head-…` within a group of class `layer-…`; a page
    /// displays one at a time.
    pub fn all(&self) -> Picture {
        let mut drawing = Markup::default();
        for layer in 0..self.weights.layers() {
            drawing.open("g", &[("class", &format_args!("layer layer-{}", layer + 1))]);
            self.map(&mut drawing, "head head-mean", &self.mean(layer));
            for head in 0..self.weights.heads() {
                let class = format!("head head-{}", head + 1);
                self.map(&mut drawing, &class, self.weights.head(layer, head).unwrap_or_default());
            }
            drawing.close();
        }
        self.frame(drawing, "of the selected layer and head".to_owned())
    }

    /// Draws the mean over the heads of a layer.
    pub fn layer(&self, layer: usize) -> Picture {
        let mut drawing = Markup::default();
        self.map(&mut drawing, "map", &self.mean(layer));
        self.frame(drawing, format!("of layer {}, averaged over its heads", layer + 1))
    }

    fn mean(&self, layer: usize) -> Vec<f32> {
        self.weights.mean(layer).unwrap_or_default()
    }

    /// Draws a map with cells of size 1. All cells of one row and shade form one path, which keeps pages with many maps
    /// small. The title of a row lists its largest weights.
    fn map(&self, drawing: &mut Markup, class: &str, weights: &[f32]) {
        let (left, cell) = (Length(self.labels), self.cell);
        let transform = format!("translate({left} {left}) scale({cell:.3})");
        drawing.open("g", &[("class", &class), ("transform", &transform)]);
        let rows = weights.chunks(self.weights.tokens().max(1));
        for (y, (&token, row)) in self
            .shown
            .iter()
            .filter_map(|token| Some((token, rows.clone().nth(*token)?)))
            .enumerate()
        {
            drawing.open("g", &[]).element("title", &[], self.largest(token, row));
            drawing.empty(
                "rect",
                &[("class", &"row"), ("y", &y), ("width", &self.shown.len()), ("height", &1)],
            );
            let shades: Vec<u32> = self.shown.iter().map(|&token| shade::of(row[token])).collect();
            for shade in 1..=shade::COUNT {
                let path = runs(&shades, shade, y);
                if !path.is_empty() {
                    drawing.empty("path", &[("class", &format_args!("w{shade}")), ("d", &path)]);
                }
            }
            drawing.close();
        }
        drawing.close();
    }

    fn largest(&self, token: usize, row: &[f32]) -> String {
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
        let named = order.iter().take(NAMED);
        let named =
            named.map(|&from| format!("{:.3} {}", row[from], self.page.tokens()[from].text));
        format!("{} takes {}", self.page.tokens()[token].text, named.collect::<Vec<_>>().join(", "))
    }

    /// Adds the parts that all maps share: labels, lines between the cells, and the key.
    fn frame(&self, mut drawing: Markup, which: String) -> Picture {
        let (count, start) = (self.shown.len(), self.labels);
        let end = start + self.cell * count as f64;
        for (index, &token) in self.shown.iter().enumerate() {
            let name = label::fit(&self.page.tokens()[token].text, LABEL_EMS);
            let class = if self.page.is_special(token) { "small soft" } else { "small" };
            let middle = start + self.cell * (index as f64 + 0.5) + 3.6;
            let (edge, middle) = (Length(start - GAP), Length(middle));
            let row: Attributes<'_> =
                &[("class", &class), ("x", &edge), ("y", &middle), ("text-anchor", &"end")];
            drawing.element("text", row, &name);
            let turn = format!("translate({middle} {edge}) rotate(-90)");
            drawing.element("text", &[("class", &class), ("transform", &turn)], &name);
        }
        let mut lines = String::new();
        for index in 1..count {
            let at = Length(start + self.cell * index as f64);
            let (start, end) = (Length(start), Length(end));
            lines += &format!("M{at} {start}V{end}M{start} {at}H{end}");
        }
        drawing.empty("path", &[("class", &"lattice"), ("d", &lines)]);
        shade::key(&mut drawing, end + 14.0, "weight; rows sum to 1");
        let label = format!(
            "Attention map {which}: one row per token, {count} in all, shaded by its attention weight for the token of each column"
        );
        Picture { label, width: WIDTH, height: end + FOOT, drawing }
    }
}

/// Returns the path of the cells with this shade in row `y`.
fn runs(shades: &[u32], shade: u32, y: usize) -> String {
    let mut path = String::new();
    let mut x = 0;
    for run in shades.chunk_by(|a, b| a == b) {
        if run[0] == shade {
            path += &format!("M{x} {y}.5h{}", run.len());
        }
        x += run.len();
    }
    path
}
