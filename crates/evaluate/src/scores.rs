//! [`Scores`]: precision, recall and F1, of a label and averaged.

/// Precision, recall and F1. A quotient whose divisor is 0 is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Scores {
    /// Of the rows where the label is predicted, the share where it is true.
    pub precision: f64,
    /// Of the rows where the label is true, the share where it is predicted.
    pub recall: f64,
    /// The harmonic mean of both.
    pub f1: f64,
}

impl Scores {
    /// Of each of the three, what a function makes of their values.
    pub(crate) fn by_figure(mut make: impl FnMut(fn(&Self) -> f64) -> f64) -> Self {
        Self {
            precision: make(|scores| scores.precision),
            recall: make(|scores| scores.recall),
            f1: make(|scores| scores.f1),
        }
    }

    pub(crate) fn mean(of: &[Self]) -> Self {
        Self::by_figure(|figure| sum(&of.iter().map(figure).collect::<Vec<_>>()) / of.len() as f64)
    }

    /// Weights sum to more than 0, or all scores are 0.
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

/// How scores are averaged, in scikit-learn's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Average {
    /// Of all decisions at once: for a single-label model, the accuracy.
    Micro,
    /// The mean over the labels, those without a row included.
    Macro,
    /// The mean over the labels, weighted by how often each is true.
    Weighted,
    /// The mean over the rows, for a multi-label model.
    Samples,
}

impl Average {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 4] = [Self::Micro, Self::Macro, Self::Weighted, Self::Samples];

    /// Its name, such as `macro`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Micro => "micro",
            Self::Macro => "macro",
            Self::Weighted => "weighted",
            Self::Samples => "samples",
        }
    }
}

/// Adds in NumPy's order (its pairwise sum), so that means that end in a 5 are rounded as scikit-learn's are.
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
    fn sums_are_numpys_to_the_last_bit() {
        for (count, expected) in HARMONIC {
            let values: Vec<f64> = (1..=count).map(|number| 1.0 / number as f64).collect();
            assert_eq!(sum(&values), expected, "{count}");
        }
    }
}
