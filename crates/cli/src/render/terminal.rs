//! Terminal output: escaped, cut and padded text, bars, and messages.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use anstyle::{AnsiColor, Effects, Style};
use console::Term;

use crate::failure::Failure;

pub const BOLD: Style = Style::new().effects(Effects::BOLD);
pub const DIM: Style = Style::new().effects(Effects::DIMMED);
pub const FIRST: Style = AnsiColor::Green.on_default().effects(Effects::BOLD);
const ERROR: Style = AnsiColor::Red.on_default().effects(Effects::BOLD);

/// Width if the output is not a terminal.
const DEFAULT_COLUMNS: usize = 80;

/// Bars of zero to seven eighths of a column.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// Returns the width of standard output in columns.
pub fn columns() -> usize {
    Term::stdout().size_checked().map_or(DEFAULT_COLUMNS, |(_, columns)| usize::from(columns))
}

/// Writes text to standard output, without styles if it is not a terminal.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::Output)
}

/// Writes a line to standard error; a failure cannot be reported anywhere.
pub fn print_note(note: impl Display) {
    let _ = writeln!(anstream::stderr(), "{note}");
}

/// Writes `error: …` to standard error, in one line whatever the message contains.
pub fn print_error(error: impl Display) {
    let message = error.to_string();
    print_note(format_args!("{ERROR}error:{ERROR:#} {}", escape(&message)));
}

/// Returns the exit status of a finished run in which `failed` texts or rows failed.
pub fn status(failed: u64) -> ExitCode {
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Returns `s` unless `count` is 1, for a plural.
pub fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// Escapes characters that would act on a terminal: control characters, and those that change the writing direction.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(is_active) {
        return Cow::Borrowed(text);
    }
    let escape = |c: char| match c {
        _ if is_active(c) => c.escape_default().to_string(),
        _ => c.to_string(),
    };
    Cow::Owned(text.chars().map(escape).collect())
}

/// Returns `true` for a character that would act on a terminal.
fn is_active(c: char) -> bool {
    const SEPARATORS: std::ops::RangeInclusive<char> = '\u{2028}'..='\u{2029}';
    const DIRECTIONS: std::ops::RangeInclusive<char> = '\u{202a}'..='\u{202e}';
    const ISOLATES: std::ops::RangeInclusive<char> = '\u{2066}'..='\u{2069}';
    let marks = ['\u{61c}', '\u{200e}', '\u{200f}'];
    c.is_control()
        || [SEPARATORS, DIRECTIONS, ISOLATES].iter().any(|range| range.contains(&c))
        || marks.contains(&c)
}

/// Escapes a text and cuts it to `columns` columns.
pub fn fit(text: &str, columns: usize) -> String {
    console::truncate_str(&escape(text), columns, "…").into_owned()
}

/// Returns the width of a text in columns.
pub fn width(text: &str) -> usize {
    console::measure_text_width(text)
}

/// Pads a text to `columns` columns.
pub fn pad(text: &str, columns: usize) -> String {
    format!("{text}{:1$}", "", columns.saturating_sub(width(text)))
}

/// Draws a bar of at most `columns` columns for a share from 0 to 1.
pub fn bar(share: f32, columns: usize) -> String {
    let eighths = (f64::from(share) * 8.0 * columns as f64).round() as usize;
    let eighths = eighths.min(8 * columns);
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

/// Draws a bar from right to left, in halves of a column, padded with spaces on the left.
pub fn leftward_bar(share: f32, columns: usize) -> String {
    let halves = (f64::from(share) * 2.0 * columns as f64).round() as usize;
    let halves = halves.min(2 * columns);
    let half = if halves % 2 == 1 { "▐" } else { "" };
    format!("{:>columns$}", format!("{half}{}", "█".repeat(halves / 2)))
}

/// Returns a block whose height is a share from 0 to 1.
pub fn level(share: f32) -> char {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    LEVELS[((share * 8.0) as usize).min(7)]
}

/// Formats a number of bytes with its unit.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_active_characters() {
        assert_eq!(escape("\u{1b}[31mred\u{9b}0m\u{7f}"), r"\u{1b}[31mred\u{9b}0m\u{7f}");
        assert_eq!(escape("a\tb\r\nc\0"), r"a\tb\r\nc\u{0}");
        assert_eq!(
            escape("\u{202e}gnp\u{2066}\u{200f}\u{2028}"),
            r"\u{202e}gnp\u{2066}\u{200f}\u{2028}"
        );
    }

    #[test]
    fn keeps_other_characters() {
        for text in ["", "plain", r"C:\new", "naïve café", "한국어 العربية", "👩‍👧 🇫🇷", "e\u{301}"]
        {
            assert_eq!(escape(text), text);
        }
    }

    #[test]
    fn cuts_text_to_columns() {
        assert_eq!(fit("abcdef", 6), "abcdef");
        assert_eq!(fit("abcdefg", 6), "abcde…");
        assert_eq!(fit("日本語のテキスト", 7), "日本語…");
        assert_eq!(fit(&"x".repeat(1000), 10), "xxxxxxxxx…");
        assert_eq!(fit("", 6), "");
    }

    #[test]
    fn pads_by_width_in_columns() {
        assert_eq!(pad("日本", 6), "日本  ");
        assert_eq!(pad("long enough", 3), "long enough");
    }

    #[test]
    fn draws_bars_in_eighths() {
        assert_eq!(bar(0.0, 4), "");
        assert_eq!(bar(1.0 / 32.0, 4), "▏");
        assert_eq!(bar(0.5, 4), "██");
        assert_eq!(bar(0.97, 4), "███▉");
        assert_eq!(bar(1.0, 4), "████");
        assert_eq!(bar(7.0, 4), "████");
        assert_eq!(bar(f32::NAN, 4), "");
    }

    #[test]
    fn leftward_bar_is_aligned_right() {
        assert_eq!(leftward_bar(0.0, 4), "    ");
        assert_eq!(leftward_bar(0.125, 4), "   ▐");
        assert_eq!(leftward_bar(0.6, 4), " ▐██");
        assert_eq!(leftward_bar(7.0, 4), "████");
        assert_eq!(leftward_bar(f32::NAN, 2), "  ");
        assert_eq!(leftward_bar(1.0, 0), "");
    }

    #[test]
    fn levels_increase_with_the_share() {
        let shares = [f32::NAN, -1.0, 0.0, 0.124, 0.126, 0.5, 0.99, 1.0, 9.0];
        assert_eq!(shares.map(level).iter().collect::<String>(), "▁▁▁▁▂▅███");
    }

    #[test]
    fn formats_sizes_with_units() {
        let sizes = [12, 4_500, 45_442_614, 2_100_000_000].map(size);
        assert_eq!(sizes, ["12 B", "4.5 kB", "45.4 MB", "2.10 GB"]);
    }
}
