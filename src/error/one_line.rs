//! [`OneLine`]: text from a file, in an error message.

use std::fmt::{Display, Formatter, Result, Write};

/// Displays text without line breaks and terminal codes: a file must not forge lines of a log.
pub(super) struct OneLine<'a>(pub &'a str);

impl Display for OneLine<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        self.0.chars().try_for_each(|char| match char.is_control() {
            true => write!(out, "{}", char.escape_debug()),
            false => out.write_char(char),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::OneLine;

    #[test]
    fn control_characters_are_escaped() {
        let shown = OneLine("é `a\\b` \"c\"\n\0\u{1b}[2J\u{85}").to_string();
        assert_eq!(shown, "é `a\\b` \"c\"\\n\\0\\u{1b}[2J\\u{85}");
    }
}
