//! Proportions with confidence intervals.

use crate::bootstrap::Estimate;

/// Quantile of the normal distribution that leaves 2.5% above it.
const QUANTILE: f64 = 1.959_963_984_540_054;

/// Estimates a proportion from the number of hits among independent items: its 95% Wilson score interval (1927), which
/// holds where almost all items are hits. Without items, the proportion is 1 and its interval is 0 to 1.
pub(crate) fn proportion(hits: usize, items: usize) -> Estimate {
    if items == 0 {
        return Estimate { value: 1.0, low: 0.0, high: 1.0 };
    }
    let (count, value) = (items as f64, hits as f64 / items as f64);
    let square = QUANTILE * QUANTILE;
    let center = value + square / (2.0 * count);
    let half = QUANTILE * (value * (1.0 - value) / count + square / (4.0 * count * count)).sqrt();
    let [low, high] = [center - half, center + half].map(|end| end / (1.0 + square / count));
    // Rounding must not move an end past the value.
    Estimate { value, low: low.clamp(0.0, value), high: high.clamp(value, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ends of Wilson's interval are the proportions from which the observed one is just significantly different.
    #[test]
    fn ends_solve_the_score_equation() {
        for (hits, items) in [(0, 1), (1, 1), (3, 10), (10, 10), (9_990, 10_000), (77, 10_000_000)]
        {
            let found = proportion(hits, items);
            assert_eq!(found.value, hits as f64 / items as f64);
            for end in [found.low, found.high] {
                let error = QUANTILE * (end * (1.0 - end) / items as f64).sqrt();
                let distance = (found.value - end).abs();
                assert!(
                    (distance - error).abs() < 1e-9 * (1.0 + error),
                    "{hits} of {items}: {found:?}"
                );
            }
            assert!(
                found.low <= found.value && found.value <= found.high && found.low < found.high
            );
        }
        assert_eq!(proportion(0, 0), Estimate { value: 1.0, low: 0.0, high: 1.0 });
    }

    /// Sums the binomial distribution over the counts whose interval holds the true proportion.
    #[test]
    fn intervals_have_their_nominal_coverage() {
        for (truth, items) in [(0.999f64, 5000), (0.998, 5000), (0.99, 2000), (0.5, 300)] {
            let misses = |misses: usize| {
                let found = proportion(items - misses, items);
                found.low <= truth && truth <= found.high
            };
            // Probability of this number of misses, from that of one fewer.
            let mut probability = truth.powi(items as i32);
            let mut coverage = 0.0;
            for count in 0..=items {
                coverage += if misses(count) { probability } else { 0.0 };
                probability *= (items - count) as f64 / (count + 1) as f64 * (1.0 - truth) / truth;
            }
            assert!((0.93..0.98).contains(&coverage), "{truth}: {coverage}");
        }
    }
}
