//! [`Scores`]: precision, recall and F1 of a label or an average.

use std::fmt;
use std::str::FromStr;

use distilbert::ParseNameError;

/// Precision, recall and F1. A ratio whose denominator is 0 counts as 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Scores {
    /// Fraction of the rows predicted to have the label that have it.
    pub precision: f64,
    /// Fraction of the rows with the label that are predicted to have it.
    pub recall: f64,
    /// Harmonic mean of precision and recall.
    pub f1: f64,
}

impl Scores {
    /// Computes each of the three with a function of its accessor.
    pub(crate) fn by_figure(mut make: impl FnMut(fn(&Self) -> f64) -> f64) -> Self {
        Self {
            precision: make(|scores| scores.precision),
            recall: make(|scores| scores.recall),
            f1: make(|scores| scores.f1),
        }
    }

    /// Returns the mean of the scores, adding them as NumPy does.
    pub(crate) fn mean(of: &[Self]) -> Self {
        Self::by_figure(|figure| sum(&of.iter().map(figure).collect::<Vec<_>>()) / of.len() as f64)
    }

    /// Returns the weighted mean, which is 0 if all weights are 0.
    pub(crate) fn weighted_mean(of: &[Self], weights: &[usize]) -> Self {
        let total = weights.iter().sum::<usize>().max(1) as f64;
        let weighted = |figure: fn(&Self) -> f64| {
            let values =
                of.iter().zip(weights).map(|(scores, &weight)| figure(scores) * weight as f64);
            sum(&values.collect::<Vec<_>>()) / total
        };
        Self::by_figure(weighted)
    }
}

/// Way of averaging scores, named as in scikit-learn.
///
/// ```
/// use distilbert_evaluate::Average;
///
/// let error = "median".parse::<Average>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "unknown average `median`; expected one of micro, macro, weighted, samples",
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Average {
    /// Computed over all decisions at once; for a single-label model, the accuracy.
    Micro,
    /// Mean over the labels, including those that are true of no row.
    Macro,
    /// Mean over the labels, weighted by support.
    Weighted,
    /// Mean over the rows, for a multi-label model.
    Samples,
}

impl Average {
    /// Every average, in the order of the report's table.
    pub const ALL: &'static [Self] = &[Self::Micro, Self::Macro, Self::Weighted, Self::Samples];

    /// Returns the name that `Display` writes and `FromStr` parses, such as `macro`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Micro => "micro",
            Self::Macro => "macro",
            Self::Weighted => "weighted",
            Self::Samples => "samples",
        }
    }
}

impl fmt::Display for Average {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for Average {
    type Err = ParseNameError;

    fn from_str(name: &str) -> Result<Self, ParseNameError> {
        const NAMES: [&str; 4] = [
            Average::Micro.name(),
            Average::Macro.name(),
            Average::Weighted.name(),
            Average::Samples.name(),
        ];
        let average = Self::ALL.iter().copied().find(|average| average.name() == name);
        average.ok_or_else(|| ParseNameError::new("average", name, &NAMES))
    }
}

/// Sums in the order of NumPy's pairwise summation, so that means that end in a 5 round as scikit-learn's do.
fn sum(values: &[f64]) -> f64 {
    const LANES: usize = 8;
    match values.len() {
        0..LANES => values.iter().fold(0.0, |sum, value| sum + value),
        LANES..=128 => {
            let mut lanes = [0.0; LANES];
            let blocks = values.chunks_exact(LANES);
            let rest = blocks.remainder();
            for block in blocks {
                lanes.iter_mut().zip(block).for_each(|(lane, value)| *lane += value);
            }
            let [a, b, c, d, e, f, g, h] = lanes;
            rest.iter().fold(((a + b) + (c + d)) + ((e + f) + (g + h)), |sum, value| sum + value)
        }
        count => {
            let half = count / 2;
            let (left, right) = values.split_at(half - half % LANES);
            sum(left) + sum(right)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `numpy.sum(1 / numpy.arange(1, n + 1))` by NumPy 2.4.
    const HARMONIC: [(usize, f64); 12] = [
        (0, 0.0),
        (1, 1.0),
        (7, 2.5928571428571425),
        (8, 2.7178571428571425),
        (9, 2.8289682539682537),
        (15, 3.3182289932289937),
        (16, 3.3807289932289937),
        (128, 5.433147092589173),
        (129, 5.440899030573669),
        (136, 5.493542515771517),
        (300, 6.282663880299504),
        (1000, 7.485470860550345),
    ];

    #[test]
    fn names_parse_to_the_average_they_display() {
        for &average in Average::ALL {
            assert_eq!(average.to_string().parse(), Ok(average));
        }
        assert!("accuracy".parse::<Average>().is_err());
    }

    #[test]
    fn sums_match_numpy_bit_for_bit() {
        for (count, expected) in HARMONIC {
            let values: Vec<f64> = (1..=count).map(|number| 1.0 / number as f64).collect();
            assert_eq!(sum(&values), expected, "{count}");
        }
    }
}
