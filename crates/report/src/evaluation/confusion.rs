//! The confusion matrix as a picture: cells with their counts, shaded by their fraction of the row.

use super::Page;
use crate::page::markup::{Attributes, Markup};
use crate::page::number::{self, Length};
use crate::page::picture::{Picture, WIDTH, text};
use crate::page::{label, shade};
use distilbert_evaluate::Confusion;

/// Maximum number of labels shown.
const MOST: usize = 40;

/// Maximum number of rows of a picture with the common width; larger pictures have a fixed cell size.
const FEW: usize = 12;
const WIDEST_CELL: f64 = 44.0;
const SMALL_CELL: f64 = 26.0;

const LABEL_EMS: f64 = 9.0;
const EM: f64 = 10.5;
const GAP: f64 = 5.0;
/// Right margin, which the rotated last label needs if it is taller than a cell.
const EDGE: f64 = 4.0;
/// Height of the key below the cells.
const FOOT: f64 = 38.0;
/// Shade from which on the counts are drawn in the color that contrasts with dark cells.
const DARK: u32 = 8;

/// True labels by predicted labels; for a multi-label model, labels by kind of decision.
pub(super) struct Grid<'a> {
    rows: Vec<&'a str>,
    columns: Vec<&'a str>,
    counts: Vec<Vec<usize>>,
    /// Denominators of the shares by which cells are shaded.
    totals: Vec<Vec<usize>>,
    /// Description of the shares.
    shares: &'static str,
    /// Number of labels that are not shown.
    pub left_out: usize,
}

impl<'a> Grid<'a> {
    pub fn new(page: &Page<'a>) -> Self {
        let classes = page.report.classes();
        let mut shown: Vec<usize> = (0..classes.len()).collect();
        shown.sort_by_key(|&id| std::cmp::Reverse(classes[id].support + classes[id].predicted));
        shown.truncate(MOST);
        shown.sort_unstable();
        let rows: Vec<&str> = shown.iter().map(|&id| page.label(id)).collect();
        let left_out = classes.len() - shown.len();
        let (columns, counts, totals): (_, Vec<_>, Vec<_>) = match page.report.confusion() {
            Confusion::Labels(matrix) => {
                let counts = |&id: &usize| shown.iter().map(|&of| matrix[id][of]).collect();
                let total = |&id: &usize| vec![classes[id].support; shown.len()];
                (
                    rows.clone(),
                    shown.iter().map(counts).collect(),
                    shown.iter().map(total).collect(),
                )
            }
            Confusion::EachLabel(matrices) => {
                let counts = |&id: &usize| {
                    let [[neither, claimed], [missed, found]] = matrices[id];
                    vec![found, missed, claimed, neither]
                };
                let total = |&id: &usize| {
                    let support = classes[id].support;
                    let others = page.report.rows() - support;
                    vec![support, support, others, others]
                };
                (
                    vec!["true positive", "false negative", "false positive", "true negative"],
                    shown.iter().map(counts).collect(),
                    shown.iter().map(total).collect(),
                )
            }
        };
        let shares = match page.report.is_multi_label() {
            true => "share of the rows with or without the label",
            false => "share of the row",
        };
        Self { rows, columns, counts, totals, shares, left_out }
    }

    /// Returns `true` if the picture is wider than the others.
    pub fn is_wide(&self) -> bool {
        self.columns.len() > FEW
    }

    pub fn picture(&self) -> Picture {
        let widest = |names: &[&str]| {
            let ems = names.iter().map(|name| label::width(&label::fit(name, LABEL_EMS)));
            EM * ems.fold(0.0, f64::max) + GAP
        };
        let (left, top) = (widest(&self.rows), widest(&self.columns));
        let cell = match self.rows.len().max(self.columns.len()) {
            // A single label still needs a cell.
            many if many > FEW => SMALL_CELL,
            few => ((WIDTH - EDGE - left) / few as f64).min(WIDEST_CELL),
        };
        let mut drawing = Markup::default();
        let transform = format!("translate({} {}) scale({cell:.3})", Length(left), Length(top));
        drawing.open("g", &[("class", &"cells"), ("transform", &transform)]);
        for (y, name) in self.rows.iter().enumerate() {
            self.row(&mut drawing, y, name);
        }
        drawing.close();
        let end = (left + cell * self.columns.len() as f64, top + cell * self.rows.len() as f64);
        lattice(&mut drawing, (left, top), end, cell);
        self.names(&mut drawing, left, top, cell);
        self.numbers(&mut drawing, left, top, cell);
        shade::key(&mut drawing, end.1 + 14.0, self.shares);
        let (count, labels) =
            (self.rows.len(), "rows for true labels, columns for predicted labels");
        Picture {
            label: format!("Confusion matrix of {}: {labels}", number::count(count, "label")),
            width: (end.0 + EDGE).max(WIDTH),
            height: end.1 + FOOT,
            drawing,
        }
    }

    fn row(&self, drawing: &mut Markup, y: usize, name: &str) {
        let width = self.columns.len();
        drawing.empty("rect", &[("class", &"row"), ("y", &y), ("width", &width), ("height", &1)]);
        for (x, column) in self.columns.iter().enumerate() {
            let (count, total) = (self.counts[y][x], self.totals[y][x]);
            let shade = self.shade(y, x);
            if count == 0 {
                continue;
            }
            let class = format_args!("w{}", shade.max(1));
            drawing.open("path", &[("class", &class), ("d", &format_args!("M{x} {y}.5h1"))]);
            let title = format_args!("{name}, {column}: {count} of {total}");
            drawing.element("title", &[], title).close();
        }
    }

    fn shade(&self, y: usize, x: usize) -> u32 {
        // 0 / 0 is NaN, which has no shade.
        shade::of(self.counts[y][x] as f32 / self.totals[y][x] as f32)
    }

    fn names(&self, drawing: &mut Markup, left: f64, top: f64, cell: f64) {
        for (index, name) in self.rows.iter().enumerate() {
            let middle = top + cell * (index as f64 + 0.5) + 3.6;
            text(drawing, "small name", left - GAP, middle, "end", &label::fit(name, LABEL_EMS));
        }
        for (index, name) in self.columns.iter().enumerate() {
            let middle = Length(left + cell * (index as f64 + 0.5) + 3.6);
            let turn = format!("translate({middle} {}) rotate(-90)", Length(top - GAP));
            let place: Attributes<'_> = &[("class", &"small name"), ("transform", &turn)];
            drawing.element("text", place, label::fit(name, LABEL_EMS));
        }
    }

    /// Draws the counts other than 0.
    fn numbers(&self, drawing: &mut Markup, left: f64, top: f64, cell: f64) {
        let size = if cell < 30.0 { "tiny" } else { "small" };
        for (y, counts) in self.counts.iter().enumerate() {
            for (x, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
                let contrast = if self.shade(y, x) >= DARK { " on-dark" } else { "" };
                let class = format!("count {size}{contrast}");
                let (x, y) = (left + cell * (x as f64 + 0.5), top + cell * (y as f64 + 0.5) + 3.4);
                text(drawing, &class, x, y, "middle", &short(count));
            }
        }
    }
}

/// Draws the lines between the cells.
fn lattice(drawing: &mut Markup, start: (f64, f64), end: (f64, f64), cell: f64) {
    let mut lines = String::new();
    let between = |start: f64, end: f64| {
        let count = ((end - start) / cell).round() as usize;
        (1..count).map(move |index| Length(start + cell * index as f64))
    };
    for x in between(start.0, end.0) {
        lines += &format!("M{x} {}V{}", Length(start.1), Length(end.1));
    }
    for y in between(start.1, end.1) {
        lines += &format!("M{} {y}H{}", Length(start.0), Length(end.0));
    }
    drawing.empty("path", &[("class", &"lattice"), ("d", &lines)]);
}

/// Formats a count in at most four characters.
pub(super) fn short(count: usize) -> String {
    match count {
        0..10_000 => count.to_string(),
        10_000..1_000_000 => format!("{}k", count / 1000),
        1_000_000..1_000_000_000 => format!("{}M", count / 1_000_000),
        _ => format!("{}G", count / 1_000_000_000),
    }
}
