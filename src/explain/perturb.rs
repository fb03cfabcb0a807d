//! [`Classifier::perturb`]: what the model says while word after word is taken away.

use super::explanation::Explanation;
use super::variants::{Replacement, Variants};
use crate::classifier::Classifier;
use crate::error::{Error, Result};
use crate::random::SplitMix64;

/// In which order words are taken away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Order {
    /// From the highest relevance down: the score should fall at once.
    #[default]
    MostRelevantFirst,
    /// From the lowest relevance up: the score should hold for long.
    LeastRelevantFirst,
    /// From the relevance nearest to zero on: the logits should hold for long.
    SmallestFirst,
    /// By chance, the same for the same seed: what the others are to be compared with.
    Random {
        /// Seed of the order.
        seed: u64,
    },
}

impl Order {
    /// What comes first, in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::MostRelevantFirst => "most relevant first",
            Self::LeastRelevantFirst => "least relevant first",
            Self::SmallestFirst => "smallest first",
            Self::Random { .. } => "random",
        }
    }

    /// Returns the words' indices in this order. Of words with equal relevances, the earlier one counts as more
    /// relevant.
    pub fn of(self, relevances: &[f32]) -> Vec<usize> {
        let mut words: Vec<usize> = (0..relevances.len()).collect();
        match self {
            Self::MostRelevantFirst => {
                words.sort_by(|&a, &b| relevances[b].total_cmp(&relevances[a]));
            }
            Self::LeastRelevantFirst => {
                words = Self::MostRelevantFirst.of(relevances);
                words.reverse();
            }
            Self::SmallestFirst => {
                words.sort_by(|&a, &b| relevances[a].abs().total_cmp(&relevances[b].abs()));
            }
            Self::Random { seed } => SplitMix64::new(seed).shuffle(&mut words),
        }
        words
    }
}

/// How words are taken away.
///
/// ```
/// use distilbert::explain::{Order, Perturb, Replacement};
///
/// let options = Perturb::default()
///     .order(Order::Random { seed: 7 })
///     .replacement(Replacement::Delete)
///     .steps(10);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Perturb {
    order: Order,
    replacement: Replacement,
    steps: usize,
    relevances: Option<Vec<f32>>,
}

impl Default for Perturb {
    fn default() -> Self {
        Self {
            order: Order::default(),
            replacement: Replacement::default(),
            steps: 20,
            relevances: None,
        }
    }
}

impl Perturb {
    /// The order; by default [`Order::MostRelevantFirst`].
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// What stands in for a word; by default [`Replacement::Pad`].
    pub fn replacement(mut self, replacement: Replacement) -> Self {
        self.replacement = replacement;
        self
    }

    /// The most steps from the whole text to none of its words; by default 20. A text of fewer words
    /// loses one at each step.
    pub fn steps(mut self, steps: usize) -> Self {
        self.steps = steps;
        self
    }

    /// Orders words by these values, one a word, instead of the explanation's relevances.
    pub fn relevances(mut self, relevances: Vec<f32>) -> Self {
        self.relevances = Some(relevances);
        self
    }
}

/// What the model says after a step.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Point {
    /// How many words are replaced: the first of the [`order`](Curve::order).
    pub replaced: usize,
    /// Their part of all words, from 0 to 1.
    pub fraction: f64,
    /// The score of the explanation's target.
    pub score: f32,
    /// All logits.
    pub logits: Vec<f32>,
}

/// What the model says while words are taken away.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    pub(super) ordered_by: Order,
    pub(super) replacement: Replacement,
    pub(super) order: Vec<usize>,
    pub(super) points: Vec<Point>,
}

impl Curve {
    /// What the words are ordered by.
    pub fn ordered_by(&self) -> Order {
        self.ordered_by
    }

    /// What stands in for them.
    pub fn replacement(&self) -> Replacement {
        self.replacement
    }

    /// The words, as indices of [`Explanation::words`], in the order in which they go.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// The whole text first, and after each step; at last no word is left.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// The area under the score, by trapezoids over the fraction replaced: its mean on the way.
    pub fn area_under(&self) -> f64 {
        match self.points.as_slice() {
            [only] => f64::from(only.score),
            points => trapezoids(points.iter().map(|p| (p.fraction, f64::from(p.score)))),
        }
    }

    /// The area between the score and that of the whole text: by how much it is lower on the way.
    pub fn area_over(&self) -> f64 {
        f64::from(self.points[0].score) - self.area_under()
    }
}

/// The area under points in rising order.
pub(super) fn trapezoids(points: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let pairs = points.clone().zip(points.skip(1));
    pairs.map(|((x0, y0), (x1, y1))| (x1 - x0) * (y0 + y1) / 2.0).sum()
}

/// The values to order words by, checked.
pub(super) fn relevances(explanation: &Explanation, given: Option<&[f32]>) -> Result<Vec<f32>> {
    let expected = explanation.words.len();
    match given {
        None => Ok(explanation.word_relevances()),
        Some(given) if given.len() == expected => Ok(given.to_vec()),
        Some(given) => Err(Error::RelevanceCount { expected, found: given.len() }),
    }
}

impl Classifier {
    /// Takes the words of an explained text away, one after the other, and says how the score of its
    /// target goes. If the relevances are right, it falls at once when the most relevant words go first.
    ///
    /// The variants run as one packed batch. Any classifier with the explanation's labels can be asked,
    /// whatever its precision.
    ///
    /// ```
    /// # #[cfg(feature = "text")] {
    /// use distilbert::Classifier;
    /// use distilbert::explain::{Explain, Order, Perturb};
    ///
    /// let classifier = Classifier::builder("models/emotion").build()?;
    /// let explanation = classifier.explain("I can't believe we won!", &Explain::default())?;
    /// let most = classifier.perturb(&explanation, &Perturb::default())?;
    /// let least = Perturb::default().order(Order::LeastRelevantFirst);
    /// let least = classifier.perturb(&explanation, &least)?;
    /// assert!(most.area_under() < least.area_under());
    /// # }
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NoSteps`]; [`Error::RelevanceCount`] for values that are not one a word;
    /// [`Error::NoToken`] for a replacement that is not in the vocabulary; [`Error::OtherModel`] for an
    /// explanation with other labels.
    pub fn perturb(&self, explanation: &Explanation, options: &Perturb) -> Result<Curve> {
        let &Perturb { order: ordered_by, replacement, steps, ref relevances } = options;
        if steps == 0 {
            return Err(Error::NoSteps);
        }
        let order = ordered_by.of(&self::relevances(explanation, relevances.as_deref())?);
        let words = order.len();
        let steps = steps.min(words);
        let mut variants = Variants::new(self, explanation, replacement)?;
        // A text without words has one point.
        let count = |step: usize| (step * words).div_ceil(steps.max(1));
        let counts: Vec<usize> = (0..=steps).map(count).collect();
        let rows: Vec<usize> =
            counts.iter().map(|&count| variants.without(&order[..count])).collect();
        let predictions = variants.predictions()?;
        let point = |(&replaced, row): (&usize, usize)| Point {
            replaced,
            fraction: replaced as f64 / words.max(1) as f64,
            score: predictions[row].scores()[explanation.goal.label],
            logits: predictions[row].logits().to_vec(),
        };
        let points = counts.iter().zip(rows).map(point).collect();
        Ok(Curve { ordered_by, replacement, order, points })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_stable_and_seeds_decide() {
        let relevances = [0.5, -2.0, 0.5, 1.0, -0.1];
        assert_eq!(Order::MostRelevantFirst.of(&relevances), [3, 0, 2, 4, 1]);
        assert_eq!(Order::LeastRelevantFirst.of(&relevances), [1, 4, 2, 0, 3]);
        assert_eq!(Order::SmallestFirst.of(&relevances), [4, 0, 2, 3, 1]);
        let values = [0.0; 50];
        let random = |seed| Order::Random { seed }.of(&values);
        assert_eq!(random(1), random(1));
        assert_ne!(random(1), random(2));
        let mut sorted = random(1);
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..50));
    }

    #[test]
    fn areas_are_means_over_the_way() {
        let point = |replaced, fraction, score| Point { replaced, fraction, score, logits: vec![] };
        let curve = |points| Curve {
            ordered_by: Order::default(),
            replacement: Replacement::default(),
            order: vec![0, 1, 2, 3],
            points,
        };
        let falling = [point(0, 0.0, 1.0), point(3, 0.75, 0.2), point(4, 1.0, 0.0)];
        let falling = curve(falling.to_vec());
        assert!((falling.area_under() - (0.75 * 0.6 + 0.25 * 0.1)).abs() < 1e-7);
        assert!((falling.area_over() - (1.0 - falling.area_under())).abs() < 1e-7);
        let curve = curve(vec![point(0, 0.0, 0.7)]);
        assert!((curve.area_under() - 0.7).abs() < 1e-7 && curve.area_over().abs() < 1e-7);
    }
}
