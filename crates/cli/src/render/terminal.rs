//! What a terminal shows: text made harmless, cut and padded, bars, and messages.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::Write;

use anstyle::{AnsiColor, Effects, Style};
use console::Term;

pub const BOLD: Style = Style::new().effects(Effects::BOLD);
pub const DIM: Style = Style::new().effects(Effects::DIMMED);
pub const FIRST: Style = AnsiColor::Green.on_default().effects(Effects::BOLD);
const ERROR: Style = AnsiColor::Red.on_default().effects(Effects::BOLD);

/// Columns where the output is no terminal.
const USUAL_COLUMNS: usize = 80;

/// Parts of a column, an eighth to seven eighths.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// Columns of the terminal that the output goes to.
pub fn columns() -> usize {
    Term::stdout().size_checked().map_or(USUAL_COLUMNS, |(_, columns)| usize::from(columns))
}

/// Writes a line to standard error. Nobody is left to tell if that fails.
pub fn print_note(note: impl Display) {
    let _ = writeln!(anstream::stderr(), "{note}");
}

/// Writes `error: …` to standard error, in one line whatever the message quotes.
pub fn print_error(error: impl Display) {
    let message = error.to_string();
    print_note(format_args!("{ERROR}error:{ERROR:#} {}", visible(&message)));
}

/// Spells out the characters that would act on a terminal instead of showing: control characters,
/// and those that turn the direction of writing.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let spell = |c: char| match c {
        _ if acts(c) => c.escape_default().to_string(),
        _ => c.to_string(),
    };
    Cow::Owned(text.chars().map(spell).collect())
}

fn acts(c: char) -> bool {
    const SEPARATORS: std::ops::RangeInclusive<char> = '\u{2028}'..='\u{2029}';
    const DIRECTIONS: std::ops::RangeInclusive<char> = '\u{202a}'..='\u{202e}';
    const ISOLATES: std::ops::RangeInclusive<char> = '\u{2066}'..='\u{2069}';
    let marks = ['\u{61c}', '\u{200e}', '\u{200f}'];
    c.is_control()
        || [SEPARATORS, DIRECTIONS, ISOLATES].iter().any(|range| range.contains(&c))
        || marks.contains(&c)
}

/// A text in one line of at most so many columns.
pub fn fit(text: &str, columns: usize) -> String {
    console::truncate_str(&visible(text), columns, "…").into_owned()
}

pub fn width(text: &str) -> usize {
    console::measure_text_width(text)
}

/// Fills up to so many columns.
pub fn pad(text: &str, columns: usize) -> String {
    format!("{text}{:1$}", "", columns.saturating_sub(width(text)))
}

/// A bar of at most so many columns, for a share from 0 to 1.
pub fn bar(share: f32, columns: usize) -> String {
    let eighths = (f64::from(share) * 8.0 * columns as f64).round() as usize;
    let eighths = eighths.min(8 * columns);
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

/// The same from the right to the left, in halves of a column, filled up with spaces at the left.
pub fn leftward_bar(share: f32, columns: usize) -> String {
    let halves = (f64::from(share) * 2.0 * columns as f64).round() as usize;
    let halves = halves.min(2 * columns);
    let half = if halves % 2 == 1 { "▐" } else { "" };
    format!("{:>columns$}", format!("{half}{}", "█".repeat(halves / 2)))
}

/// A share from 0 to 1 as a block of this height.
pub fn level(share: f32) -> char {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    LEVELS[((share * 8.0) as usize).min(7)]
}

/// A number of bytes with its unit.
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
    fn characters_that_act_are_spelled_out() {
        assert_eq!(visible("\u{1b}[31mred\u{9b}0m\u{7f}"), r"\u{1b}[31mred\u{9b}0m\u{7f}");
        assert_eq!(visible("a\tb\r\nc\0"), r"a\tb\r\nc\u{0}");
        assert_eq!(
            visible("\u{202e}gnp\u{2066}\u{200f}\u{2028}"),
            r"\u{202e}gnp\u{2066}\u{200f}\u{2028}"
        );
    }

    #[test]
    fn other_characters_stay() {
        for text in ["", "plain", r"C:\new", "naïve café", "한국어 العربية", "👩‍👧 🇫🇷", "e\u{301}"]
        {
            assert_eq!(visible(text), text);
        }
    }

    #[test]
    fn a_text_is_cut_to_its_columns() {
        assert_eq!(fit("abcdef", 6), "abcdef");
        assert_eq!(fit("abcdefg", 6), "abcde…");
        assert_eq!(fit("日本語のテキスト", 7), "日本語…");
        assert_eq!(fit(&"x".repeat(1000), 10), "xxxxxxxxx…");
        assert_eq!(fit("", 6), "");
    }

    #[test]
    fn padding_counts_columns() {
        assert_eq!(pad("日本", 6), "日本  ");
        assert_eq!(pad("long enough", 3), "long enough");
    }

    #[test]
    fn a_bar_is_drawn_in_eighths() {
        assert_eq!(bar(0.0, 4), "");
        assert_eq!(bar(1.0 / 32.0, 4), "▏");
        assert_eq!(bar(0.5, 4), "██");
        assert_eq!(bar(0.97, 4), "███▉");
        assert_eq!(bar(1.0, 4), "████");
        assert_eq!(bar(7.0, 4), "████");
        assert_eq!(bar(f32::NAN, 4), "");
    }

    #[test]
    fn a_leftward_bar_ends_at_the_right() {
        assert_eq!(leftward_bar(0.0, 4), "    ");
        assert_eq!(leftward_bar(0.125, 4), "   ▐");
        assert_eq!(leftward_bar(0.6, 4), " ▐██");
        assert_eq!(leftward_bar(7.0, 4), "████");
        assert_eq!(leftward_bar(f32::NAN, 2), "  ");
        assert_eq!(leftward_bar(1.0, 0), "");
    }

    #[test]
    fn levels_rise_with_the_share() {
        let shares = [f32::NAN, -1.0, 0.0, 0.124, 0.126, 0.5, 0.99, 1.0, 9.0];
        assert_eq!(shares.map(level).iter().collect::<String>(), "▁▁▁▁▂▅███");
    }

    #[test]
    fn sizes_have_their_unit() {
        let sizes = [12, 4_500, 45_442_614, 2_100_000_000].map(size);
        assert_eq!(sizes, ["12 B", "4.5 kB", "45.4 MB", "2.10 GB"]);
    }
}
