//! [`Classifier::perturb`]: predictions while words are removed one after another.

use std::fmt;
use std::str::FromStr;

use super::explanation::Explanation;
use super::variants::{Replacement, Variants};
use crate::classifier::Classifier;
use crate::error::{ExplainError, Result};
use crate::names::{ParseNameError, impl_serde_as_string, split_parameter};
use crate::random::SplitMix64;

/// Order in which words are removed.
///
/// `Display` and `FromStr` use the names `most-relevant-first`, `least-relevant-first`, `smallest-first` and
/// `random:SEED`; `random` alone has seed 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Order {
    /// Descending relevance: the score should fall early.
    #[default]
    MostRelevantFirst,
    /// Ascending relevance: the score should fall late.
    LeastRelevantFirst,
    /// Ascending absolute relevance: the logits should change late.
    SmallestFirst,
    /// Random order that depends only on the seed, as a baseline for the others.
    Random {
        /// Seed of the order.
        seed: u64,
    },
}

impl Order {
    /// Every order; the random one has seed 0.
    pub const ALL: &'static [Self] = &[
        Self::MostRelevantFirst,
        Self::LeastRelevantFirst,
        Self::SmallestFirst,
        Self::Random { seed: 0 },
    ];

    /// Returns the name without the seed, such as `most-relevant-first`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MostRelevantFirst => "most-relevant-first",
            Self::LeastRelevantFirst => "least-relevant-first",
            Self::SmallestFirst => "smallest-first",
            Self::Random { .. } => "random",
        }
    }

    /// Returns the words' indices in this order. Ties are in text order, except that
    /// [`LeastRelevantFirst`](Self::LeastRelevantFirst) is the exact reverse of
    /// [`MostRelevantFirst`](Self::MostRelevantFirst).
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

impl fmt::Display for Order {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random { seed } => write!(formatter, "random:{seed}"),
            _ => formatter.pad(self.name()),
        }
    }
}

impl FromStr for Order {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, ParseNameError> {
        let value = match split_parameter(text) {
            ("most-relevant-first", None) => Some(Self::MostRelevantFirst),
            ("least-relevant-first", None) => Some(Self::LeastRelevantFirst),
            ("smallest-first", None) => Some(Self::SmallestFirst),
            ("random", None) => Some(Self::Random { seed: 0 }),
            ("random", Some(seed)) => seed.parse().ok().map(|seed| Self::Random { seed }),
            _ => None,
        };
        let names = &[
            "most-relevant-first",
            "least-relevant-first",
            "smallest-first",
            "random",
            "random:SEED",
        ];
        value.ok_or_else(|| ParseNameError::new("order", text, names))
    }
}

impl_serde_as_string!(Order);

/// Options for [`Classifier::perturb`].
///
/// ```
/// use distilbert::explain::{Order, PerturbOptions, Replacement};
///
/// let options = PerturbOptions::default()
///     .order(Order::Random { seed: 7 })
///     .replacement(Replacement::Delete)
///     .steps(10);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[must_use]
pub struct PerturbOptions {
    order: Order,
    replacement: Replacement,
    steps: usize,
    relevances: Option<Vec<f32>>,
}

impl Default for PerturbOptions {
    fn default() -> Self {
        Self {
            order: Order::default(),
            replacement: Replacement::default(),
            steps: 20,
            relevances: None,
        }
    }
}

impl PerturbOptions {
    /// Sets the order in which words are removed; by default [`Order::MostRelevantFirst`].
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Sets the replacement for removed words; by default [`Replacement::Pad`].
    pub fn replacement(mut self, replacement: Replacement) -> Self {
        self.replacement = replacement;
        self
    }

    /// Sets the maximum number of steps from the whole text to none of its words; by default 20. A text with fewer
    /// words loses one word per step.
    pub fn steps(mut self, steps: usize) -> Self {
        self.steps = steps;
        self
    }

    /// Orders words by these values, one per word, instead of by the explanation's relevances.
    pub fn relevances(mut self, relevances: Vec<f32>) -> Self {
        self.relevances = Some(relevances);
        self
    }
}

/// Prediction after one step of [`Classifier::perturb`].
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Point {
    /// Number of removed words: the first ones of the [`order`](Curve::order).
    pub replaced: usize,
    /// Fraction of removed words, from 0 to 1.
    pub fraction: f64,
    /// Score of the explained label.
    pub score: f32,
    /// Logits of all labels.
    pub logits: Vec<f32>,
}

/// Predictions while words are removed, from [`Classifier::perturb`].
///
/// With the feature `serde`, a curve serializes as an object with the fields `ordered_by`, `replacement`, `area_under`,
/// `order` and `points`.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    pub(super) ordered_by: Order,
    pub(super) replacement: Replacement,
    pub(super) order: Vec<usize>,
    pub(super) points: Vec<Point>,
}

impl Curve {
    /// Returns the rule by which the words are ordered.
    pub fn ordered_by(&self) -> Order {
        self.ordered_by
    }

    /// Returns the replacement for removed words.
    pub fn replacement(&self) -> Replacement {
        self.replacement
    }

    /// Returns the words, as indices of [`Explanation::words`], in the order in which they are removed.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// Returns the prediction for the whole text, then after each step. After the last step, no words are left.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// Computes the area under the curve of score against fraction of words removed, using the trapezoidal rule. It
    /// equals the mean score.
    pub fn area_under(&self) -> f64 {
        match self.points.as_slice() {
            [only] => f64::from(only.score),
            points => trapezoids(points.iter().map(|p| (p.fraction, f64::from(p.score)))),
        }
    }

    /// Computes the area between the score of the whole text and the curve, which is the mean decrease in the score.
    pub fn area_over(&self) -> f64 {
        f64::from(self.points[0].score) - self.area_under()
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Curve {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(serde::Serialize)]
        #[serde(rename = "Curve")]
        struct View<'a> {
            ordered_by: Order,
            replacement: Replacement,
            area_under: f64,
            order: &'a [usize],
            points: &'a [Point],
        }
        let &Self { ordered_by, replacement, ref order, ref points } = self;
        let view = View { ordered_by, replacement, area_under: self.area_under(), order, points };
        view.serialize(serializer)
    }
}

/// Computes the area under points `(x, y)` with increasing `x`.
pub(super) fn trapezoids(points: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let pairs = points.clone().zip(points.skip(1));
    pairs.map(|((x0, y0), (x1, y1))| (x1 - x0) * (y0 + y1) / 2.0).sum()
}

/// Returns `given`, which must have one value per word, or else the explanation's relevances.
pub(super) fn relevances(explanation: &Explanation, given: Option<&[f32]>) -> Result<Vec<f32>> {
    let expected = explanation.words.len();
    match given {
        None => Ok(explanation.word_relevances()),
        Some(given) if given.len() == expected => Ok(given.to_vec()),
        Some(given) => Err(ExplainError::RelevanceCount { expected, found: given.len() }.into()),
    }
}

impl Classifier {
    /// Removes the words of an explained text step by step and records the score of the explained label.
    ///
    /// If the relevances are accurate, the score falls early when the most relevant words are removed first. All
    /// variants run as one packed batch. Any classifier with the explanation's labels can be used, in any precision.
    ///
    /// ```
    /// # #[cfg(feature = "text")] {
    /// use distilbert::Classifier;
    /// use distilbert::explain::{ExplainOptions, Order, PerturbOptions};
    ///
    /// let classifier = Classifier::builder("models/emotion").build()?;
    /// let explanation = classifier.explain("I can't believe we won!", &ExplainOptions::default())?;
    /// let most = classifier.perturb(&explanation, &PerturbOptions::default())?;
    /// let least = PerturbOptions::default().order(Order::LeastRelevantFirst);
    /// let least = classifier.perturb(&explanation, &least)?;
    /// assert!(most.area_under() < least.area_under());
    /// # }
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ExplainError::NoSteps`] for 0 steps; [`ExplainError::RelevanceCount`] if there is not one value per word;
    /// [`ExplainError::NoToken`] if the replacement is not in the vocabulary; [`ExplainError::OtherModel`] if the
    /// explanation is for a model with different labels; [`InputError::TokenId`](crate::InputError::TokenId) or
    /// [`InputError::TooManyTokens`](crate::InputError::TooManyTokens) if that model has a larger vocabulary or accepts
    /// longer texts than this one; on a GPU also [`Error::Device`](crate::Error::Device).
    pub fn perturb(&self, explanation: &Explanation, options: &PerturbOptions) -> Result<Curve> {
        let &PerturbOptions { order: ordered_by, replacement, steps, ref relevances } = options;
        if steps == 0 {
            return Err(ExplainError::NoSteps.into());
        }
        let order = ordered_by.of(&self::relevances(explanation, relevances.as_deref())?);
        let words = order.len();
        let steps = steps.min(words);
        let mut variants = Variants::new(self, explanation, replacement)?;
        // A text without words has a single point; `max` avoids a division by zero.
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
    fn orders_are_stable_and_depend_on_the_seed() {
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
    fn areas_are_means_over_the_fraction() {
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
