//! [`Page`]: a report to look at.

mod confusion;
mod html;
mod reliability;
#[cfg(test)]
mod tests;

use distilbert_evaluate::Report;

/// A report to look at: one HTML file with pictures in SVG. Nothing in it runs and nothing is loaded, whatever
/// labels and texts hold.
///
/// The page shows the table, the confusion matrix (of more than 40 labels, those that are true or predicted
/// most), the reliability diagram, confused pairs, mistakes by length, and the most confident mistakes with
/// their texts.
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
    top: usize,
    settings: Vec<(String, String)>,
}

impl<'a> Page<'a> {
    /// The page of a report.
    pub fn new(report: &'a Report) -> Self {
        Self { report, digits: 2, top: 3, settings: Vec::new() }
    }

    /// Decimals of the table; by default 2. Other figures have three at least.
    pub fn digits(mut self, digits: usize) -> Self {
        self.digits = digits;
        self
    }

    /// The largest `k` of which top-k accuracy is given, for a single-label model; by default 3.
    pub fn top(mut self, top: usize) -> Self {
        self.top = top;
        self
    }

    /// States how something was made, such as the model's name.
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// The page as one HTML file, which is XML, too.
    pub fn html(&self) -> String {
        html::page(self)
    }

    fn label(&self, id: usize) -> &'a str {
        &self.report.classes()[id].label
    }

    /// Labels by their ids, as one text.
    fn labels(&self, ids: &[usize]) -> String {
        match ids {
            [] => "no label".to_owned(),
            ids => ids.iter().map(|&id| self.label(id)).collect::<Vec<_>>().join(", "),
        }
    }

    /// A figure outside the table.
    fn figure(&self, value: f64) -> String {
        format!("{value:.0$}", self.digits.max(3))
    }
}
