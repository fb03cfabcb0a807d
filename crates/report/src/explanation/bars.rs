//! Signed bars of the words' relevances.

use super::Page;
use crate::page::label;
use crate::page::markup::Markup;
use crate::page::number::{Length, Signed};
use crate::page::picture::{Picture, WIDTH};

/// Maximum number of words with a bar; the most relevant words get one.
const MOST: usize = 25;

const ROW: f64 = 20.0;
const BAR: f64 = 14.0;
const TOP: f64 = 4.0;
/// Height of the names of the two sides, below the rows.
const FOOT: f64 = 26.0;
/// Maximum width of a label in ems, and the size of an em.
const LABEL_EMS: f64 = 9.0;
const EM: f64 = 12.0;
const GAP: f64 = 6.0;

/// Order of the bars from top to bottom.
#[derive(Clone, Copy)]
pub(super) enum Order {
    /// From the highest relevance to the lowest.
    Relevance,
    Text,
}

/// Bars of an explanation, in text order.
pub(super) struct Bars<'a> {
    rows: Vec<Row<'a>>,
    signed: Signed,
    /// Number of words without a bar, and the sum of their relevances.
    pub left_out: (usize, f64),
}

struct Row<'a> {
    text: &'a str,
    relevance: f32,
    special: bool,
}

impl<'a> Bars<'a> {
    pub fn new(page: &Page<'a>) -> Self {
        let words = page.words();
        let mut strongest: Vec<usize> = (0..words.len()).collect();
        let size = |&word: &usize| words[word].relevance.abs();
        strongest.sort_by(|a, b| size(b).total_cmp(&size(a)));
        let (shown, rest) = strongest.split_at(strongest.len().min(MOST));
        let mut shown = shown.to_vec();
        shown.sort_unstable();
        let left_out = rest.iter().map(|&word| f64::from(words[word].relevance)).sum();

        let word = |word: usize| Row {
            text: &words[word].text,
            relevance: words[word].relevance,
            special: false,
        };
        let mut special = page.special().map(|token| Row {
            text: &token.text,
            relevance: token.relevance,
            special: true,
        });
        let mut rows: Vec<Row<'_>> = special.by_ref().take(page.special_before()).collect();
        rows.extend(shown.into_iter().map(word));
        rows.extend(special);
        Self { rows, signed: Signed::fitting(page.largest()), left_out: (rest.len(), left_out) }
    }

    pub fn picture(&self, order: Order) -> Picture {
        let mut rows: Vec<&Row<'_>> = self.rows.iter().collect();
        if let Order::Relevance = order {
            rows.sort_by(|a, b| b.relevance.total_cmp(&a.relevance));
        }
        let room = Room::new(&rows, self.signed);
        let end = TOP + ROW * rows.len() as f64;
        let mut drawing = Markup::default();
        for (index, row) in rows.iter().enumerate() {
            self.draw(&mut drawing, &room, TOP + ROW * index as f64, row);
        }
        let zero = Length(room.at(0.0));
        drawing.empty(
            "line",
            &[("class", &"axis"), ("x1", &zero), ("x2", &zero), ("y1", &0), ("y2", &Length(end))],
        );
        sides(&mut drawing, &rows, room.at(0.0), end + 17.0);
        Picture { label: self.in_words(), width: WIDTH, height: end + FOOT, drawing }
    }

    fn draw(&self, drawing: &mut Markup, room: &Room, y: f64, row: &Row<'_>) {
        let (value, zero) = (room.at(row.relevance), room.at(0.0));
        let against = row.relevance < 0.0;
        let shown = self.signed.show(row.relevance);
        let class = match (row.special, against) {
            (false, false) => "bar for",
            (false, true) => "bar against",
            (true, false) => "bar for special",
            (true, true) => "bar against special",
        };
        let baseline = Length(y + ROW / 2.0 + 4.2);
        drawing.element(
            "text",
            &[
                ("class", &if row.special { "name soft" } else { "name" }),
                ("x", &Length(room.labels)),
                ("y", &baseline),
                ("text-anchor", &"end"),
            ],
            label::fit(row.text, LABEL_EMS),
        );
        drawing.open(
            "rect",
            &[
                ("class", &class),
                ("x", &Length(value.min(zero))),
                ("y", &Length(y + (ROW - BAR) / 2.0)),
                // Even the shortest bar is visible.
                ("width", &Length((value - zero).abs().max(0.5))),
                ("height", &Length(BAR)),
            ],
        );
        drawing.element("title", &[], format_args!("{shown} {}", row.text)).close();
        let (x, anchor) = if against { (value - 4.0, "end") } else { (value + 4.0, "start") };
        drawing.element(
            "text",
            &[("class", &"value"), ("x", &Length(x)), ("y", &baseline), ("text-anchor", &anchor)],
            shown,
        );
    }

    /// Describes the picture for screen readers.
    fn in_words(&self) -> String {
        let mut strongest: Vec<&Row<'_>> = self.rows.iter().filter(|row| !row.special).collect();
        strongest.sort_by(|a, b| b.relevance.abs().total_cmp(&a.relevance.abs()));
        let words = strongest.iter().take(5);
        let words = words.map(|row| format!("{} {}", row.text, self.signed.show(row.relevance)));
        match words.collect::<Vec<_>>().join(", ") {
            words if words.is_empty() => "Relevance bars; the text has no words".to_owned(),
            words => format!("Relevance bars of the words; the strongest: {words}"),
        }
    }
}

/// Labels the sides of zero that have bars.
fn sides(drawing: &mut Markup, rows: &[&Row<'_>], zero: f64, y: f64) {
    let sides = [
        (rows.iter().any(|row| row.relevance < 0.0), zero - 8.0, "end", "\u{2190} against"),
        (rows.iter().any(|row| row.relevance >= 0.0), zero + 8.0, "start", "for \u{2192}"),
    ];
    for (_, x, anchor, name) in sides.into_iter().filter(|side| side.0) {
        drawing.element(
            "text",
            &[("class", &"mark"), ("x", &Length(x)), ("y", &Length(y)), ("text-anchor", &anchor)],
            name,
        );
    }
}

/// Layout: the end of the labels, and the scale of the bars.
struct Room {
    labels: f64,
    zero: f64,
    scale: f64,
}

impl Room {
    fn new(rows: &[&Row<'_>], signed: Signed) -> Self {
        let values = || rows.iter().map(|row| finite(row.relevance));
        let (low, high) = (values().fold(0.0, f64::min), values().fold(0.0, f64::max));
        let ems = rows.iter().map(|row| label::width(&label::fit(row.text, LABEL_EMS)));
        let labels = EM * ems.fold(0.0, f64::max);
        let digits = rows.iter().map(|row| label::width(&signed.show(row.relevance)));
        // Values are next to their bars, so only sides with bars need room for them.
        let value = 4.0 + (EM - 1.0) * digits.fold(0.0, f64::max);
        let side = |there: bool| if there { value } else { 4.0 };
        let left = labels + GAP + side(rows.iter().any(|row| row.relevance < 0.0));
        let right = WIDTH - side(rows.iter().any(|row| row.relevance >= 0.0));
        let span = high - low;
        let scale = if span > 0.0 { (right - left) / span } else { 0.0 };
        Self { labels, zero: left - low * scale, scale }
    }

    fn at(&self, value: f32) -> f64 {
        self.zero + finite(value) * self.scale
    }
}

fn finite(value: f32) -> f64 {
    if value.is_finite() { value.into() } else { 0.0 }
}
