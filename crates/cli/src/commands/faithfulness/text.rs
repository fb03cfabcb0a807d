//! A comparison of methods as text.

use anstyle::Style;
use distilbert::explain::Faithfulness;
use distilbert_evaluate::{Estimate, Ranking};

use super::{MEASURES, Report};
use crate::render::terminal::{self, BOLD, DIM};

/// Width of the names of settings.
const NAME_COLUMNS: usize = 15;

/// Columns between those of the table.
const GAP: usize = 2;

impl Report<'_> {
    pub(super) fn text(&self) -> String {
        let settings = self.settings().into_iter().map(|(name, value)| {
            format!("{BOLD}{name:NAME_COLUMNS$}{BOLD:#}{}\n", terminal::escape(&value))
        });
        let mut text: String = settings.collect();
        text.push('\n');
        text += &table("", self.comparison.means(), false);
        if let Some(from) = self.against {
            let rankings = self.comparison.rankings().iter().copied();
            let others = rankings.filter(|&ranking| ranking != from);
            let differences =
                others.filter_map(|of| Some((of, self.comparison.difference(of, from)?)));
            text.push('\n');
            text += &table(&format!("minus {from}"), differences.collect(), true);
        }
        text
    }

    /// Returns names and values of the settings.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let &Self { data, classifier, comparison, .. } = self;
        let info = classifier.info();
        let mut rows = vec![
            ("data", data.display().to_string()),
            ("texts", self.texts()),
            ("model", format!("{}, {}", info.folder.display(), info.precision)),
            ("explained", format!("{} of the predicted label", comparison.objective())),
            ("replacement", comparison.replacement().name().to_owned()),
        ];
        if let Some(steps) = self.steps() {
            rows.push(("steps", format!("{steps} of integrated gradients")));
        }
        if comparison.rankings().contains(&Ranking::Random) {
            rows.push(("random orders", format!("{} per text", comparison.random_orders())));
        }
        rows.push(("seed", comparison.seed().to_string()));
        rows.push(("intervals", format!("95%, {} resamples", comparison.resamples())));
        rows
    }

    /// Returns the numbers of texts used, skipped and truncated.
    fn texts(&self) -> String {
        let comparison = self.comparison;
        let limit = self.classifier.max_tokens();
        let mut texts = comparison.texts().to_string();
        for (count, reason) in [
            (comparison.without_words(), "skipped (no words)".to_owned()),
            (comparison.of_one_word(), "of one word skipped".to_owned()),
            (comparison.truncated(), format!("truncated to {limit} tokens")),
        ] {
            if count > 0 {
                texts += &format!(", {count} {reason}");
            }
        }
        texts
    }
}

/// Returns a table with two lines per method: the values, and their intervals.
fn table(title: &str, rows: Vec<(Ranking, Faithfulness<Estimate>)>, signed: bool) -> String {
    let mut lines =
        vec![(BOLD, title.to_owned(), MEASURES.map(|measure| measure.heading.to_owned()))];
    for (ranking, means) in rows {
        let estimates = MEASURES.map(|measure| (measure.get)(&means));
        let values = estimates.map(|estimate| number(estimate.value, signed));
        let intervals = estimates.map(|estimate| {
            format!("{}..{}", number(estimate.low, signed), number(estimate.high, signed))
        });
        lines.push((Style::new(), ranking.name().to_owned(), values));
        lines.push((DIM, String::new(), intervals));
    }
    let names = lines.iter().map(|(_, name, _)| terminal::width(name)).max().unwrap_or(0);
    let cells = lines.iter().flat_map(|(_, _, cells)| cells);
    let columns = cells.map(|cell| terminal::width(cell)).max().unwrap_or(0);
    let line = |(style, name, cells): &(Style, String, [String; MEASURES.len()])| {
        let cells = cells
            .iter()
            .map(|cell| format!("{:1$}{cell}", "", GAP + columns - terminal::width(cell)));
        let text = terminal::pad(name, names) + &cells.collect::<String>();
        format!("{style}{text}{style:#}\n")
    };
    lines.iter().map(line).collect()
}

fn number(value: f64, signed: bool) -> String {
    let text = if signed { format!("{value:+.3}") } else { format!("{value:.3}") };
    // A value that rounds to zero has no sign.
    text.replace("-0.000", "0.000")
}
