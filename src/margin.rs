//! [`Margin`]: the distance from another answer below which a cascade classifies a text again.

use std::fmt;

use crate::error::PrecisionError;
use crate::model::config::ProblemType;

/// Margin of a [cascade](crate::Precision::Cascade), in logits: a finite number of at least 0.
///
/// The cascade classifies a text again if [its margin](crate::Prediction::margin) in the first precision is smaller.
///
/// ```
/// use distilbert::{Margin, Precision};
///
/// let margin = Margin::new(0.4)?;
/// assert_eq!(margin.get(), 0.4);
/// assert_eq!("cascade:0.4".parse(), Ok(Precision::Cascade { margin }));
/// assert!(Margin::new(-1.0).is_err());
/// # Ok::<(), distilbert::PrecisionError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "f32", into = "f32"))]
pub struct Margin {
    /// Bits of a finite number of at least +0. Such numbers compare as their bits do.
    bits: u32,
}

impl Margin {
    /// Default margin, 0.25.
    pub const DEFAULT: Self = Self { bits: 0.25f32.to_bits() };

    /// Margin with which no text is classified again.
    pub const ZERO: Self = Self { bits: 0 };

    /// Creates a margin.
    ///
    /// # Errors
    /// [`PrecisionError::Margin`] if it is negative, infinite or NaN.
    pub fn new(margin: f32) -> Result<Self, PrecisionError> {
        if !margin.is_finite() || margin < 0.0 {
            return Err(PrecisionError::Margin { found: margin });
        }
        // Turns −0 into +0.
        Ok(Self { bits: margin.abs().to_bits() })
    }

    /// Returns the margin in logits.
    pub const fn get(self) -> f32 {
        f32::from_bits(self.bits)
    }

    /// Returns `true` if an answer at this distance from another one stands. An answer at distance NaN never stands.
    pub(crate) fn accepts(self, distance: f32) -> bool {
        distance >= self.get()
    }
}

impl Default for Margin {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Debug for Margin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Margin").field(&self.get()).finish()
    }
}

impl fmt::Display for Margin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.get(), formatter)
    }
}

impl TryFrom<f32> for Margin {
    type Error = PrecisionError;

    fn try_from(margin: f32) -> Result<Self, PrecisionError> {
        Self::new(margin)
    }
}

impl From<Margin> for f32 {
    fn from(margin: Margin) -> Self {
        margin.get()
    }
}

/// Returns the distance of logits from other labels: the difference of the two highest logits of a single-label model,
/// the smallest magnitude of a multi-label model's logits, and infinity for a regression, which has no labels. NaN if a
/// logit is NaN.
pub(crate) fn distance(logits: impl Iterator<Item = f32>, problem_type: ProblemType) -> f32 {
    let (mut first, mut second, mut least) = (f32::NEG_INFINITY, f32::NEG_INFINITY, f32::INFINITY);
    for logit in logits {
        if logit.is_nan() {
            return f32::NAN;
        }
        second = second.max(logit.min(first));
        first = first.max(logit);
        least = least.min(logit.abs());
    }
    match problem_type {
        ProblemType::Regression => f32::INFINITY,
        ProblemType::SingleLabelClassification => first - second,
        ProblemType::MultiLabelClassification => least,
    }
}

/// Returns the distance for scores that are averages: that of the logits that would have these scores.
pub(crate) fn distance_of_scores(scores: &[f32], problem_type: ProblemType) -> f32 {
    let scores = scores.iter().map(|&score| f64::from(score));
    match problem_type {
        ProblemType::Regression => f32::INFINITY,
        ProblemType::SingleLabelClassification => {
            distance(scores.map(|score| score.ln() as f32), problem_type)
        }
        ProblemType::MultiLabelClassification => {
            distance(scores.map(|score| (score / (1.0 - score)).ln() as f32), problem_type)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SINGLE: ProblemType = ProblemType::SingleLabelClassification;
    const MULTI: ProblemType = ProblemType::MultiLabelClassification;

    fn of(logits: &[f32], problem_type: ProblemType) -> f32 {
        distance(logits.iter().copied(), problem_type)
    }

    #[test]
    fn distance_is_that_of_the_closest_decision() {
        assert_eq!(of(&[1.0, 4.0, -9.0, 3.5], SINGLE), 0.5);
        assert_eq!(of(&[4.0, 3.5], SINGLE), 0.5);
        assert_eq!(of(&[2.0, 1.0, 2.0], SINGLE), 0.0);
        assert_eq!(of(&[1.0, 4.0, -0.25, 3.5], MULTI), 0.25);
        assert_eq!(of(&[-3.0], MULTI), 3.0);
        assert_eq!(of(&[1.0], ProblemType::Regression), f32::INFINITY);
    }

    #[test]
    fn no_margin_accepts_nan() {
        for problem_type in [SINGLE, MULTI] {
            for logits in [[f32::NAN, 1.0, 5.0], [5.0, 1.0, f32::NAN]] {
                let distance = of(&logits, problem_type);
                assert!(!Margin::new(0.0).unwrap().accepts(distance), "{logits:?}");
            }
        }
        assert!(!Margin::DEFAULT.accepts(of(&[f32::INFINITY; 2], SINGLE)));
        assert!(Margin::new(0.0).unwrap().accepts(0.0));
    }

    #[test]
    #[cfg(feature = "text")]
    fn distance_of_scores_is_that_of_their_logits() {
        let exponentials = [1.25f64, 1.0, -3.0].map(f64::exp);
        let sum: f64 = exponentials.iter().sum();
        let softmax = exponentials.map(|exponential| (exponential / sum) as f32);
        assert!((distance_of_scores(&softmax, SINGLE) - 0.25).abs() < 1e-5);
        let sigmoids = [-0.75f64, 2.0].map(|logit| (1.0 / (1.0 + (-logit).exp())) as f32);
        assert!((distance_of_scores(&sigmoids, MULTI) - 0.75).abs() < 1e-5);
        assert_eq!(distance_of_scores(&[1.0, 0.0], SINGLE), f32::INFINITY);
        assert_eq!(distance_of_scores(&[1.0, 0.0], MULTI), f32::INFINITY);
    }

    #[test]
    fn margins_are_finite_numbers_from_zero() {
        for margin in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -f32::MIN_POSITIVE] {
            assert!(matches!(Margin::new(margin), Err(PrecisionError::Margin { .. })), "{margin}");
        }
        assert_eq!(Margin::new(-0.0), Margin::new(0.0));
        assert_eq!(Margin::default().get(), 0.25);
        assert!(Margin::new(f32::MAX).unwrap() > Margin::DEFAULT);
        assert_eq!(format!("{:?} {}", Margin::DEFAULT, Margin::DEFAULT), "Margin(0.25) 0.25");
    }
}
