//! [`Frame`]: the place of a diagram, with its grid.

use super::markup::Markup;
use super::number::Length;
use super::picture::text;

/// Rectangle in which a diagram shows shares, from 0 at the left and the bottom to 1 at the right and the top.
pub(crate) struct Frame {
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
}

impl Frame {
    pub fn x(&self, share: f64) -> f64 {
        self.left + (self.right - self.left) * share
    }

    pub fn y(&self, share: f64) -> f64 {
        self.bottom - (self.bottom - self.top) * share
    }

    /// Draws lines at each quarter of the height, labels the quarters of both axes, and writes `name` below the
    /// horizontal one.
    pub fn draw(
        &self,
        drawing: &mut Markup,
        up: impl Fn(f64) -> String,
        across: impl Fn(f64) -> String,
        name: &str,
    ) {
        for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
            let y = self.y(share);
            drawing.empty(
                "line",
                &[
                    ("class", &"grid"),
                    ("x1", &Length(self.left)),
                    ("x2", &Length(self.right)),
                    ("y1", &Length(y)),
                    ("y2", &Length(y)),
                ],
            );
            text(drawing, "mark", self.left - 6.0, y + 4.0, "end", &up(share));
            let (x, anchor) =
                if share == 1.0 { (self.right + 4.0, "end") } else { (self.x(share), "middle") };
            text(drawing, "mark", x, self.bottom + 16.0, anchor, &across(share));
        }
        let middle = (self.left + self.right) / 2.0;
        text(drawing, "mark", middle, self.bottom + 32.0, "middle", name);
    }
}
