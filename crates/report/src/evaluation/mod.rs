//! [`Page`]: the HTML report of an evaluation.

mod confusion;
mod html;
mod reliability;
#[cfg(test)]
mod tests;

use distilbert_evaluate::Report;

/// HTML report of an evaluation: one self-contained file with SVG pictures. It contains no scripts and loads nothing,
/// whatever the labels and texts contain.
///
/// The page shows the table of scores, the confusion matrix (of the 40 most frequent labels), the reliability diagram,
/// confused pairs, mistakes by text length, and the most confident mistakes with their texts.
///
/// ```
/// use distilbert::ProblemType;
/// use distilbert_evaluate::{EvaluationOptions, Evaluation, Row};
/// use distilbert_report::evaluation::Page;
///
/// let labels = ["no", "yes"].map(str::to_owned);
/// let kind = ProblemType::SingleLabelClassification;
/// let mut evaluation = Evaluation::new(&labels, kind, &EvaluationOptions::default())?;
/// evaluation.push(&Row::new(&[1], &[0.2, 0.8]).text("Of course!"))?;
/// let report = evaluation.report()?;
/// let page = Page::new(&report).digits(3).setting("model", "models/answers");
/// assert!(page.html().starts_with("<!DOCTYPE html>"));
/// # Ok::<(), distilbert_evaluate::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Page<'a> {
    report: &'a Report,
    digits: usize,
    settings: Vec<(String, String)>,
}

impl<'a> Page<'a> {
    /// Creates the page of a report.
    pub fn new(report: &'a Report) -> Self {
        Self { report, digits: 2, settings: Vec::new() }
    }

    /// Sets the number of decimals in the table of scores; 2 by default. Other numbers have at least three.
    pub fn digits(mut self, digits: usize) -> Self {
        self.digits = digits;
        self
    }

    /// Adds a setting to display, such as the model's name.
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Renders the page as HTML, which is also well-formed XML.
    pub fn html(&self) -> String {
        html::page(self)
    }

    fn label(&self, id: usize) -> &'a str {
        &self.report.classes()[id].label
    }

    /// Joins the labels with these ids.
    fn labels(&self, ids: &[usize]) -> String {
        match ids {
            [] => "no label".to_owned(),
            ids => ids.iter().map(|&id| self.label(id)).collect::<Vec<_>>().join(", "),
        }
    }

    /// Formats a number outside the table.
    fn figure(&self, value: f64) -> String {
        format!("{value:.0$}", self.digits.max(3))
    }
}
