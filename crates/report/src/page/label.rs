//! Labels of limited width for pictures.

/// Estimates the width of a text in ems, for a wide sans-serif font.
pub(crate) fn width(text: &str) -> f64 {
    text.chars().map(advance).sum()
}

/// Shortens a text to a width of at most `ems`, ending in an ellipsis.
pub(crate) fn fit(text: &str, ems: f64) -> String {
    // Zero-width marks must not accumulate without limit.
    const MOST: usize = 60;
    if width(text) <= ems && text.chars().count() <= MOST {
        return text.to_owned();
    }
    let mut room = ems - advance('…');
    let fits = |character: &char| {
        room -= advance(*character);
        room >= 0.0
    };
    let mut cut: String = text.chars().take(MOST).take_while(fits).collect();
    cut.push('…');
    cut
}

fn advance(character: char) -> f64 {
    match character {
        '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' => 0.0,
        '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' => 0.0,
        'i' | 'j' | 'l' | 't' | 'f' | 'I' | '.' | ',' | ';' | ':' | '\'' | '!' | '|' => 0.42,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' => 1.0,
        _ if character.is_uppercase() => 0.78,
        // Chinese, Japanese, Korean; emoji.
        '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{ffee}' => 1.05,
        '\u{1f000}'.. => 1.35,
        _ => 0.66,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncates_only_long_texts() {
        assert_eq!(fit("thrilled", 8.0), "thrilled");
        assert_eq!(fit("incomprehensibilities", 8.0), "incomprehe…");
        assert_eq!(fit("WWWWWWWWWWWWWWWW", 8.0), "WWWWWWW…");
        assert_eq!(fit("漢字漢字漢字漢字漢字", 4.0), "漢字…");
        assert_eq!(fit("", 4.0), "");
        assert_eq!(fit(&"e\u{301}".repeat(500), 1e9).chars().count(), 61);
        for text in ["incomprehensibilities", "WWWWWWWWWWWWWWWW", "🎉🎉🎉🎉🎉"] {
            assert!(width(&fit(text, 3.0)) <= 3.0);
        }
    }
}
