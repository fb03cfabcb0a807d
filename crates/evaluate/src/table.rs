//! `Display` of a report, in the layout of scikit-learn's `classification_report`.

use std::fmt::{Display, Formatter, Result};

use crate::report::Report;
use crate::scores::{Average, Scores};

const DIGITS: usize = 2;

/// Width of a number, in columns.
const NUMBER: usize = 9;

const WIDEST_AVERAGE: &str = "weighted avg";

impl Display for Report {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        let digits = out.precision().unwrap_or(DIGITS);
        let names = self.classes().iter().map(|class| class.label.chars().count());
        let width = names.max().unwrap_or(0).max(WIDEST_AVERAGE.len()).max(digits);
        let row = |out: &mut Formatter<'_>, name: &str, scores: Scores, support: usize| {
            let Scores { precision, recall, f1 } = scores;
            write!(out, "{name:>width$} ")?;
            for number in [precision, recall, f1] {
                write!(out, " {number:>NUMBER$.digits$}")?;
            }
            writeln!(out, " {support:>NUMBER$}")
        };
        write!(out, "{:>width$} ", "")?;
        for heading in ["precision", "recall", "f1-score", "support"] {
            write!(out, " {heading:>NUMBER$}")?;
        }
        out.write_str("\n\n")?;
        for class in self.classes() {
            row(out, &class.label, class.scores, class.support)?;
        }
        out.write_str("\n")?;
        let support = self.classes().iter().map(|class| class.support).sum();
        for &average in Average::ALL {
            match self.average(average) {
                Some(scores) if average == Average::Micro && !self.is_multi_label() => {
                    write!(out, "{:>width$} ", "accuracy")?;
                    let (blank, accuracy) = ("", scores.f1);
                    write!(out, " {blank:>NUMBER$} {blank:>NUMBER$} {accuracy:>NUMBER$.digits$}")?;
                    writeln!(out, " {support:>NUMBER$}")?;
                }
                Some(scores) => row(out, &format!("{} avg", average.name()), scores, support)?,
                None => {}
            }
        }
        Ok(())
    }
}
