//! The page: tables, and HTML around the pictures.

use std::fmt::Display;

use super::confusion::Grid;
use super::{Page, reliability};
use crate::page::markup::Markup;
use crate::page::number::count;
use distilbert_evaluate::Estimate;
use distilbert_evaluate::{Average, Mistake, Scores};

const STYLE: &str = include_str!("report.css");

/// Confused pairs that are listed.
const PAIRS: usize = 15;

/// Of a longer text, so many characters are shown.
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
        let note = "Intervals hold 95 % of the figures of rows drawn again with replacement: they say what \
                    other rows of the same kind would change, not what rows of another kind would.";
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
            "95 % intervals {} and {}; {rows}, {labels}",
            interval(accuracy),
            interval(macro_f1)
        ),
    );
}

/// A cell of a table.
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

/// The table of scikit-learn's `classification_report`.
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
    // What scrolls must be reached without a mouse, too.
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

/// Names what the table shows as 0 because there is nothing to divide by.
fn zero_divisions(html: &mut Markup, page: &Page<'_>) {
    let report = page.report;
    let names: [(&str, Vec<&str>); 2] = [
        ("No row has the label, so that recall counts as 0", report.without_support().collect()),
        ("Never predicted, so that precision counts as 0", report.never_predicted().collect()),
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
                "{} without a true label and {} without a predicted one count as 0 in the average by samples.",
                count(truth, "row"),
                count(prediction, "row")
            ),
        );
    }
}

fn figures(html: &mut Markup, page: &Page<'_>) {
    let report = page.report;
    let top = (2..=page.top.min(report.classes().len())).filter_map(|k| {
        Some((format!("top-{k} accuracy"), page.figure(report.top_k_accuracy(k)?)))
    });
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
    html.element("h2", &[], "What is taken for what");
    if grid.is_wide() {
        html.open("div", &[("class", &"wide"), ("tabindex", &"0")]);
        grid.picture().within(html, "matrix");
        html.close();
    } else {
        grid.picture().within(html, "matrix");
    }
    html.open("figcaption", &[]);
    html.text(match page.report.is_multi_label() {
        true => "A row for each label: where it is true, how often it is found and missed; where it is not, how \
                 often it is said wrongly and rightly not.",
        false => "Rows are the true labels, columns the predicted ones: what is right is on the diagonal.",
    });
    if grid.left_out > 0 {
        html.text(format_args!(
            " The labels that are true or predicted most; {} not shown.",
            count(grid.left_out, "other")
        ));
    }
    html.close().close();
}

fn calibration(html: &mut Markup, page: &Page<'_>) {
    html.open("figure", &[("class", &"calibration")]);
    html.element("h2", &[], "Is it right as often as it says?");
    reliability::picture(page).within(html, "reliability");
    let what = match page.report.is_multi_label() {
        true => "Each label of each row, by its probability",
        false => "Rows, by the probability of what is predicted",
    };
    html.element(
        "figcaption",
        &[],
        format_args!(
            "{what}. Blue: how often they are right, as far as the model says so; faint red: what it says \
             beyond; faint blue: how often it is right beyond what it says. Below: how many there are. The mean \
             of both faint parts, weighted by these, is the expected calibration error: {}.",
            page.figure(page.report.calibration().expected_error())
        ),
    );
    html.close();
}

fn pairs(html: &mut Markup, page: &Page<'_>) {
    let pairs = page.report.confused_pairs();
    html.open("section", &[("class", &"pairs")]).element("h2", &[], "Most confused");
    if pairs.is_empty() {
        html.element("p", &[("class", &"note")], "Nothing is taken for anything else.");
    } else {
        html.open("table", &[]);
        head(html, &["true", "predicted", "rows", "of those true"]);
        html.open("tbody", &[]);
        for pair in pairs.iter().take(PAIRS) {
            let support = page.report.classes()[pair.truth].support;
            html.open("tr", &[]).element("th", &[("scope", &"row")], page.label(pair.truth));
            html.element("td", &[("class", &"name")], page.label(pair.predicted));
            cell(html, pair.rows);
            cell(html, format_args!("{:.1} %", 100.0 * pair.rows as f64 / support as f64));
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
    html.open("section", &[("class", &"lengths")]).element("h2", &[], "Mistakes by length");
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
        cell(html, format_args!("{:.1} %", 100.0 * length.mistakes as f64 / length.rows as f64));
        html.close();
    }
    html.close().close().close();
}

fn mistakes(html: &mut Markup, page: &Page<'_>) {
    let mistakes = page.report.mistakes();
    if mistakes.is_empty() {
        return;
    }
    html.open("section", &[("class", &"mistakes")]).element("h2", &[], "Surest mistakes");
    html.open("ol", &[]);
    for mistake in mistakes {
        let Mistake { row, text, truth, predicted, confidence, .. } = mistake;
        html.open("li", &[]).open("p", &[("class", &"what")]);
        html.element("b", &[], page.labels(truth)).text(" taken for ");
        html.element("b", &[], page.labels(predicted));
        html.element("span", &[("class", &"soft")], format_args!(" {confidence:.3}, row {row}"));
        html.close();
        if let Some(text) = text {
            let mut shown: String = text.chars().take(TEXT).collect();
            if shown.len() < text.len() {
                shown.push('…');
            }
            // The text's language and direction are its own.
            html.element("p", &[("class", &"said"), ("lang", &""), ("dir", &"auto")], shown);
        }
        html.close();
    }
    html.close().close();
}
