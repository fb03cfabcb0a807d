//! [`Classifier::faithfulness`]: whether relevances tell what the model goes by, in numbers.

use super::explanation::Explanation;
use super::perturb::{Order, relevances, trapezoids};
use super::variants::{Replacement, Variants};
use crate::classifier::Classifier;
use crate::error::Result;

/// Steps from none of the words to all.
const STEPS: usize = 10;

/// Percents of the words that comprehensiveness and sufficiency are means over.
const PERCENTS: [usize; 5] = [1, 5, 10, 20, 50];

/// How well relevances tell which words a prediction hangs on.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Faithfulness {
    /// The area under the target's score while the words come, the most relevant first, from none to
    /// all: the area under the activation curve (Ali et al. 2022). Higher is better.
    pub auac: f64,
    /// The area under the target's score while the words go, the most relevant first. Lower is better.
    pub most_relevant_first: f64,
    /// The area under the logits' squared distance from those of the whole text while the words go, those
    /// with relevance nearest to zero first (Ali et al. 2022). Lower is better.
    pub au_mse: f64,
    /// By how much the target's score falls without the most relevant words, the mean for 1, 5, 10, 20
    /// and 50 % of them (DeYoung et al. 2020). Higher is better.
    pub comprehensiveness: f64,
    /// By how much the target's score falls with them alone, the same mean. Lower is better.
    pub sufficiency: f64,
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
    /// let rollout = explanation.by_word(&explanation.attention().unwrap().rollout());
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
        let [most, least, smallest] =
            [Order::MostRelevantFirst, Order::LeastRelevantFirst, Order::SmallestFirst]
                .map(|order| order.of(&relevances));
        let words = relevances.len();
        let mut variants = Variants::new(self, explanation, replacement)?;
        let whole = variants.without(&[]);
        let tenth = |step: usize| (step * words).div_ceil(STEPS);
        // The first words of an order go, or come: then all others are gone.
        let coming: [usize; STEPS + 1] =
            std::array::from_fn(|step| variants.without(&least[..words - tenth(step)]));
        let [going, pruned] = [&most, &smallest].map(|order| {
            std::array::from_fn::<usize, { STEPS + 1 }, _>(|step| {
                variants.without(&order[..tenth(step)])
            })
        });
        let part = |percent: usize| (percent * words).div_ceil(100);
        let lost = PERCENTS.map(|percent| variants.without(&most[..part(percent)]));
        let alone = PERCENTS.map(|percent| variants.without(&least[..words - part(percent)]));

        let predictions = variants.predictions()?;
        let score = |row: usize| f64::from(predictions[row].scores()[explanation.goal.label]);
        let area = |rows: [usize; STEPS + 1], value: &dyn Fn(usize) -> f64| {
            let points = rows.into_iter().enumerate();
            trapezoids(points.map(|(step, row)| (step as f64 / STEPS as f64, value(row))))
        };
        let fall = |rows: [usize; PERCENTS.len()]| {
            rows.map(|row| score(whole) - score(row)).iter().sum::<f64>() / rows.len() as f64
        };
        let distance = |row: usize| {
            let pairs = predictions[row].logits().iter().zip(predictions[whole].logits());
            pairs.map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
        };
        Ok(Faithfulness {
            auac: area(coming, &score),
            most_relevant_first: area(going, &score),
            au_mse: area(pruned, &distance),
            comprehensiveness: fall(lost),
            sufficiency: fall(alone),
        })
    }
}
