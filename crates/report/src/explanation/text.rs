//! The text, shaded by the words' relevances.

use super::Page;
use crate::page::markup::Markup;
use crate::page::number::{self, Signed};

use distilbert::TruncationSide;

pub(super) fn write(html: &mut Markup, page: &Page<'_>) {
    // The language and the direction of the text are unknown.
    html.open("p", &[("class", &"text"), ("lang", &""), ("dir", &"auto")]);
    let text = page.explanation.text();
    if text.trim().is_empty() {
        html.element("span", &[("class", &"soft")], "(empty text)");
    }
    let largest = page.largest();
    let signed = Signed::fitting(largest);
    let mut written = 0;
    for word in page.words() {
        // A tokenizer may find two words in one character.
        if word.bytes.start < written {
            continue;
        }
        let share = f64::from(word.relevance).abs() / largest;
        let strength = if share.is_finite() { share } else { 0.0 };
        html.text(&text[written..word.bytes.start]);
        html.element(
            "span",
            &[
                ("class", &if word.relevance < 0.0 { "against" } else { "for" }),
                ("style", &format_args!("--strength:{strength:.3}")),
                ("title", &signed.show(word.relevance)),
            ],
            &word.text,
        );
        written = word.bytes.end;
    }
    html.text(&text[written..]).close();
    if let Some(cut) = page.explanation.prediction().cut() {
        let (end, beyond) = match cut.side {
            TruncationSide::Right => ("last", "after"),
            TruncationSide::Left => ("first", "before"),
        };
        let unread = match cut.dropped_tokens {
            Some(1) => format!("the {end} token"),
            Some(count) => format!("the {end} {}", number::count(count, "token")),
            None => format!("the text {beyond} character {}", cut.at),
        };
        html.element(
            "p",
            &[("class", &"note soft")],
            format_args!("Not read: {unread}. The model takes {}.", page.tokens().len()),
        );
    }
    if largest > 0.0 {
        scale(html, &signed.show(largest), &signed.show(-largest));
    }
}

fn scale(html: &mut Markup, highest: &str, lowest: &str) {
    html.open("p", &[("class", &"scale")]);
    html.element("span", &[], format_args!("{lowest} against"));
    html.element("span", &[("class", &"ramp")], "");
    html.element("span", &[], format_args!("for {highest}")).close();
}
