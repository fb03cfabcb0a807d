//! [`Calibration`]: whether the model is right as often as it says.

/// Rows by the confidence of their predictions, in bins of equal width: the reliability diagram.
///
/// For a single-label model, each row counts once, with the probability of the predicted label; it is right if
/// the label is true. For a multi-label model, each label of each row counts, with its probability; it is right
/// if the label is true.
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

/// The predictions with a confidence of more than `low`, and of `high` at most; the first bin has also those
/// of 0.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Bin {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// How many predictions there are.
    pub count: usize,
    /// Their mean confidence; none without predictions.
    pub confidence: Option<f64>,
    /// The share of them that are right; none without predictions.
    pub accuracy: Option<f64>,
}

impl Calibration {
    /// Without predictions, with at least one bin.
    pub(crate) fn new(bins: usize) -> Self {
        Self { sums: vec![Sum::default(); bins] }
    }

    pub(crate) fn push(&mut self, confidence: f32, is_right: bool) {
        let confidence = f64::from(confidence);
        let last = self.sums.len() - 1;
        // As casts go, what is below 0 is 0.
        let bin = ((confidence * self.sums.len() as f64).ceil() - 1.0) as usize;
        let sum = &mut self.sums[bin.min(last)];
        sum.count += 1;
        sum.right += usize::from(is_right);
        sum.confidence += confidence;
    }

    /// The bins, from 0 to 1.
    pub fn bins(&self) -> Vec<Bin> {
        let edge = |bin: usize| bin as f64 / self.sums.len() as f64;
        let bin = |(at, &Sum { count, right, confidence }): (usize, &Sum)| {
            let mean = |sum: f64| (count > 0).then(|| sum / count as f64);
            let (low, high) = (edge(at), edge(at + 1));
            Bin { low, high, count, confidence: mean(confidence), accuracy: mean(right as f64) }
        };
        self.sums.iter().enumerate().map(bin).collect()
    }

    /// The expected calibration error: the mean distance between confidence and accuracy over the bins,
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
    fn a_bin_has_its_upper_end() {
        let mut calibration = Calibration::new(4);
        for confidence in [0.0, 0.25, 0.25 + f32::EPSILON, 0.5, 0.75, 1.0] {
            calibration.push(confidence, true);
        }
        let counts: Vec<usize> = calibration.bins().iter().map(|bin| bin.count).collect();
        assert_eq!(counts, [2, 2, 1, 1]);
    }

    #[test]
    fn the_error_is_the_mean_distance() {
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
