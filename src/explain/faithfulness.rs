//! [`Classifier::faithfulness`]: whether relevances tell what the model goes by, in numbers.

use super::explanation::Explanation;
use super::perturb::{Order, relevances, trapezoids};
use super::variants::{Replacement, Variants};
use crate::classifier::Classifier;
use crate::error::{Error, Result};
use crate::prediction::Prediction;

/// Steps from none of the words to all.
const STEPS: usize = 10;

/// Percents of the words that comprehensiveness and sufficiency are means over.
const PERCENTS: [usize; 5] = [1, 5, 10, 20, 50];

/// How well relevances tell which words a prediction hangs on, in numbers of the type `T`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Faithfulness<T = f64> {
    /// The area under the target's score while the words come, the most relevant first, from none to
    /// all: the area under the activation curve (Ali et al. 2022). Higher is better.
    pub auac: T,
    /// The area under the target's score while the words go, the most relevant first. Lower is better.
    pub most_relevant_first: T,
    /// The area under the logits' squared distance from those of the whole text while the words go, those
    /// with relevance nearest to zero first (Ali et al. 2022). Lower is better.
    pub au_mse: T,
    /// By how much the target's score falls without the most relevant words, the mean for 1, 5, 10, 20
    /// and 50 % of them (DeYoung et al. 2020). Higher is better.
    pub comprehensiveness: T,
    /// By how much the target's score falls with them alone, the same mean. Lower is better.
    pub sufficiency: T,
}

impl<T> Faithfulness<T> {
    /// Makes each measure from the accessor of that measure.
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
    /// Measures how well values, one for each word of an explained text, tell which words its prediction
    /// hangs on: the explanation's own relevances if none are given.
    ///
    /// Curves have 10 steps of a tenth of the words, rounded up; areas are by trapezoids from 0 to 1. All
    /// variants of the text run as one packed batch.
    ///
    /// ```
    /// # #[cfg(feature = "text")] {
    /// use distilbert::Classifier;
    /// use distilbert::explain::{Explain, Replacement};
    ///
    /// let classifier = Classifier::builder("models/emotion").build()?;
    /// let text = "It was not bad at all, in fact I quite liked it.";
    /// let explanation = classifier.explain(text, &Explain::default().attention(true))?;
    /// let own = classifier.faithfulness(&explanation, None, Replacement::Pad)?;
    /// let rollout = explanation.by_word(&explanation.attention().unwrap().rollout())?;
    /// let rollout = classifier.faithfulness(&explanation, Some(&rollout), Replacement::Pad)?;
    /// assert!(own.auac > rollout.auac);
    /// # }
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`perturb`](Self::perturb).
    pub fn faithfulness(
        &self,
        explanation: &Explanation,
        relevances: Option<&[f32]>,
        replacement: Replacement,
    ) -> Result<Faithfulness> {
        let relevances = self::relevances(explanation, relevances)?;
        let mut found = self.faithfulness_of_each(explanation, &[relevances], replacement)?;
        found.pop().ok_or(Error::EmptyBatch)
    }

    /// Measures the [faithfulness](Self::faithfulness) of several rankings of one text's words, in their order.
    /// Each ranking is one value per word.
    ///
    /// Variants of the text that several rankings share are computed once, and all variants run as one packed
    /// batch.
    ///
    /// # Errors
    /// As for [`perturb`](Self::perturb).
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

/// The variants of a text that relevances are measured by, by their places among the predictions.
pub(super) struct Trial {
    whole: usize,
    coming: [usize; STEPS + 1],
    going: [usize; STEPS + 1],
    pruned: [usize; STEPS + 1],
    lost: [usize; PERCENTS.len()],
    alone: [usize; PERCENTS.len()],
}

impl Trial {
    /// For relevances of all words.
    pub fn new(relevances: &[f32], variants: &mut Variants<'_>) -> Self {
        let [most, least, smallest] =
            [Order::MostRelevantFirst, Order::LeastRelevantFirst, Order::SmallestFirst]
                .map(|order| order.of(relevances));
        let words = relevances.len();
        let tenths: [usize; STEPS + 1] = std::array::from_fn(|step| (step * words).div_ceil(STEPS));
        let parts = PERCENTS.map(|percent| (percent * words).div_ceil(100));
        // Words come, or are alone, where all others are gone.
        Self {
            whole: variants.without(&[]),
            coming: tenths.map(|count| variants.without(&least[..words - count])),
            going: tenths.map(|count| variants.without(&most[..count])),
            pruned: tenths.map(|count| variants.without(&smallest[..count])),
            lost: parts.map(|count| variants.without(&most[..count])),
            alone: parts.map(|count| variants.without(&least[..words - count])),
        }
    }

    /// What the predictions of the variants say of the relevances, for the label that they explain.
    pub fn outcome(&self, predictions: &[Prediction], label: usize) -> Faithfulness {
        let score = |row: usize| f64::from(predictions[row].scores()[label]);
        let area = |rows: [usize; STEPS + 1], value: &dyn Fn(usize) -> f64| {
            let points = rows.into_iter().enumerate();
            trapezoids(points.map(|(step, row)| (step as f64 / STEPS as f64, value(row))))
        };
        let whole = self.whole;
        let fall = |rows: [usize; PERCENTS.len()]| {
            rows.map(|row| score(whole) - score(row)).iter().sum::<f64>() / rows.len() as f64
        };
        let distance = |row: usize| {
            let pairs = predictions[row].logits().iter().zip(predictions[whole].logits());
            pairs.map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
        };
        Faithfulness {
            auac: area(self.coming, &score),
            most_relevant_first: area(self.going, &score),
            au_mse: area(self.pruned, &distance),
            comprehensiveness: fall(self.lost),
            sufficiency: fall(self.alone),
        }
    }
}
