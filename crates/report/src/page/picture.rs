//! [`Picture`]: an SVG picture, within a page or as a file.

use super::markup::{Attributes, Markup};
use super::number::Length;
use crate::style;

/// Common width of pictures, chosen so that pages hardly scale them.
pub(crate) const WIDTH: f64 = 400.0;

/// Margin around a picture in a file. It belongs to the picture, since an `<img>` has no room for padding.
const MARGIN: f64 = 12.0;

/// Drawing with a description.
pub(crate) struct Picture {
    pub label: String,
    pub width: f64,
    pub height: f64,
    pub drawing: Markup,
}

impl Picture {
    /// Writes the picture as a part of a page.
    pub fn within(self, html: &mut Markup, class: &str) {
        self.write(html, class, None);
    }

    /// Returns the picture as a file.
    pub fn alone(self) -> String {
        let mut file = Markup::default();
        self.write(&mut file, "alone", Some(style::PICTURES));
        file.raw("\n");
        file.finish()
    }

    fn write(self, out: &mut Markup, class: &str, own_style: Option<&str>) {
        let margin = if own_style.is_some() { MARGIN } else { 0.0 };
        let start = Length(0.0 - margin);
        let (width, height) =
            (Length(self.width + 2.0 * margin), Length(self.height + 2.0 * margin));
        out.open(
            "svg",
            &[
                ("xmlns", &"http://www.w3.org/2000/svg"),
                ("class", &class),
                ("viewBox", &format_args!("{start} {start} {width} {height}")),
                ("width", &width),
                ("height", &height),
                ("role", &"img"),
                ("aria-label", &self.label),
            ],
        );
        if let Some(style) = own_style {
            out.open("style", &[]).raw(style).close();
        }
        out.raw(&self.drawing.finish()).close();
    }
}

/// Writes a line of text whose `anchor` is at `x`.
pub(crate) fn text(drawing: &mut Markup, class: &str, x: f64, y: f64, anchor: &str, text: &str) {
    let place: Attributes<'_> =
        &[("class", &class), ("x", &Length(x)), ("y", &Length(y)), ("text-anchor", &anchor)];
    drawing.element("text", place, text);
}
