//! [`MarginCurve`]: the cost of a cascade's margin, and how often its labels match those of f32.

use distilbert::{Margin, Prediction, ProblemType};

use crate::bootstrap::Estimate;
use crate::decisions::{distinct, predicted};
use crate::error::{Error, Result};
use crate::proportion::proportion;

/// Quality and cost of a [cascade](distilbert::Precision::Cascade) by its margin, accumulated row by row from the
/// predictions of its two precisions.
///
/// ```
/// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
/// use distilbert::{Classifier, Margin, Precision};
/// use distilbert_evaluate::MarginCurve;
///
/// let exact = Classifier::builder("models/emotion").build()?;
/// let fast = Classifier::builder("models/emotion").precision(Precision::Int8).build()?;
/// let mut curve = MarginCurve::new(exact.problem_type())?;
/// let texts = ["I miss you so much.", "What a shock!"];
/// for (fast, exact) in fast.classify_batch(&texts)?.iter().zip(exact.classify_batch(&texts)?) {
///     curve.push(fast, &exact, None);
/// }
/// let point = curve.at(Margin::DEFAULT);
/// println!("{} of the texts in f32, {} with its label", point.share, point.agreement.value);
/// assert_eq!(curve.at(Margin::new(100.0)?).share, 1.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct MarginCurve {
    is_multi_label: bool,
    rows: Vec<Row>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    /// Margin of the first prediction.
    margin: f32,
    is_same: bool,
    /// Correctness of the first and the second prediction, if the true labels are known.
    is_right: Option<[bool; 2]>,
}

impl Row {
    /// Returns `true` if a cascade with this margin answers with the first prediction.
    fn stands(&self, margin: Margin) -> bool {
        self.margin >= margin.get()
    }
}

/// Point of a [`MarginCurve`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct MarginPoint {
    /// Margin of the cascade.
    pub margin: Margin,
    /// Fraction of rows that are classified in f32 as well.
    pub share: f64,
    /// Fraction of rows with the same labels as f32, with its Wilson score interval.
    pub agreement: Estimate,
    /// Fraction of labeled rows with exactly the true labels; `None` if there are no labeled rows.
    pub accuracy: Option<f64>,
}

impl MarginCurve {
    /// Agreement with f32 for which the program recommends a margin.
    pub const AGREEMENT: f64 = 0.999;

    /// Margins of the [`points`](Self::points).
    const MARGINS: [f32; 11] = [0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0];

    /// Creates the curve of a model, without rows.
    ///
    /// # Errors
    /// [`Error::NotClassification`] for a regression model.
    pub fn new(problem_type: ProblemType) -> Result<Self> {
        match problem_type {
            ProblemType::Regression => Err(Error::NotClassification),
            _ => Ok(Self {
                is_multi_label: problem_type == ProblemType::MultiLabelClassification,
                rows: Vec::new(),
            }),
        }
    }

    /// Adds a row, given its predictions by the first and the second precision of the cascade, and its true label ids
    /// if they are known.
    pub fn push(&mut self, first: &Prediction, second: &Prediction, truth: Option<&[usize]>) {
        let labels = [first, second].map(|found| predicted(found.scores(), self.is_multi_label));
        let truth = truth.map(distinct);
        self.rows.push(Row {
            margin: first.margin(),
            is_same: labels[0] == labels[1],
            is_right: truth.map(|truth| labels.each_ref().map(|labels| *labels == truth)),
        });
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Returns the cost and quality of a cascade with this margin.
    pub fn at(&self, margin: Margin) -> MarginPoint {
        let count = |is_counted: &dyn Fn(&Row) -> bool| {
            self.rows.iter().filter(|row| is_counted(row)).count()
        };
        let again = count(&|row| !row.stands(margin));
        let differing = count(&|row| row.stands(margin) && !row.is_same);
        let labeled = count(&|row| row.is_right.is_some());
        let right = count(&|row| {
            row.is_right
                .is_some_and(|[first, second]| if row.stands(margin) { first } else { second })
        });
        MarginPoint {
            margin,
            share: again as f64 / self.rows().max(1) as f64,
            agreement: proportion(self.rows() - differing, self.rows()),
            accuracy: (labeled > 0).then(|| right as f64 / labeled as f64),
        }
    }

    /// Returns points of the curve at margins from 0 to 1.
    pub fn points(&self) -> Vec<MarginPoint> {
        let margins = Self::MARGINS.into_iter().filter_map(|margin| Margin::new(margin).ok());
        margins.map(|margin| self.at(margin)).collect()
    }

    /// Returns the point of the curve at the smallest margin, in hundredths, with which at least this fraction of the
    /// rows have the same labels as f32; `None` if there are no rows or no margin is large enough.
    ///
    /// The margin is chosen for these rows, so the agreement on other rows tends to be lower. See
    /// [`recommend_with_confidence`](Self::recommend_with_confidence).
    pub fn recommend(&self, agreement: f64) -> Option<MarginPoint> {
        self.smallest(|point| point.value >= agreement)
    }

    /// Returns the point of the curve at the smallest margin, in hundredths, for which the lower end of the agreement's
    /// interval is at least this fraction. With few rows, agreement on all of them proves little, and the result is
    /// `None`.
    pub fn recommend_with_confidence(&self, agreement: f64) -> Option<MarginPoint> {
        self.smallest(|point| point.low >= agreement)
    }

    /// Returns the point of the curve at the smallest margin, in hundredths, whose agreement is sufficient.
    fn smallest(&self, is_enough: impl Fn(Estimate) -> bool) -> Option<MarginPoint> {
        let rows = self.rows();
        let differing = self.rows.iter().filter(|row| !row.is_same && row.stands(Margin::ZERO));
        let mut margins: Vec<f32> = differing.map(|row| row.margin).collect();
        margins.sort_unstable_by(|a, b| b.total_cmp(a));
        let is_enough = |differing: usize| is_enough(proportion(rows - differing, rows));
        if rows == 0 || !is_enough(0) {
            return None;
        }
        // The more rows may differ, the smaller the margin.
        let most = (0..margins.len()).take_while(|&differing| is_enough(differing + 1)).count();
        let margin = match margins.get(most) {
            None => Margin::ZERO,
            Some(&largest) => hundredth_above(largest)?,
        };
        Some(self.at(margin))
    }
}

/// Returns the first hundredth above a margin; `None` if there is none.
fn hundredth_above(margin: f32) -> Option<Margin> {
    let first = (f64::from(margin) * 100.0).floor();
    let mut hundredths = [0.0, 1.0, 2.0].into_iter().map(|more| ((first + more) / 100.0) as f32);
    Margin::new(hundredths.find(|&next| next > margin)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SINGLE: ProblemType = ProblemType::SingleLabelClassification;
    const MULTI: ProblemType = ProblemType::MultiLabelClassification;

    fn prediction(logits: &[f32], kind: ProblemType) -> Prediction {
        let labels = (0..logits.len()).map(|id| format!("LABEL_{id}")).collect();
        Prediction::new(labels, logits.to_vec(), kind, None)
    }

    /// Returns the curve of rows with these margins in the first precision; rows differ in the label if `true`, and the
    /// second precision is right.
    fn curve(rows: impl IntoIterator<Item = (f32, bool)>) -> MarginCurve {
        let mut curve = MarginCurve::new(SINGLE).unwrap();
        for (margin, differs) in rows {
            let first = prediction(&[margin, 0.0], SINGLE);
            let second = prediction(&[if differs { -1.0 } else { 1.0 }, 0.0], SINGLE);
            curve.push(&first, &second, Some(&[usize::from(differs)]));
        }
        curve
    }

    fn margin(margin: f32) -> Margin {
        Margin::new(margin).unwrap()
    }

    #[test]
    fn rows_below_the_margin_count_as_f32() {
        let curve = curve([(0.1, true), (0.25, true), (0.5, false), (2.0, false)]);
        let shares = [
            (0.0, 0.0, 0.5),
            (0.1, 0.0, 0.5),
            (0.11, 0.25, 0.75),
            (0.3, 0.5, 1.0),
            (3.0, 1.0, 1.0),
        ];
        for (at, share, agreement) in shares {
            let point = curve.at(margin(at));
            assert_eq!((point.share, point.agreement.value), (share, agreement), "{at}");
            assert_eq!(point.accuracy, Some(agreement));
        }
        assert_eq!(curve.points().len(), 11);
        assert!(curve.points().is_sorted_by(|a, b| a.share <= b.share && a.margin < b.margin));
    }

    #[test]
    fn accuracy_counts_labeled_rows_only() {
        let mut curve = curve([(0.1, true)]);
        curve.push(&prediction(&[1.0, 0.0], SINGLE), &prediction(&[1.0, 0.0], SINGLE), None);
        assert_eq!(curve.at(Margin::ZERO).accuracy, Some(0.0));
        assert_eq!(curve.at(Margin::ZERO).agreement.value, 0.5);
        let mut unlabeled = MarginCurve::new(SINGLE).unwrap();
        assert_eq!(unlabeled.at(Margin::ZERO).accuracy, None);
        assert_eq!(unlabeled.recommend(0.9), None);
        unlabeled.push(&prediction(&[1.0, 0.0], SINGLE), &prediction(&[1.0, 0.0], SINGLE), None);
        assert_eq!(unlabeled.at(Margin::ZERO).accuracy, None);
    }

    #[test]
    fn decisions_of_multi_label_models_are_sets() {
        let mut curve = MarginCurve::new(MULTI).unwrap();
        let [first, second] = [[2.0, -0.1], [2.0, 0.3]].map(|logits| prediction(&logits, MULTI));
        curve.push(&first, &second, Some(&[1, 0, 1]));
        let [before, after] = [0.1, 0.2].map(|at| curve.at(margin(at)));
        assert_eq!((before.share, before.agreement.value, before.accuracy), (0.0, 0.0, Some(0.0)));
        assert_eq!((after.share, after.agreement.value, after.accuracy), (1.0, 1.0, Some(1.0)));
        assert!(MarginCurve::new(ProblemType::Regression).is_err());
    }

    #[test]
    fn recommends_the_smallest_margin_in_hundredths() {
        let differing = [0.051f32, 0.172, 0.30].map(|margin| (margin, true));
        let same = (0..997).map(|row| (row as f32 * 0.01, false));
        let curve = curve(differing.into_iter().chain(same));
        let at = |agreement| curve.recommend(agreement).unwrap();
        assert_eq!(at(1.0).margin, margin(0.31));
        assert_eq!(at(0.999).margin, margin(0.18));
        assert_eq!(at(0.999).agreement.value, 0.999);
        assert_eq!(at(0.998).margin, margin(0.06));
        assert_eq!(at(0.99).margin, Margin::ZERO);
        assert_eq!(curve.recommend(1.5), None);
        // A thousand rows cannot prove 99.9%, but 99.6% if no label differs.
        assert_eq!(curve.recommend_with_confidence(0.999), None);
        assert_eq!(curve.recommend_with_confidence(0.996).unwrap().margin, margin(0.31));
        assert_eq!(curve.recommend_with_confidence(0.9).unwrap().margin, Margin::ZERO);
    }

    #[test]
    fn recommended_margin_exceeds_that_of_the_row() {
        for (found, expected) in
            [(0.0, 0.01), (0.25, 0.26), (0.2499, 0.25), (0.29, 0.3), (1.0, 1.01)]
        {
            assert_eq!(hundredth_above(found), Some(margin(expected)), "{found}");
        }
        assert_eq!(hundredth_above(f32::INFINITY), None);
        // A text with a logit that is NaN is computed again with any margin.
        let curve = curve([(f32::NAN, true), (1.0, false)]);
        assert_eq!(curve.recommend(1.0).unwrap().margin, Margin::ZERO);
        assert_eq!(curve.at(Margin::ZERO).share, 0.5);
    }
}
