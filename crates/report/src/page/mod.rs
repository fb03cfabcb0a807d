//! Parts shared by all pages: the HTML document, SVG pictures, and formatting.

pub(crate) mod frame;
pub(crate) mod label;
pub(crate) mod markup;
pub(crate) mod number;
pub(crate) mod picture;
pub(crate) mod shade;

use std::fmt::Display;

use self::markup::Markup;
use crate::style;

/// Content security policy that forbids scripts and loading, whatever a text contains.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// Writes an HTML document with the shared style and a page's own style. `write_main` writes its content.
pub(crate) fn document(
    title: impl Display,
    own_style: &str,
    write_main: impl FnOnce(&mut Markup),
) -> String {
    let mut html = Markup::default();
    html.raw("<!DOCTYPE html>\n").open("html", &[("lang", &"en")]).open("head", &[]);
    html.empty("meta", &[("charset", &"utf-8")]);
    html.empty("meta", &[("http-equiv", &"Content-Security-Policy"), ("content", &POLICY)]);
    html.empty(
        "meta",
        &[("name", &"viewport"), ("content", &"width=device-width, initial-scale=1")],
    );
    html.empty("meta", &[("name", &"color-scheme"), ("content", &"light dark")]);
    html.element("title", &[], title);
    html.open("style", &[]).raw(style::PICTURES).raw(style::PAGE).raw(own_style).close().close();
    html.open("body", &[]).open("main", &[]);
    write_main(&mut html);
    html.close().close().close().raw("\n");
    html.finish()
}

/// Writes the section with the settings of a page and a note.
pub(crate) fn settings<'a>(
    html: &mut Markup,
    settings: impl IntoIterator<Item = (&'a str, &'a str)>,
    note: &str,
) {
    html.open("section", &[("class", &"method")]).element("h2", &[], "Settings");
    html.open("dl", &[]);
    for (name, value) in settings {
        html.element("dt", &[], name).element("dd", &[], value);
    }
    html.close().element("p", &[("class", &"note")], note).close();
}
