//! Shades for shares from 0 to 1, as the CSS classes `w1` to `w12`, and their key.

use super::markup::Markup;
use super::number::Length;
use super::picture::text;

/// Number of shades. They follow the square root of the share, so that small shares are distinguishable.
pub(crate) const COUNT: u32 = 12;

/// Returns the shade of a share; 0 is no shade.
pub(crate) fn of(share: f32) -> u32 {
    // The cast turns NaN into 0.
    ((share.clamp(0.0, 1.0).sqrt() * COUNT as f32).round() as u32).min(COUNT)
}

/// Draws all shades with the shares they stand for.
pub(crate) fn key(drawing: &mut Markup, y: f64, meaning: &str) {
    const SWATCH: f64 = 10.0;
    let transform = format!("translate(0 {}) scale({SWATCH} 8)", Length(y));
    drawing.open("g", &[("transform", &transform)]);
    drawing.empty("rect", &[("class", &"row"), ("width", &1), ("height", &1)]);
    for shade in 1..=COUNT {
        let place = format!("M{shade} .5h1");
        drawing.empty("path", &[("class", &format_args!("w{shade}")), ("d", &place)]);
    }
    drawing.close();
    let middle = SWATCH * f64::from(COUNT + 1) / 2.0;
    for (x, anchor, share) in
        [(0.0, "start", "0"), (middle, "middle", "0.25"), (2.0 * middle, "end", "1")]
    {
        text(drawing, "small soft", x, y + 18.0, anchor, share);
    }
    text(drawing, "small soft", 2.0 * middle + 10.0, y + 8.0, "start", meaning);
}
