//! [`Classifier::faithfulness`]: measures of how well relevances predict the effect of removing words.

use super::explanation::Explanation;
use super::perturb::{Order, relevances, trapezoids};
use super::variants::{Replacement, Variants};
use crate::classifier::Classifier;
use crate::error::{InputError, Result};
use crate::prediction::Prediction;

/// Number of steps from none of the words to all of them.
const STEPS: usize = 10;

/// Percentages of the words over which comprehensiveness and sufficiency are averaged.
const PERCENTS: [usize; 5] = [1, 5, 10, 20, 50];

/// Measures of how well relevances identify the words that a prediction depends on. Each has the type `T`: a number or,
/// for example, an estimate with an interval.
///
/// "Removed" words are replaced by a [`Replacement`]. The ranges given apply to classification models, whose
/// scores are probabilities; a regression model's scores have no bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Faithfulness<T = f64> {
    /// Area under the target's score while words are added to a text without words, the most relevant first: the area
    /// under the activation curve (Ali et al. 2022, arXiv 2202.07304). From 0 to 1; higher is better.
    pub auac: T,
    /// Area under the target's score while words are removed, the most relevant first. From 0 to 1; lower is better.
    pub most_relevant_first: T,
    /// Area under the squared distance of the logits from those of the whole text while words are removed, those with
    /// the relevance nearest to zero first (Ali et al. 2022). Despite the name, the squared differences are summed over
    /// the labels, not averaged. At least 0; lower is better.
    pub au_mse: T,
    /// Decrease in the target's score if the most relevant words are removed, averaged over 1, 5, 10, 20 and 50% of
    /// the words (DeYoung et al. 2020, arXiv 1911.03429). From −1 to 1; higher is better.
    pub comprehensiveness: T,
    /// Decrease in the target's score if all other words are removed, averaged over the same percentages. From −1 to 1;
    /// lower is better.
    pub sufficiency: T,
}

impl<T> Faithfulness<T> {
    /// Calls `make` with the accessor of each measure and collects the results.
    pub fn by_measure(mut make: impl FnMut(fn(&Faithfulness) -> f64) -> T) -> Self {
        Self {
            auac: make(|found| found.auac),
            most_relevant_first: make(|found| found.most_relevant_first),
            au_mse: make(|found| found.au_mse),
            comprehensiveness: make(|found| found.comprehensiveness),
            sufficiency: make(|found| found.sufficiency),
        }
    }
}

impl Classifier {
    /// Measures how well values, one per word of an explained text, identify the words that its prediction depends on.
    /// Without values, the explanation's own relevances are measured.
    ///
    /// Curves have 10 steps of a tenth of the words, rounded up; areas are computed by the trapezoidal rule over the
    /// fraction of words, from 0 to 1. All variants of the text run as one packed batch.
    ///
    /// ```
    /// # #[cfg(feature = "text")] {
    /// use distilbert::Classifier;
    /// use distilbert::explain::{ExplainOptions, Replacement};
    ///
    /// let classifier = Classifier::builder("models/emotion").build()?;
    /// let text = "It was not bad at all, in fact I quite liked it.";
    /// let explanation = classifier.explain(text, &ExplainOptions::default().attention(true))?;
    /// let own = classifier.faithfulness(&explanation, None, Replacement::Pad)?;
    /// let rollout = explanation.by_word(&explanation.attention().unwrap().rollout())?;
    /// let rollout = classifier.faithfulness(&explanation, Some(&rollout), Replacement::Pad)?;
    /// assert!(own.auac > rollout.auac);
    /// # }
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    ///
    /// # Errors
    /// Fails like [`perturb`](Self::perturb).
    pub fn faithfulness(
        &self,
        explanation: &Explanation,
        relevances: Option<&[f32]>,
        replacement: Replacement,
    ) -> Result<Faithfulness> {
        let relevances = self::relevances(explanation, relevances)?;
        let mut found = self.faithfulness_of_each(explanation, &[relevances], replacement)?;
        found.pop().ok_or_else(|| InputError::EmptyBatch.into())
    }

    /// Measures the [faithfulness](Self::faithfulness) of several rankings of one text's words, in their order. Each
    /// ranking is one value per word.
    ///
    /// Variants of the text that several rankings share are computed once, and all variants run as one packed batch.
    ///
    /// # Errors
    /// [`InputError::EmptyBatch`] if there are no rankings; otherwise fails like [`perturb`](Self::perturb).
    pub fn faithfulness_of_each<R: AsRef<[f32]>>(
        &self,
        explanation: &Explanation,
        rankings: &[R],
        replacement: Replacement,
    ) -> Result<Vec<Faithfulness>> {
        let mut variants = Variants::new(self, explanation, replacement)?;
        let mut trials = Vec::with_capacity(rankings.len());
        for ranking in rankings {
            let relevances = self::relevances(explanation, Some(ranking.as_ref()))?;
            trials.push(Trial::new(&relevances, &mut variants));
        }
        let predictions = variants.predictions()?;
        let outcome = |trial: &Trial| trial.outcome(&predictions, explanation.goal.label);
        Ok(trials.iter().map(outcome).collect())
    }
}

/// Variants of a text that measure one ranking, as indices of their predictions.
pub(super) struct Trial {
    whole: usize,
    /// Words added, the most relevant first.
    added: [usize; STEPS + 1],
    /// Words removed, the most relevant first.
    removed: [usize; STEPS + 1],
    /// Words removed, those with the relevance nearest to zero first.
    pruned: [usize; STEPS + 1],
    /// Text without the most relevant words.
    without_top: [usize; PERCENTS.len()],
    /// Only the most relevant words.
    only_top: [usize; PERCENTS.len()],
}

impl Trial {
    /// Adds the variants for one relevance per word.
    pub fn new(relevances: &[f32], variants: &mut Variants<'_>) -> Self {
        let [most, least, smallest] =
            [Order::MostRelevantFirst, Order::LeastRelevantFirst, Order::SmallestFirst]
                .map(|order| order.of(relevances));
        let words = relevances.len();
        let tenths: [usize; STEPS + 1] = std::array::from_fn(|step| (step * words).div_ceil(STEPS));
        let parts = PERCENTS.map(|percent| (percent * words).div_ceil(100));
        // Adding the most relevant words means removing fewer and fewer of the least relevant ones.
        Self {
            whole: variants.without(&[]),
            added: tenths.map(|count| variants.without(&least[..words - count])),
            removed: tenths.map(|count| variants.without(&most[..count])),
            pruned: tenths.map(|count| variants.without(&smallest[..count])),
            without_top: parts.map(|count| variants.without(&most[..count])),
            only_top: parts.map(|count| variants.without(&least[..words - count])),
        }
    }

    /// Computes the measures from the predictions of all variants, for the explained label.
    pub fn outcome(&self, predictions: &[Prediction], label: usize) -> Faithfulness {
        let score = |row: usize| f64::from(predictions[row].scores()[label]);
        let area = |rows: [usize; STEPS + 1], value: &dyn Fn(usize) -> f64| {
            let points = rows.into_iter().enumerate();
            trapezoids(points.map(|(step, row)| (step as f64 / STEPS as f64, value(row))))
        };
        let whole = self.whole;
        let decrease = |rows: [usize; PERCENTS.len()]| {
            rows.map(|row| score(whole) - score(row)).iter().sum::<f64>() / rows.len() as f64
        };
        let distance = |row: usize| {
            let pairs = predictions[row].logits().iter().zip(predictions[whole].logits());
            pairs.map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
        };
        Faithfulness {
            auac: area(self.added, &score),
            most_relevant_first: area(self.removed, &score),
            au_mse: area(self.pruned, &distance),
            comprehensiveness: decrease(self.without_top),
            sufficiency: decrease(self.only_top),
        }
    }
}
