//! The HTML page around the pictures.

use std::fmt::Display;

use super::attention::Maps;
use super::bars::{self, Bars};
use super::{Page, curves, text};
use crate::page::markup::Markup;
use crate::page::number::{self, Signed};
use distilbert::explain::AttentionWeights;

const STYLE: &str = include_str!("explanation.css");

pub(super) fn page(page: &Page<'_>) -> String {
    let mut style = [crate::style::TEXT, STYLE].concat();
    if let Some(weights) = page.explanation.attention() {
        style += &choices(weights);
    }
    crate::page::document(format_args!("Why {}", page.goal()), &style, |html| {
        title(html, page);
        text::write(html, page);
        ledger(html, page);
        html.open("div", &[("class", &"columns")]);
        words(html, page);
        if !page.curves().is_empty() || page.explanation.attention().is_some() {
            html.open("div", &[("class", &"column")]);
            confidence(html, page);
            maps(html, page);
            html.close();
        }
        method(html, page);
        html.close();
    })
}

/// Returns the CSS rules that display the map of the selected layer and head.
fn choices(weights: &AttentionWeights) -> String {
    let layers = (1..=weights.layers()).map(|layer| format!("layer-{layer}"));
    let heads = (1..=weights.heads()).map(|head| format!("head-{head}"));
    layers
        .chain(["head-mean".to_owned()])
        .chain(heads)
        .map(|choice| format!(".maps:has(#{choice}:checked) .{choice} {{ display: inline; }}\n"))
        .collect()
}

fn title(html: &mut Markup, page: &Page<'_>) {
    html.element("h1", &[], page.goal()).open("p", &[("class", &"lead")]);
    let logit = page.explanation.logit();
    let name = if page.probability().is_some() { "logit" } else { "value" };
    if let Some(probability) = page.probability() {
        html.text(format_args!("probability {probability:.3}, "));
    }
    html.text(format_args!("{name} {}", Signed::fitting(logit.into()).show(logit)));
    let predicted = page.explanation.prediction();
    if predicted.label() != page.explanation.target() {
        html.text(format_args!(
            "; the predicted label is {}, {:.3}",
            predicted.label(),
            predicted.score()
        ));
    }
    html.close();
}

/// Writes the explained value as the sum of its parts.
fn ledger(html: &mut Markup, page: &Page<'_>) {
    let explanation = page.explanation;
    let signed = Signed::fitting(explanation.value());
    let mut special: Vec<&str> = page.special().map(|token| token.text.as_str()).collect();
    special.dedup();
    let special_total: f64 = page.special().map(|token| f64::from(token.relevance)).sum();
    let mut parts = vec![("words".to_owned(), page.words_total())];
    if !special.is_empty() {
        parts.push((special.join(" and "), special_total));
    }
    let shares = explanation.ledger().entries().into_iter().filter(|share| share.1 != 0.0);
    parts.extend(shares.map(|(name, share)| (name.replace('_', " "), share)));

    html.open("p", &[("class", &"ledger")]);
    let value = signed.show(explanation.value());
    html.element("span", &[], format_args!("{} {value}", page.objective()));
    for (index, (name, share)) in parts.iter().enumerate() {
        let sign = if index == 0 { "=" } else { "+" };
        html.text(" ");
        html.element("span", &[], format_args!("{sign} {name} {}", signed.show(*share)));
    }
    html.text(" ");
    html.element(
        "span",
        &[("class", &"soft")],
        format_args!("(unexplained {:.0e})", explanation.unexplained()),
    );
    html.close();
}

fn words(html: &mut Markup, page: &Page<'_>) {
    let bars = Bars::new(page);
    html.open("figure", &[("class", &"bars")]);
    html.element("h2", &[], "Relevance of each word");
    html.open("fieldset", &[]).element("legend", &[], "Order");
    choice(html, "order", "by-relevance", "by relevance", true);
    choice(html, "order", "by-text", "as in the text", false);
    html.close();
    bars.picture(bars::Order::Relevance).within(html, "by-relevance");
    bars.picture(bars::Order::Text).within(html, "by-text");
    html.open("figcaption", &[]);
    match bars.left_out {
        (0, _) => html.text(number::count(page.words().len(), "word")).text(". "),
        (count, sum) => html.text(format_args!(
            "The {} strongest of {}; the other {count} sum to {}. ",
            page.words().len() - count,
            number::count(page.words().len(), "word"),
            Signed::fitting(page.largest()).show(sum)
        )),
    };
    if page.special().next().is_some() {
        html.text("Gray names are special tokens.");
    }
    html.close().close();
}

/// Writes a radio button, which the style displays as its label.
fn choice(html: &mut Markup, group: &str, id: &str, name: &str, chosen: bool) {
    let mut attributes: Vec<(&str, &dyn Display)> =
        vec![("type", &"radio"), ("name", &group), ("id", &id)];
    if chosen {
        attributes.push(("checked", &"checked"));
    }
    html.empty("input", &attributes).element("label", &[("for", &id)], name);
}

fn confidence(html: &mut Markup, page: &Page<'_>) {
    if page.curves().is_empty() {
        return;
    }
    html.open("figure", &[("class", &"confidence")]);
    html.element("h2", &[], "Probability as words are removed");
    curves::picture(page).within(html, "lines");
    html.open("figcaption", &[]);
    if page.curves().iter().any(|curve| curves::costly(curve).next().is_some()) {
        html.text(format_args!(
            "Shaded: steps where removing the most relevant words lowers the probability by {} or more. ",
            curves::COSTLY
        ));
    }
    for (index, curve) in page.curves().iter().enumerate() {
        let comma = if index == 0 { "Area under the lines: " } else { ", " };
        html.text(format_args!("{comma}{} {:.3}", curves::name(curve), curve.area_under()));
    }
    html.text(".").close().close();
}

fn maps(html: &mut Markup, page: &Page<'_>) {
    let Some(weights) = page.explanation.attention() else { return };
    let maps = Maps::new(page, weights);
    html.open("figure", &[("class", &"maps")]);
    html.element("h2", &[], "Attention weights");
    html.open("fieldset", &[]).element("legend", &[], "Layer");
    for layer in 1..=weights.layers() {
        let (id, chosen) = (format!("layer-{layer}"), layer == weights.layers());
        choice(html, "layer", &id, &layer.to_string(), chosen);
    }
    html.close().open("fieldset", &[]).element("legend", &[], "Head");
    choice(html, "head", "head-mean", "mean", true);
    for head in 1..=weights.heads() {
        choice(html, "head", &format!("head-{head}"), &head.to_string(), false);
    }
    html.close();
    maps.all().within(html, "map");
    let (shown, all) = (maps.shown.len(), page.tokens().len());
    html.open("figcaption", &[]);
    if shown < all {
        html.text(format_args!(
            "The {shown} most relevant of {all} tokens; weights for the other tokens are not shown. "
        ));
    }
    html.text("Rows attend to columns. ");
    html.text("Weights show where the model looks, not how it uses what it finds.").close().close();
}

fn method(html: &mut Markup, page: &Page<'_>) {
    let method = page.explanation.method().name();
    let settings = page.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    crate::page::settings(
        html,
        [("method", method)].into_iter().chain(settings),
        "Relevances decompose the value that the model computed for this text. They don't prove causation; the effect of \
         removing a word does.",
    );
}
