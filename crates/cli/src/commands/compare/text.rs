//! A comparison as text.

use distilbert_evaluate::{Estimate, MarginCurve, MarginPoint};

use super::{Comparison, Difference};
use crate::render::terminal::{self, BOLD, DIM};

/// Width of the first column.
const NAME_COLUMNS: usize = 25;

/// Width of a text in the list of differing rows.
const TEXT_COLUMNS: usize = 40;

impl Comparison {
    pub(super) fn text(&self) -> String {
        let lines = self.lines().into_iter().map(|(name, value)| {
            format!("{BOLD}{name:NAME_COLUMNS$}{BOLD:#}{}\n", terminal::escape(&value))
        });
        let mut text: String = lines.collect();
        if let Some(cascade) = &self.cascade
            && cascade.curve.rows() > 0
        {
            text += &curve(&cascade.curve);
        }
        let differing = self.agreement.rows() - self.agreement.same();
        if differing > 0 {
            let s = terminal::plural(differing);
            let listed = self.differences.len();
            let first =
                if listed < differing { format!(" (first {listed})") } else { String::new() };
            text += &format!("\n{differing} differing row{s}{first}:\n");
        }
        text.extend(self.differences.iter().map(|difference| self.line(difference)));
        text
    }

    /// Returns names and values of the first lines.
    fn lines(&self) -> Vec<(&'static str, String)> {
        let agreement = &self.agreement;
        let [first, second] = self.models.each_ref().map(|model| {
            let info = model.info();
            format!("{}, {}", info.folder.display(), info.precision)
        });
        let same_label = format!("{} ({})", percent(agreement.label_agreement()), agreement.same());
        let mut lines = vec![
            ("first", first),
            ("second", second),
            ("rows", agreement.rows().to_string()),
            ("same label", same_label),
            ("largest logit difference", format!("{:.2e}", agreement.largest_logit_difference())),
            ("mean logit difference", format!("{:.2e}", agreement.mean_logit_difference())),
        ];
        if let Some([first, second]) = agreement.accuracies() {
            let rows = agreement.labeled_rows();
            let both = format!("{} and {} of {rows} rows", percent(first), percent(second));
            lines.push(("accuracy", both));
        }
        lines
    }

    /// Returns the line of a differing row.
    fn line(&self, difference: &Difference) -> String {
        let [first, second] = &difference.pair.labels;
        let [first, second] = [(first, difference.scores[0]), (second, difference.scores[1])]
            .map(|(labels, score)| format!("{} {score:.2}", or_none(&self.names(labels))));
        let truth = difference.truth.as_ref().map(|truth| or_none(&self.names(truth)));
        let truth = truth.map_or(String::new(), |truth| format!(", true label {truth}"));
        let text = terminal::fit(&difference.text, TEXT_COLUMNS);
        let labels = format!("{first} → {second}{truth}");
        format!("  row {:<8}{}  {DIM}{text}{DIM:#}\n", difference.row, terminal::escape(&labels))
    }
}

/// Returns the table of a cascade's margins, and the recommendation.
fn curve(curve: &MarginCurve) -> String {
    let points = curve.points();
    let mut text = format!(
        "\n{BOLD}cascade{BOLD:#}: int8, then f32 for rows closer to another label than the margin\n"
    );
    text += &format!("  {:>6}  {:>8}  {:<28}", "margin", "in f32", "same label as f32");
    text += if points.iter().any(|point| point.accuracy.is_some()) { "  accuracy\n" } else { "\n" };
    text.extend(points.iter().map(|point| {
        let MarginPoint { margin, share, agreement, accuracy, .. } = point;
        let accuracy =
            accuracy.map_or(String::new(), |accuracy| format!("  {:>8}", percent(accuracy)));
        let row = format!(
            "  {margin:>6.2}  {:>8}  {:<28}{accuracy}",
            percent(*share),
            interval(*agreement)
        );
        format!("{}\n", row.trim_end())
    }));
    let wanted = MarginCurve::AGREEMENT;
    text += &match curve.recommend(wanted) {
        Some(point) => format!(
            "recommended: --precision cascade:{}, the smallest margin that gives the same label as f32 on at least {}% of these \
             rows: {}, with {} of the rows in f32\n",
            point.margin,
            100.0 * wanted,
            interval(point.agreement),
            percent(point.share),
        ),
        None => {
            format!("no margin gives the same label as f32 on {}% of these rows\n", 100.0 * wanted)
        }
    };
    text += &match curve.recommend_with_confidence(wanted) {
        Some(point) => format!(
            "to be confident of {}% on rows like these: --precision cascade:{}, with {} of the rows in f32\n",
            100.0 * wanted,
            point.margin,
            percent(point.share),
        ),
        None => format!("more rows are needed to be confident of {}%\n", 100.0 * wanted),
    };
    text
}

/// Formats a proportion with its interval.
fn interval(Estimate { value, low, high, .. }: Estimate) -> String {
    format!("{} ({:.2} to {:.2})", percent(value), 100.0 * low, 100.0 * high)
}

fn percent(share: f64) -> String {
    format!("{:.2}%", share * 100.0)
}

fn or_none(labels: &[&str]) -> String {
    if labels.is_empty() { "none".to_owned() } else { labels.join(", ") }
}
