//! The HTML page: tables, and the pictures.

use std::fmt::Display;

use super::{Model, Page, Quality, curve, layers};
use crate::page::markup::Markup;
use crate::page::number::Signed;

const STYLE: &str = include_str!("../evaluation/report.css");

pub(super) fn page(page: &Page<'_>) -> String {
    crate::page::document(title(page), STYLE, |html| {
        html.element("h1", &[], title(page));
        html.element("p", &[("class", &"lead")], lead(page));
        sizes(html, page);
        html.open("div", &[("class", &"columns")]);
        figure(html, "Heads and neurons left in each layer", |html| {
            for model in page.models.iter().skip(1) {
                layers::picture(&page.models[0], model).within(html, "layers");
            }
        });
        if page.models.len() > 2 {
            figure(html, "By the share of multiply-adds", |html| {
                curve::picture(page.models).within(html, "curve");
            });
        }
        classes(html, page);
        html.close();
        let settings = page.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let note = "Times are medians of interleaved runs on the machine that wrote this page. Agreement is the share of \
                    texts, none of them used for pruning, to which both models give the same label.";
        crate::page::settings(html, settings, note);
    })
}

fn title(page: &Page<'_>) -> String {
    match page.models {
        [_, only] => format!("Pruned to {} of the multiply-adds", percent(only.share)),
        models => format!("{} pruned models", models.len().saturating_sub(1)),
    }
}

fn lead(page: &Page<'_>) -> String {
    let quality = page.models.iter().find_map(|model| model.quality.as_ref());
    match quality {
        Some(quality) => format!("Quality on {} labeled texts", quality.rows),
        None => "Without labeled texts: agreement alone says what changed".to_owned(),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1}%", 100.0 * share)
}

fn figure(html: &mut Markup, caption: &str, write: impl FnOnce(&mut Markup)) {
    html.open("section", &[]).element("h2", &[], caption).open("figure", &[]);
    write(html);
    html.close().close();
}

fn row(html: &mut Markup, name: &str, cells: impl IntoIterator<Item = impl Display>) {
    html.open("tr", &[]).element("th", &[("scope", &"row")], name);
    for cell in cells {
        html.element("td", &[], cell);
    }
    html.close();
}

fn head(html: &mut Markup, names: impl IntoIterator<Item = impl Display>) {
    html.open("thead", &[]).open("tr", &[]);
    for name in names {
        html.element("th", &[("scope", &"col")], name);
    }
    html.close().close();
}

/// Writes the table of sizes, times and quality, a row for each model.
fn sizes(html: &mut Markup, page: &Page<'_>) {
    let first = &page.models[0];
    // Scrollable content must be reachable with the keyboard.
    html.open("div", &[("class", &"wide"), ("tabindex", &"0")]);
    html.open("table", &[("class", &"classes")]);
    let times = first.times.iter().map(|(tokens, _)| format!("ms at {tokens} tokens"));
    let names = ["model", "multiply-adds", "weights", "MB"].map(str::to_owned);
    let quality = ["agreement", "accuracy", "macro-F1"].map(str::to_owned);
    head(html, names.into_iter().chain(times).chain(quality));
    html.open("tbody", &[]);
    for model in page.models {
        let sizes = [
            percent(model.share),
            model.parameters.to_string(),
            format!("{:.1}", model.bytes as f64 / 1e6),
        ];
        let quality = model.quality.as_ref();
        let figures = [
            model.agreement,
            quality.map(|quality| quality.accuracy),
            quality.map(|quality| quality.macro_f1),
        ];
        let figures = figures.map(|figure| figure.map_or_else(|| "–".to_owned(), precise));
        let times = model.times.iter().enumerate().map(|(index, &(_, time))| {
            let before = first.times.get(index).map_or(time, |&(_, time)| time);
            match std::ptr::eq(model, first) {
                true => format!("{time:.2}"),
                false => format!("{time:.2} ({:.2}×)", before / time),
            }
        });
        row(html, &model.name, sizes.into_iter().chain(times).chain(figures));
    }
    html.close().close().close();
}

fn precise(share: f64) -> String {
    format!("{:.2}%", 100.0 * share)
}

/// Writes the F1 of each label: the original's, and what the pruned models change.
fn classes(html: &mut Markup, page: &Page<'_>) {
    let [Model { quality: Some(original), .. }, pruned @ ..] = page.models else { return };
    html.open("section", &[]).element("h2", &[], "F1 of each label");
    html.open("div", &[("class", &"wide"), ("tabindex", &"0")]).open("table", &[]);
    head(html, ["label", "original"].into_iter().chain(pruned.iter().map(|model| &*model.name)));
    html.open("tbody", &[]);
    let signed = Signed::fitting(1.0);
    for (index, (label, before)) in original.classes.iter().enumerate() {
        let change = |quality: &Quality| {
            let after = quality.classes.get(index).map_or(*before, |class| class.1);
            signed.show(after - before)
        };
        let changes =
            pruned.iter().map(|model| model.quality.as_ref().map_or_else(String::new, change));
        row(html, label, [format!("{before:.3}")].into_iter().chain(changes));
    }
    html.close().close().close().close();
}
