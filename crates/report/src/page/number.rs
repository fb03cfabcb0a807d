//! Formatting of numbers.

use std::fmt;

/// Format of signed values that have the same number of decimals.
#[derive(Clone, Copy)]
pub(crate) struct Signed {
    /// `None` for exponential notation.
    decimals: Option<usize>,
}

impl Signed {
    /// Chooses the decimals from the largest value: three significant digits of a small value, at least thousandths
    /// otherwise.
    pub fn fitting(largest: f64) -> Self {
        let magnitude = largest.abs().log10().floor();
        let decimals = match magnitude {
            _ if largest == 0.0 || !magnitude.is_finite() => Some(3),
            3.0.. => Some(1),
            -1.0..3.0 => Some(3),
            -5.0..-1.0 => Some((2.0 - magnitude) as usize),
            _ => None,
        };
        Self { decimals }
    }

    /// Formats a value with its sign, unless it rounds to 0.
    pub fn show(self, value: impl Into<f64>) -> String {
        let value = value.into();
        let size = match self.decimals {
            Some(decimals) => format!("{:.decimals$}", value.abs()),
            None => format!("{:.2e}", value.abs()),
        };
        let mantissa = size.split('e').next().unwrap_or_default();
        match mantissa.chars().any(|digit| digit.is_ascii_alphanumeric() && digit != '0') {
            true if value < 0.0 => format!("\u{2212}{size}"),
            true => format!("+{size}"),
            false => size,
        }
    }
}

/// Length in a picture, formatted to a tenth.
pub(crate) struct Length(pub f64);

impl fmt::Display for Length {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0 * 10.0).round() as i64;
        match tenths % 10 {
            0 => write!(formatter, "{}", tenths / 10),
            _ => write!(formatter, "{}", tenths as f64 / 10.0),
        }
    }
}

/// Returns the distance between ticks on an axis from 0 to `end`: 1, 2 or 5 times a power of ten, for at most six ticks.
pub(crate) fn tick_distance(end: usize) -> usize {
    let powers = (0..).map(|power| 10usize.saturating_pow(power));
    let mut distances = powers.flat_map(|power| [1, 2, 5].map(|digit| power.saturating_mul(digit)));
    distances.find(|distance| end / distance <= 5).unwrap_or(usize::MAX)
}

/// Formats a number with a noun: `1 word`, `2 words`.
pub(crate) fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn largest_value_determines_decimals() {
        let show = |largest, value: f64| Signed::fitting(largest).show(value);
        assert_eq!(show(5.0, 5.1264), "+5.126");
        assert_eq!(show(5.0, -0.5764), "−0.576");
        assert_eq!(show(5.0, -0.0004), "0.000");
        assert_eq!(show(0.1, 0.1), "+0.100");
        assert_eq!(show(0.099, -0.0123), "−0.0123");
        assert_eq!(show(1.5e-5, 1.5e-5), "+0.0000150");
        assert_eq!(show(1.5e-8, -1.5e-8), "−1.50e-8");
        assert_eq!(show(1.5e-8, 0.0), "0.00e0");
        assert_eq!(show(12345.0, 12345.67), "+12345.7");
        assert_eq!(show(0.0, 0.0), "0.000");
        assert_eq!(show(f64::NAN, f64::NAN), "+NaN");
    }

    #[test]
    fn lengths_have_at_most_one_decimal() {
        let shown = [0.0, -0.04, 12.0, 12.04, -3.25, 0.06].map(|length| Length(length).to_string());
        assert_eq!(shown, ["0", "0", "12", "12", "-3.3", "0.1"]);
    }

    #[test]
    fn tick_distances_are_round() {
        assert_eq!([0, 3, 5, 6, 25, 30, 400].map(tick_distance), [1, 1, 1, 2, 5, 10, 100]);
    }

    #[test]
    fn count_of_one_is_singular() {
        assert_eq!([0, 1, 2].map(|n| count(n, "word")), ["0 words", "1 word", "2 words"]);
    }
}
