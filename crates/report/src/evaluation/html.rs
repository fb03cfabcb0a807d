//! The HTML page: tables, and the pictures.

use std::fmt::Display;

use super::confusion::Grid;
use super::{Page, reliability};
use crate::page::markup::Markup;
use crate::page::number::count;
use distilbert_evaluate::Estimate;
use distilbert_evaluate::{Average, Mistake, Scores};

const STYLE: &str = include_str!("report.css");

/// Maximum number of confused pairs listed.
const PAIRS: usize = 15;

/// Maximum number of characters shown of a text.
const TEXT: usize = 600;

pub(super) fn page(page: &Page<'_>) -> String {
    crate::page::document(title(page), STYLE, |html| {
        heading(html, page);
        table(html, page);
        zero_divisions(html, page);
        figures(html, page);
        let grid = Grid::new(page);
        if grid.is_wide() {
            confusion(html, page, &grid);
        }
        html.open("div", &[("class", &"columns")]);
        if !grid.is_wide() {
            confusion(html, page, &grid);
        }
        calibration(html, page);
        pairs(html, page);
        lengths(html, page);
        html.close();
        mistakes(html, page);
        let settings = page.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let note = "Intervals are 95% bootstrap confidence intervals. They show how much the results vary between samples of \
                    the same kind of data, not how the model performs on other data.";
        crate::page::settings(html, settings, note);
    })
}

fn title(page: &Page<'_>) -> String {
    let accuracy = page.figure(page.report.accuracy().value);
    let name = if page.report.is_multi_label() { "Subset accuracy" } else { "Accuracy" };
    format!("{name} {accuracy}, macro-F1 {}", page.figure(page.report.macro_f1().value))
}

fn heading(html: &mut Markup, page: &Page<'_>) {
    let interval = |Estimate { low, high, .. }: Estimate| {
        format!("{} to {}", page.figure(low), page.figure(high))
    };
    let (rows, labels) =
        (count(page.report.rows(), "row"), count(page.report.classes().len(), "label"));
    let (accuracy, macro_f1) = (page.report.accuracy(), page.report.macro_f1());
    html.element("h1", &[], title(page));
    html.element(
        "p",
        &[("class", &"lead")],
        format_args!(
            "95% intervals {} and {}; {rows}, {labels}",
            interval(accuracy),
            interval(macro_f1)
        ),
    );
}

/// Writes a table cell.
fn cell(html: &mut Markup, text: impl Display) {
    html.element("td", &[], text);
}

fn head(html: &mut Markup, names: &[&str]) {
    html.open("thead", &[]).open("tr", &[]);
    for name in names {
        html.element("th", &[("scope", &"col")], name);
    }
    html.close().close();
}

/// Writes the table of scikit-learn's `classification_report`.
fn table(html: &mut Markup, page: &Page<'_>) {
    let digits = page.digits;
    let row = |html: &mut Markup, name: &str, scores: Scores, support: usize| {
        html.open("tr", &[]).element("th", &[("scope", &"row")], name);
        for figure in [scores.precision, scores.recall, scores.f1] {
            cell(html, format_args!("{figure:.digits$}"));
        }
        cell(html, support);
        html.close();
    };
    // Scrollable content must be reachable with the keyboard.
    html.open("div", &[("class", &"wide"), ("tabindex", &"0")]);
    html.open("table", &[("class", &"classes")]);
    head(html, &["label", "precision", "recall", "F1", "rows"]);
    html.open("tbody", &[]);
    for class in page.report.classes() {
        row(html, &class.label, class.scores, class.support);
    }
    html.close().open("tbody", &[("class", &"averages")]);
    let support = page.report.classes().iter().map(|class| class.support).sum();
    for &average in Average::ALL {
        match page.report.average(average) {
            Some(scores) if average == Average::Micro && !page.report.is_multi_label() => {
                html.open("tr", &[]).element("th", &[("scope", &"row")], "accuracy");
                html.element("td", &[], "").element("td", &[], "");
                cell(html, format_args!("{:.digits$}", scores.f1));
                cell(html, support);
                html.close();
            }
            Some(scores) => row(html, &format!("{} average", average.name()), scores, support),
            None => {}
        }
    }
    html.close().close().close();
}

/// Lists the scores that are 0 because their denominator is 0.
fn zero_divisions(html: &mut Markup, page: &Page<'_>) {
    let report = page.report;
    let names: [(&str, Vec<&str>); 2] = [
        ("Not a true label of any row, so recall counts as 0", report.without_support().collect()),
        ("Never predicted, so precision counts as 0", report.never_predicted().collect()),
    ];
    for (why, labels) in names.iter().filter(|(_, labels)| !labels.is_empty()) {
        let labels = labels.join(", ");
        html.element("p", &[("class", &"note zero")], format_args!("{why}: {labels}."));
    }
    if report.is_multi_label() {
        let (truth, prediction) = (report.rows_without_truth(), report.rows_without_prediction());
        html.element(
            "p",
            &[("class", &"note zero")],
            format_args!(
                "{} without a true label and {} without a predicted label count as 0 in the samples average.",
                count(truth, "row"),
                count(prediction, "row")
            ),
        );
    }
}

fn figures(html: &mut Markup, page: &Page<'_>) {
    let report = page.report;
    // The top-1 accuracy is the accuracy.
    let top = report.top_k().skip(1);
    let top = top.map(|(k, accuracy)| (format!("top-{k} accuracy"), page.figure(accuracy)));
    let others = [
        ("log loss".to_owned(), page.figure(report.log_loss())),
        (
            "expected calibration error".to_owned(),
            page.figure(report.calibration().expected_error()),
        ),
    ];
    html.open("p", &[("class", &"figures")]);
    for (name, value) in top.chain(others) {
        html.element("span", &[], format_args!("{name} {value}")).text(" ");
    }
    html.close();
}

fn confusion(html: &mut Markup, page: &Page<'_>, grid: &Grid<'_>) {
    html.open("figure", &[("class", &"confusion")]);
    html.element("h2", &[], "Confusion matrix");
    if grid.is_wide() {
        html.open("div", &[("class", &"wide"), ("tabindex", &"0")]);
        grid.picture().within(html, "matrix");
        html.close();
    } else {
        grid.picture().within(html, "matrix");
    }
    html.open("figcaption", &[]);
    html.text(match page.report.is_multi_label() {
        true => "One row per label. Shades show the share of the rows with the label (true positives and false negatives) or \
                 without it (false positives and true negatives).",
        false => "Rows are true labels; columns are predicted labels. Correct predictions are on the diagonal.",
    });
    if grid.left_out > 0 {
        html.text(format_args!(
            " The most frequent labels; {} not shown.",
            count(grid.left_out, "other")
        ));
    }
    html.close().close();
}

fn calibration(html: &mut Markup, page: &Page<'_>) {
    html.open("figure", &[("class", &"calibration")]);
    html.element("h2", &[], "Calibration");
    reliability::picture(page).within(html, "reliability");
    let what = match page.report.is_multi_label() {
        true => "All labels of all rows by their probability",
        false => "Rows by the probability of the predicted label",
    };
    html.element(
        "figcaption",
        &[],
        format_args!(
            "{what}. Blue: accuracy up to the confidence. Faint red: confidence above the accuracy (overconfident). \
             Faint blue: accuracy above the confidence (underconfident). Below: number of predictions. The mean \
             height of the faint parts, weighted by these numbers, is the expected calibration error: {}.",
            page.figure(page.report.calibration().expected_error())
        ),
    );
    html.close();
}

fn pairs(html: &mut Markup, page: &Page<'_>) {
    let pairs = page.report.confused_pairs();
    html.open("section", &[("class", &"pairs")]).element("h2", &[], "Most confused labels");
    if pairs.is_empty() {
        html.element("p", &[("class", &"note")], "No labels are confused.");
    } else {
        html.open("table", &[]);
        head(html, &["true", "predicted", "rows", "share of true label"]);
        html.open("tbody", &[]);
        for pair in pairs.iter().take(PAIRS) {
            let support = page.report.classes()[pair.truth].support;
            html.open("tr", &[]).element("th", &[("scope", &"row")], page.label(pair.truth));
            html.element("td", &[("class", &"name")], page.label(pair.predicted));
            cell(html, pair.rows);
            cell(html, format_args!("{:.1}%", 100.0 * pair.rows as f64 / support as f64));
            html.close();
        }
        html.close().close();
    }
    if let Some(more) = pairs.len().checked_sub(PAIRS).filter(|&more| more > 0) {
        html.element(
            "p",
            &[("class", &"note")],
            format_args!("And {}.", count(more, "other pair")),
        );
    }
    html.close();
}

fn lengths(html: &mut Markup, page: &Page<'_>) {
    let lengths = page.report.lengths();
    if lengths.is_empty() {
        return;
    }
    html.open("section", &[("class", &"lengths")]).element("h2", &[], "Mistakes by text length");
    html.open("table", &[]);
    head(html, &["tokens", "rows", "mistakes", "share"]);
    html.open("tbody", &[]);
    for length in lengths {
        let tokens = match length.from {
            0 => format!("up to {}", length.to),
            from => format!("{from} to {}", length.to),
        };
        html.open("tr", &[]).element("th", &[("scope", &"row")], tokens);
        cell(html, length.rows);
        cell(html, length.mistakes);
        cell(html, format_args!("{:.1}%", 100.0 * length.mistakes as f64 / length.rows as f64));
        html.close();
    }
    html.close().close().close();
}

fn mistakes(html: &mut Markup, page: &Page<'_>) {
    let mistakes = page.report.mistakes();
    if mistakes.is_empty() {
        return;
    }
    html.open("section", &[("class", &"mistakes")]).element("h2", &[], "Most confident mistakes");
    html.open("ol", &[]);
    for mistake in mistakes {
        let Mistake { row, text, truth, predicted, confidence, .. } = mistake;
        html.open("li", &[]).open("p", &[("class", &"what")]);
        html.element("b", &[], page.labels(truth)).text(" predicted as ");
        html.element("b", &[], page.labels(predicted));
        html.element("span", &[("class", &"soft")], format_args!(" {confidence:.3}, row {row}"));
        html.close();
        if let Some(text) = text {
            let mut shown: String = text.chars().take(TEXT).collect();
            if shown.len() < text.len() {
                shown.push('…');
            }
            // The language and the direction of the text are unknown.
            html.element("p", &[("class", &"said"), ("lang", &""), ("dir", &"auto")], shown);
        }
        html.close();
    }
    html.close().close();
}
