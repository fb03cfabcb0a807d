//! What the pages share: HTML that runs nothing and loads nothing, and pictures in SVG.

pub(crate) mod label;
pub(crate) mod markup;
pub(crate) mod number;
pub(crate) mod picture;
pub(crate) mod shade;

use std::fmt::Display;

use self::markup::Markup;

const STYLE: &str = include_str!("page.css");

/// Nothing runs and nothing is loaded, whatever a text holds.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// A file of HTML, which is XML, too, with a style of its own beside the shared one.
pub(crate) fn document(
    title: impl Display,
    style: &str,
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
    html.open("style", &[]).raw(picture::STYLE).raw(STYLE).raw(style).close().close();
    html.open("body", &[]).open("main", &[]);
    write_main(&mut html);
    html.close().close().close().raw("\n");
    html.finish()
}

/// The section that says how a page was made: names and values, and a note.
pub(crate) fn settings<'a>(
    html: &mut Markup,
    settings: impl IntoIterator<Item = (&'a str, &'a str)>,
    note: &str,
) {
    html.open("section", &[("class", &"method")]).element("h2", &[], "How this was made");
    html.open("dl", &[]);
    for (name, value) in settings {
        html.element("dt", &[], name).element("dd", &[], value);
    }
    html.close().element("p", &[("class", &"note")], note).close();
}
