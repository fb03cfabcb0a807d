//! [`compare_methods`]: compares methods of explanation by their faithfulness over many texts.

use std::fmt;

use distilbert::explain::{
    ExplainOptions, Explanation, Faithfulness, Method, Objective, Order, Replacement,
};
use distilbert::random::SplitMix64;
use distilbert::{Classifier, ExplainError, InputError};

use crate::bootstrap::{Bootstrap, Estimate};
use crate::error::{Error, Result};

/// What tells which words of a text matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ranking {
    /// The relevances of a method, for the predicted label.
    Method(Method),
    /// Attention [rollout](distilbert::explain::AttentionWeights::rollout).
    Rollout,
    /// Chance, which any method should be better than: the mean over
    /// [several orders](CompareMethods::random_orders) of a text.
    Random,
}

impl Ranking {
    /// The method's name, `rollout` or `random`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Method(method) => method.name(),
            Self::Rollout => "rollout",
            Self::Random => "random",
        }
    }

    fn method(self) -> Option<Method> {
        match self {
            Self::Method(method) => Some(method),
            Self::Rollout | Self::Random => None,
        }
    }
}

impl From<Method> for Ranking {
    fn from(method: Method) -> Self {
        Self::Method(method)
    }
}

impl fmt::Display for Ranking {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What to compare, and how.
///
/// ```
/// use distilbert::explain::{Method, Replacement};
/// use distilbert_evaluate::{CompareMethods, Ranking};
///
/// let options = CompareMethods::default()
///     .rankings([Method::Lrp.into(), Ranking::Rollout, Ranking::Random])
///     .replacement(Replacement::Delete)
///     .seed(7);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct CompareMethods {
    rankings: Vec<Ranking>,
    objective: Objective,
    replacement: Replacement,
    random_orders: usize,
    seed: u64,
    resamples: usize,
}

impl Default for CompareMethods {
    fn default() -> Self {
        let methods = [
            Method::Lrp,
            Method::GradientXInput,
            Method::AttnLrp,
            Method::IntegratedGradients { steps: 50 },
        ];
        let baselines = [Ranking::Rollout, Ranking::Random];
        Self {
            rankings: methods.map(Ranking::Method).into_iter().chain(baselines).collect(),
            objective: Objective::default(),
            replacement: Replacement::default(),
            random_orders: 10,
            seed: 0,
            resamples: 2000,
        }
    }
}

impl CompareMethods {
    /// What is compared; by default every [`Method`], integrated gradients with 50 steps, then
    /// [`Ranking::Rollout`] and [`Ranking::Random`].
    pub fn rankings(mut self, rankings: impl IntoIterator<Item = Ranking>) -> Self {
        self.rankings = rankings.into_iter().collect();
        self
    }

    /// Which of the predicted label's numbers the methods explain; by default its logit. Whatever it is, the
    /// score is what words are judged by.
    pub fn objective(mut self, objective: Objective) -> Self {
        self.objective = objective;
        self
    }

    /// What stands in for a word that is taken away; by default [`Replacement::Pad`].
    pub fn replacement(mut self, replacement: Replacement) -> Self {
        self.replacement = replacement;
        self
    }

    /// How many orders of each text [`Ranking::Random`] is the mean of; by default 10. One alone lets
    /// the seed move the mean AUAC of 500 texts by a hundredth.
    pub fn random_orders(mut self, random_orders: usize) -> Self {
        self.random_orders = random_orders;
        self
    }

    /// Seed of the random orders and of the bootstrap; by default 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How often texts are drawn again for the intervals; by default 2000 times.
    pub fn resamples(mut self, resamples: usize) -> Self {
        self.resamples = resamples;
        self
    }
}

/// How faithful methods are over many texts.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodComparison {
    options: CompareMethods,
    /// Of each text, of each ranking.
    found: Vec<Vec<Faithfulness>>,
    without_words: usize,
    of_one_word: usize,
    truncated: usize,
    bootstrap: Bootstrap,
}

impl MethodComparison {
    /// What was compared, in this order.
    pub fn rankings(&self) -> &[Ranking] {
        &self.options.rankings
    }

    /// What the methods explained.
    pub fn objective(&self) -> Objective {
        self.options.objective
    }

    /// How many orders of each text [`Ranking::Random`] is the mean of.
    pub fn random_orders(&self) -> usize {
        self.options.random_orders
    }

    /// What stood in for words that were taken away.
    pub fn replacement(&self) -> Replacement {
        self.options.replacement
    }

    /// Seed of the random orders and of the bootstrap.
    pub fn seed(&self) -> u64 {
        self.options.seed
    }

    /// How often texts were drawn again for the intervals.
    pub fn resamples(&self) -> usize {
        self.options.resamples
    }

    /// How many texts the means are over: all but those that were skipped.
    pub fn texts(&self) -> usize {
        self.found.len()
    }

    /// How many texts were skipped because they have no word.
    pub fn without_words(&self) -> usize {
        self.without_words
    }

    /// How many texts were skipped because they have one word alone, which every method ranks first.
    pub fn of_one_word(&self) -> usize {
        self.of_one_word
    }

    /// How many of the texts were longer than the model takes, and cut on the right.
    pub fn truncated(&self) -> usize {
        self.truncated
    }

    /// Texts measured and skipped.
    fn seen(&self) -> usize {
        self.texts() + self.without_words + self.of_one_word
    }

    /// The means over the texts, for each ranking.
    pub fn means(&self) -> Vec<(Ranking, Faithfulness<Estimate>)> {
        let mean = |place| self.mean(|text, measure| measure(&text[place]));
        self.rankings().iter().enumerate().map(|(place, &ranking)| (ranking, mean(place))).collect()
    }

    /// The mean of what a ranking has more than another on the same text: its interval is narrower than
    /// those of the two means tell, since what the texts have in common goes. None if one of them was
    /// not compared.
    pub fn difference(&self, of: Ranking, from: Ranking) -> Option<Faithfulness<Estimate>> {
        let place = |wanted| self.rankings().iter().position(|&ranking| ranking == wanted);
        let (of, from) = (place(of)?, place(from)?);
        Some(self.mean(|text, measure| measure(&text[of]) - measure(&text[from])))
    }

    /// The mean of each measure over the texts.
    fn mean(
        &self,
        value: impl Fn(&[Faithfulness], fn(&Faithfulness) -> f64) -> f64,
    ) -> Faithfulness<Estimate> {
        Faithfulness::by_measure(|measure| {
            let values: Vec<f64> = self.found.iter().map(|text| value(text, measure)).collect();
            self.bootstrap.mean(&values)
        })
    }
}

/// Compares methods of explanation with each other, with attention rollout and with chance: the mean
/// [faithfulness](Classifier::faithfulness) of their relevances for the predicted labels over many texts,
/// with bootstrap intervals.
///
/// Texts are taken one after the other, and five numbers per ranking are kept of each.
///
/// ```
/// use distilbert::Classifier;
/// use distilbert::explain::Method;
/// use distilbert_evaluate::{CompareMethods, Ranking, compare_methods};
///
/// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
/// let classifier = Classifier::builder("models/emotion").build()?;
/// let texts = ["I can't believe we won!", "It rained, and then I missed him.", "Ok"];
/// let options = CompareMethods::default().rankings([Method::Lrp.into(), Ranking::Random]);
/// let comparison = compare_methods(&classifier, texts, &options)?;
/// assert_eq!((comparison.texts(), comparison.of_one_word()), (2, 1));
/// for (ranking, means) in comparison.means() {
///     let auac = means.auac;
///     println!("{ranking}: {:.3} from {:.3} to {:.3}", auac.value, auac.low, auac.high);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::NoMethods`], [`Error::NoRandomOrders`] and [`Error::NoResamples`] for the options;
/// [`Error::NoRankedText`] if no text has two words; otherwise [`Error::Model`], as for
/// [`explain`](Classifier::explain) and [`faithfulness`](Classifier::faithfulness), with rows counted over all
/// texts.
pub fn compare_methods<T: AsRef<str>>(
    classifier: &Classifier,
    texts: impl IntoIterator<Item = T>,
    options: &CompareMethods,
) -> Result<MethodComparison> {
    if options.resamples == 0 {
        return Err(Error::NoResamples);
    }
    if options.rankings.is_empty() {
        return Err(Error::NoMethods);
    }
    if options.random_orders == 0 {
        return Err(Error::NoRandomOrders);
    }
    let mut random = SplitMix64::new(options.seed);
    let mut comparison = MethodComparison {
        options: options.clone(),
        found: Vec::new(),
        without_words: 0,
        of_one_word: 0,
        truncated: 0,
        bootstrap: Bootstrap { resamples: options.resamples, seed: random.next() },
    };
    for text in texts {
        let row = comparison.seen();
        let explanations = explain(classifier, text.as_ref(), options);
        let explanations = explanations.map_err(|error| in_row(error, row))?;
        let first = &explanations[0];
        match first.words().len() {
            0 => comparison.without_words += 1,
            1 => comparison.of_one_word += 1,
            _ => {
                comparison.truncated += usize::from(first.prediction().truncated());
                let found = try_rankings(classifier, &explanations, options, &mut random)?;
                comparison.found.push(found);
            }
        }
    }
    if comparison.found.is_empty() {
        return Err(Error::NoRankedText { texts: comparison.seen() });
    }
    Ok(comparison)
}

/// Explains a text by each method that is ranked, at least one. A text that leaves nothing to rank is explained
/// only once.
fn explain(
    classifier: &Classifier,
    text: &str,
    options: &CompareMethods,
) -> distilbert::Result<Vec<Explanation>> {
    let rankings = &options.rankings;
    let mut methods: Vec<Method> = rankings.iter().filter_map(|ranking| ranking.method()).collect();
    // Without any, the words and the attention probabilities are still needed.
    if methods.is_empty() {
        methods.push(Method::default());
    }
    let mut explanations: Vec<Explanation> = Vec::with_capacity(methods.len());
    for method in methods {
        let attention = explanations.is_empty() && rankings.contains(&Ranking::Rollout);
        let explain = ExplainOptions::default().method(method).objective(options.objective);
        explanations.push(classifier.explain(text, &explain.attention(attention))?);
        if explanations[0].words().len() < 2 {
            break;
        }
    }
    Ok(explanations)
}

/// Replaces the row of an error, which is of a text on its own, by the text's place among all.
fn in_row(mut error: distilbert::Error, place: usize) -> distilbert::Error {
    if let distilbert::Error::Input(InputError::TooManyTokens { row, .. })
    | distilbert::Error::Explain(ExplainError::ManyWindows { row, .. }) = &mut error
    {
        *row = place;
    }
    error
}

/// Measures how faithful each ranking is on one text.
fn try_rankings(
    classifier: &Classifier,
    explanations: &[Explanation],
    options: &CompareMethods,
    random: &mut SplitMix64,
) -> Result<Vec<Faithfulness>> {
    let text = &explanations[0];
    let mut own = explanations.iter().map(Explanation::word_relevances);
    let mut relevances: Vec<Vec<f32>> = Vec::new();
    let mut counts = Vec::new();
    for ranking in &options.rankings {
        let before = relevances.len();
        match ranking {
            Ranking::Method(_) => relevances.extend(own.next()),
            Ranking::Rollout => {
                let rollout = text.attention().map(|weights| text.by_word(&weights.rollout()));
                relevances.extend(rollout.transpose()?);
            }
            Ranking::Random => {
                let words = text.words().len();
                let order = |_| random_relevances(words, random.next());
                relevances.extend((0..options.random_orders).map(order));
            }
        }
        counts.push(relevances.len() - before);
    }
    let outcomes = classifier.faithfulness_of_each(text, &relevances, options.replacement)?;
    let mut outcomes = outcomes.as_slice();
    let mut mean = |count: usize| {
        let (own, rest) = outcomes.split_at(count);
        outcomes = rest;
        Faithfulness::by_measure(|measure| own.iter().map(measure).sum::<f64>() / count as f64)
    };
    Ok(counts.into_iter().map(&mut mean).collect())
}

/// Values that put words into a random order, whether by size or by distance from zero.
fn random_relevances(words: usize, seed: u64) -> Vec<f32> {
    let mut relevances = vec![0.0; words];
    let order = Order::Random { seed }.of(&relevances);
    for (place, word) in order.into_iter().enumerate() {
        relevances[word] = (words - place) as f32;
    }
    relevances
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_relevances_put_words_into_the_random_order() {
        let relevances = random_relevances(9, 4);
        let order = Order::Random { seed: 4 }.of(&relevances);
        assert_eq!(Order::MostRelevantFirst.of(&relevances), order);
        assert!(Order::SmallestFirst.of(&relevances).into_iter().eq(order.into_iter().rev()));
    }
}
