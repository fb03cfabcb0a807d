//! The page of an explanation: one HTML file with pictures in SVG, which runs no script and loads
//! nothing.

mod attention;
mod bars;
mod curves;
mod label;
mod markup;
mod number;
mod picture;
mod text;
mod view;

use self::attention::Maps;
use self::bars::{Bars, Order};
use self::markup::Markup;
use self::number::Signed;
pub(crate) use self::view::{Attention, View};
#[cfg_attr(not(test), expect(unused_imports))]
pub(crate) use self::view::{Curve, Curves, Token, Word};

const STYLE: &str = include_str!("page.css");

/// Nothing runs and nothing is loaded, whatever a text holds.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// Writes the page. It is XML, too.
pub(crate) fn page(view: &View<'_>) -> String {
    let mut page = Markup::default();
    page.raw("<!DOCTYPE html>\n").open("html", &[("lang", &"en")]);
    head(&mut page, view);
    page.open("body", &[]).open("main", &[]);
    title(&mut page, view);
    text::write(&mut page, view);
    ledger(&mut page, view);
    page.open("div", &[("class", &"columns")]);
    words(&mut page, view);
    if view.curves.is_some() || view.attention.is_some() {
        page.open("div", &[("class", &"column")]);
        confidence(&mut page, view);
        maps(&mut page, view);
        page.close();
    }
    method(&mut page, view);
    page.close().close().close().close().raw("\n");
    page.finish()
}

/// The single pictures, each a file's name and an SVG.
pub(crate) fn pictures(view: &View<'_>) -> Vec<(String, String)> {
    let bars = Bars::new(view);
    let mut pictures = vec![
        ("words-by-relevance.svg".to_owned(), bars.picture(Order::Relevance).alone()),
        ("words-in-text-order.svg".to_owned(), bars.picture(Order::Text).alone()),
    ];
    if let Some(curves) = &view.curves {
        pictures.push(("confidence.svg".to_owned(), curves::picture(view, curves).alone()));
    }
    if let Some(attention) = &view.attention {
        let maps = Maps::new(view, attention);
        let layers = 0..attention.layers;
        pictures.extend(layers.map(|layer| {
            (format!("attention-layer-{}.svg", layer + 1), maps.layer(layer).alone())
        }));
    }
    pictures
}

fn head(page: &mut Markup, view: &View<'_>) {
    page.open("head", &[]);
    page.empty("meta", &[("charset", &"utf-8")]);
    page.empty("meta", &[("http-equiv", &"Content-Security-Policy"), ("content", &POLICY)]);
    page.empty(
        "meta",
        &[("name", &"viewport"), ("content", &"width=device-width, initial-scale=1")],
    );
    page.empty("meta", &[("name", &"color-scheme"), ("content", &"light dark")]);
    page.element("title", &[], format_args!("Why {}", goal(view)));
    page.open("style", &[]).raw(picture::STYLE).raw(STYLE);
    if let Some(attention) = &view.attention {
        page.raw(&choices(attention));
    }
    page.close().close();
}

/// The rules that show the map of the layer and head chosen.
fn choices(attention: &Attention<'_>) -> String {
    let layers = (1..=attention.layers).map(|layer| format!("layer-{layer}"));
    let heads = (1..=attention.heads).map(|head| format!("head-{head}"));
    layers
        .chain(["head-mean".to_owned()])
        .chain(heads)
        .map(|choice| format!(".maps:has(#{choice}:checked) .{choice} {{ display: inline; }}\n"))
        .collect()
}

fn goal(view: &View<'_>) -> String {
    match view.against {
        Some(against) => format!("{} rather than {against}", view.target),
        None => view.target.to_owned(),
    }
}

fn title(page: &mut Markup, view: &View<'_>) {
    page.element("h1", &[], goal(view));
    page.open("p", &[("class", &"lead")]);
    if let Some(probability) = view.probability {
        page.text(format_args!("probability {probability:.3}, "));
    }
    page.text(format_args!("logit {}", Signed::fitting(view.logit.into()).show(view.logit)));
    page.close();
}

/// What the value explained is made of.
fn ledger(page: &mut Markup, view: &View<'_>) {
    let signed = Signed::fitting(view.value);
    let mut special: Vec<&str> = view.special().map(|token| token.text).collect();
    special.dedup();
    let special_total: f64 = view.special().map(|token| f64::from(token.relevance)).sum();
    let mut parts = vec![("words".to_owned(), view.words_total())];
    if !special.is_empty() {
        parts.push((special.join(" and "), special_total));
    }
    let shares = view.ledger.iter().filter(|share| share.1 != 0.0);
    parts.extend(shares.map(|&(name, share)| (name.replace('_', " "), share)));

    page.open("p", &[("class", &"ledger")]);
    page.element("span", &[], format_args!("{} {}", view.objective, signed.show(view.value)));
    for (index, (name, share)) in parts.iter().enumerate() {
        let sign = if index == 0 { "=" } else { "+" };
        page.text(" ");
        page.element("span", &[], format_args!("{sign} {name} {}", signed.show(*share)));
    }
    page.text(" ");
    page.element(
        "span",
        &[("class", &"soft")],
        format_args!("(unexplained {:.0e})", view.unexplained),
    );
    page.close();
}

fn words(page: &mut Markup, view: &View<'_>) {
    let bars = Bars::new(view);
    page.open("figure", &[("class", &"bars")]);
    page.element("h2", &[], "Relevance of each word");
    page.open("fieldset", &[]).element("legend", &[], "Order");
    choice(page, "order", "by-relevance", "by relevance", true);
    choice(page, "order", "by-text", "as in the text", false);
    page.close();
    bars.picture(Order::Relevance).within(page, "by-relevance");
    bars.picture(Order::Text).within(page, "by-text");
    page.open("figcaption", &[]);
    match bars.left_out {
        (0, _) => page.text(number::count(view.words.len(), "word")).text(". "),
        (count, sum) => page.text(format_args!(
            "The {} strongest of {}; the other {count} sum to {}. ",
            view.words.len() - count,
            number::count(view.words.len(), "word"),
            Signed::fitting(view.largest()).show(sum)
        )),
    };
    if view.special().next().is_some() {
        page.text("Grey names are tokens that the model adds.");
    }
    page.close().close();
}

/// A radio button that looks like its label.
fn choice(page: &mut Markup, group: &str, id: &str, name: &str, chosen: bool) {
    let mut attributes: Vec<(&str, &dyn std::fmt::Display)> =
        vec![("type", &"radio"), ("name", &group), ("id", &id)];
    if chosen {
        attributes.push(("checked", &"checked"));
    }
    page.empty("input", &attributes).element("label", &[("for", &id)], name);
}

fn confidence(page: &mut Markup, view: &View<'_>) {
    let Some(curves) = &view.curves else { return };
    page.open("figure", &[("class", &"confidence")]);
    page.element("h2", &[], "Confidence as words are replaced");
    curves::picture(view, curves).within(page, "lines");
    page.open("figcaption", &[]).text(format_args!(
        "Shaded: steps at which the most relevant words cost {} or more of the probability. ",
        curves::COSTLY
    ));
    for (index, (name, value)) in curves.measures.iter().enumerate() {
        let comma = if index == 0 { "Measures: " } else { ", " };
        page.text(format_args!("{comma}{name} {value:.3}"));
    }
    if !curves.measures.is_empty() {
        page.text(".");
    }
    page.close().close();
}

fn maps(page: &mut Markup, view: &View<'_>) {
    let Some(attention) = &view.attention else { return };
    let maps = Maps::new(view, attention);
    page.open("figure", &[("class", &"maps")]);
    page.element("h2", &[], "Attention: what rows take from columns");
    page.open("fieldset", &[]).element("legend", &[], "Layer");
    for layer in 1..=attention.layers {
        let (id, chosen) = (format!("layer-{layer}"), layer == attention.layers);
        choice(page, "layer", &id, &layer.to_string(), chosen);
    }
    page.close().open("fieldset", &[]).element("legend", &[], "Head");
    choice(page, "head", "head-mean", "mean", true);
    for head in 1..=attention.heads {
        choice(page, "head", &format!("head-{head}"), &head.to_string(), false);
    }
    page.close();
    maps.all().within(page, "map");
    let (shown, all) = (maps.shown.len(), view.tokens.len());
    page.open("figcaption", &[]);
    if shown < all {
        page.text(format_args!(
            "The {shown} most relevant of {all} tokens, so that what a row takes from the others is not \
             shown. "
        ));
    }
    page.text("Weights say where the model looks, not what it makes of it.").close().close();
}

fn method(page: &mut Markup, view: &View<'_>) {
    page.open("section", &[("class", &"method")]).element("h2", &[], "How this was made");
    page.open("dl", &[]);
    page.element("dt", &[], "method").element("dd", &[], view.method);
    for (name, value) in &view.settings {
        page.element("dt", &[], name).element("dd", &[], value);
    }
    page.close();
    page.element(
        "p",
        &[("class", &"note")],
        "Relevance shares out what the model has computed for this text. It is no proof of cause: what a \
         word does, replacing it shows.",
    );
    page.close();
}

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;
