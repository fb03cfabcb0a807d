//! [`Calibration`]: how well confidences match accuracy.

/// Predictions grouped by confidence into bins of equal width: the data of a reliability diagram.
///
/// A single-label model contributes one prediction per row, with the probability of the predicted label; it is correct if
/// that label is true. A multi-label model contributes one prediction per row and label, with the label's probability; it
/// counts as correct if the label is true.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    sums: Vec<Sum>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sum {
    count: usize,
    right: usize,
    confidence: f64,
}

/// Predictions with a confidence in (`low`, `high`]. The first bin includes a confidence of 0.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Bin {
    /// Lower end, exclusive.
    pub low: f64,
    /// Upper end, inclusive.
    pub high: f64,
    /// Number of predictions.
    pub count: usize,
    /// Mean confidence; `None` if the bin is empty.
    pub confidence: Option<f64>,
    /// Fraction of correct predictions; `None` if the bin is empty.
    pub accuracy: Option<f64>,
}

impl Calibration {
    /// Creates empty bins. There must be at least one.
    pub(crate) fn new(bins: usize) -> Self {
        Self { sums: vec![Sum::default(); bins] }
    }

    pub(crate) fn push(&mut self, confidence: f32, is_right: bool) {
        let confidence = f64::from(confidence);
        let last = self.sums.len() - 1;
        // The cast saturates: a negative value becomes 0.
        let bin = ((confidence * self.sums.len() as f64).ceil() - 1.0) as usize;
        let sum = &mut self.sums[bin.min(last)];
        sum.count += 1;
        sum.right += usize::from(is_right);
        sum.confidence += confidence;
    }

    /// Returns the bins in ascending order, which together cover 0 to 1.
    pub fn bins(&self) -> Vec<Bin> {
        let edge = |bin: usize| bin as f64 / self.sums.len() as f64;
        let bin = |(at, &Sum { count, right, confidence }): (usize, &Sum)| {
            let mean = |sum: f64| (count > 0).then(|| sum / count as f64);
            let (low, high) = (edge(at), edge(at + 1));
            Bin { low, high, count, confidence: mean(confidence), accuracy: mean(right as f64) }
        };
        self.sums.iter().enumerate().map(bin).collect()
    }

    /// Returns the expected calibration error: the mean absolute difference between confidence and accuracy over the bins,
    /// weighted by their counts (Naeini et al. 2015; Guo et al. 2017, equation 3).
    pub fn expected_error(&self) -> f64 {
        let total: usize = self.sums.iter().map(|sum| sum.count).sum();
        let distance = |sum: &Sum| (sum.right as f64 - sum.confidence).abs();
        self.sums.iter().map(distance).sum::<f64>() / total.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_include_their_upper_end() {
        let mut calibration = Calibration::new(4);
        for confidence in [0.0, 0.25, 0.25 + f32::EPSILON, 0.5, 0.75, 1.0] {
            calibration.push(confidence, true);
        }
        let counts: Vec<usize> = calibration.bins().iter().map(|bin| bin.count).collect();
        assert_eq!(counts, [2, 2, 1, 1]);
    }

    #[test]
    fn expected_error_is_the_weighted_mean_difference() {
        let mut calibration = Calibration::new(2);
        for (confidence, is_right) in [(0.75, true), (1.0, false), (0.5, true)] {
            calibration.push(confidence, is_right);
        }
        let bins = calibration.bins();
        assert_eq!((bins[1].confidence, bins[1].accuracy), (Some(0.875), Some(0.5)));
        assert_eq!(calibration.expected_error(), (2.0 * 0.375 + 0.5) / 3.0);
        assert_eq!(Calibration::new(1).bins()[0].accuracy, None);
    }
}
