//! The text itself, shaded by the words' relevance.

use super::markup::Markup;
use super::number::Signed;
use super::view::View;

pub(super) fn write(page: &mut Markup, view: &View<'_>) {
    // The text's language and direction are its own.
    page.open("p", &[("class", &"text"), ("lang", &""), ("dir", &"auto")]);
    if view.text.trim().is_empty() {
        page.element("span", &[("class", &"soft")], "(empty text)");
    }
    let largest = view.largest();
    let signed = Signed::fitting(largest);
    let mut written = 0;
    for word in &view.words {
        if word.bytes.start < written {
            continue;
        }
        let share = f64::from(word.relevance).abs() / largest;
        let strength = if share.is_finite() { share } else { 0.0 };
        page.text(view.slice(written..word.bytes.start));
        page.element(
            "span",
            &[
                ("class", &if word.relevance < 0.0 { "against" } else { "for" }),
                ("style", &format_args!("--strength:{strength:.3}")),
                ("title", &signed.show(word.relevance)),
            ],
            view.slice(word.bytes.clone()),
        );
        written = word.bytes.end;
    }
    page.text(view.slice(written..view.text.len())).close();
    if largest > 0.0 {
        scale(page, &signed.show(largest), &signed.show(-largest));
    }
}

fn scale(page: &mut Markup, highest: &str, lowest: &str) {
    page.open("p", &[("class", &"scale")]);
    page.element("span", &[], format_args!("{lowest} against"));
    page.element("span", &[("class", &"ramp")], "");
    page.element("span", &[], format_args!("for {highest}")).close();
}
