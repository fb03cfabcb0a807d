//! [`compare_methods`]: compares explanation methods by their faithfulness over many texts.

use distilbert::explain::{
    ExplainOptions, Explanation, Faithfulness, Method, Objective, Order, Replacement,
};
use distilbert::random::SplitMix64;
use distilbert::{Classifier, ExplainError, InputError};

use crate::bootstrap::{Bootstrap, Estimate, check_resamples};
use crate::comparison_options::ComparisonOptions;
use crate::error::{Error, Result};
use crate::ranking::Ranking;

/// Maximum number of random orders of a text, whose relevances are kept and computed together.
const MOST_ORDERS: usize = 10_000;

/// Faithfulness of explanation methods over many texts.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodComparison {
    options: ComparisonOptions,
    /// Measures of each ranking on each text.
    found: Vec<Vec<Faithfulness>>,
    without_words: usize,
    of_one_word: usize,
    truncated: usize,
    bootstrap: Bootstrap,
}

impl MethodComparison {
    /// Returns the rankings, in the order of the options.
    pub fn rankings(&self) -> &[Ranking] {
        &self.options.rankings
    }

    /// Returns the quantity that the methods explained.
    pub fn objective(&self) -> Objective {
        self.options.objective
    }

    /// Returns the number of random orders of each text that [`Ranking::Random`] averages.
    pub fn random_orders(&self) -> usize {
        self.options.random_orders
    }

    /// Returns the replacement for removed words.
    pub fn replacement(&self) -> Replacement {
        self.options.replacement
    }

    /// Returns the seed of the random orders and of the bootstrap.
    pub fn seed(&self) -> u64 {
        self.options.seed
    }

    /// Returns the number of bootstrap resamples behind the intervals.
    pub fn resamples(&self) -> usize {
        self.options.resamples
    }

    /// Returns the number of texts that were measured, not counting those that were skipped.
    pub fn texts(&self) -> usize {
        self.found.len()
    }

    /// Returns the number of texts that were skipped because they have no words.
    pub fn without_words(&self) -> usize {
        self.without_words
    }

    /// Returns the number of texts that were skipped because they have only one word, which leaves nothing to rank.
    pub fn of_one_word(&self) -> usize {
        self.of_one_word
    }

    /// Returns the number of measured texts that were truncated because they exceed the maximum length of the model.
    pub fn truncated(&self) -> usize {
        self.truncated
    }

    /// Returns the number of texts that were measured or skipped.
    fn seen(&self) -> usize {
        self.texts() + self.without_words + self.of_one_word
    }

    /// Returns each ranking with its mean measures over the texts.
    pub fn means(&self) -> Vec<(Ranking, Faithfulness<Estimate>)> {
        let mean = |place| self.mean(|text, measure| measure(&text[place]));
        self.rankings().iter().enumerate().map(|(place, &ranking)| (ranking, mean(place))).collect()
    }

    /// Returns the mean difference between two rankings on the same text, `of` minus `from`; `None` if either of them
    /// was not compared.
    ///
    /// Pairing removes the variation between texts, so the interval is narrower than those of the two means suggest.
    pub fn difference(&self, of: Ranking, from: Ranking) -> Option<Faithfulness<Estimate>> {
        let place = |wanted| self.rankings().iter().position(|&ranking| ranking == wanted);
        let (of, from) = (place(of)?, place(from)?);
        Some(self.mean(|text, measure| measure(&text[of]) - measure(&text[from])))
    }

    /// Estimates the mean of each measure over the texts.
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

/// Compares explanation methods with each other, with attention rollout and with a random order: their mean
/// [faithfulness](Classifier::faithfulness) for the predicted labels over many texts, with bootstrap intervals.
///
/// Texts are processed one at a time; five numbers per text and ranking stay in memory.
///
/// ```
/// use distilbert::Classifier;
/// use distilbert::explain::Method;
/// use distilbert_evaluate::{ComparisonOptions, Ranking, compare_methods};
///
/// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
/// let classifier = Classifier::builder("models/emotion").build()?;
/// let texts = ["I can't believe we won!", "It rained, and then I missed him.", "Ok"];
/// let options = ComparisonOptions::default().rankings([Method::Lrp.into(), Ranking::Random]);
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
/// [`Error::NoMethods`], [`Error::NoRandomOrders`], [`Error::NoResamples`] and [`Error::TooMany`] for invalid options;
/// [`Error::NoRankedText`] if no text has two or more words; otherwise [`Error::Model`], for the same reasons as
/// [`explain`](Classifier::explain) and [`faithfulness`](Classifier::faithfulness). If a text cannot be explained
/// because it is too long, the error's row is the index of the text; the rows of other errors are not.
pub fn compare_methods<T: AsRef<str>>(
    classifier: &Classifier,
    texts: impl IntoIterator<Item = T>,
    options: &ComparisonOptions,
) -> Result<MethodComparison> {
    check_resamples(options.resamples)?;
    if options.rankings.is_empty() {
        return Err(Error::NoMethods);
    }
    if options.random_orders == 0 {
        return Err(Error::NoRandomOrders);
    }
    if options.random_orders > MOST_ORDERS {
        let found = options.random_orders;
        return Err(Error::TooMany { what: "random orders", found, limit: MOST_ORDERS });
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
                let found = measure_rankings(classifier, &explanations, options, &mut random)?;
                comparison.found.push(found);
            }
        }
    }
    if comparison.found.is_empty() {
        return Err(Error::NoRankedText { texts: comparison.seen() });
    }
    Ok(comparison)
}

/// Explains a text with each method among the rankings, and at least once. A text with fewer than two words is
/// explained only once.
fn explain(
    classifier: &Classifier,
    text: &str,
    options: &ComparisonOptions,
) -> distilbert::Result<Vec<Explanation>> {
    let rankings = &options.rankings;
    let mut methods: Vec<Method> = rankings.iter().filter_map(|ranking| ranking.method()).collect();
    // The words and the attention probabilities are needed even if no method is ranked.
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

/// Sets the row of an error to the index of the text, which was explained on its own.
fn in_row(mut error: distilbert::Error, place: usize) -> distilbert::Error {
    if let distilbert::Error::Input(
        InputError::TooManyTokens { row, .. } | InputError::TextTooLong { row, .. },
    )
    | distilbert::Error::Explain(ExplainError::ManyWindows { row, .. }) = &mut error
    {
        *row = place;
    }
    error
}

/// Measures the faithfulness of each ranking on one text.
fn measure_rankings(
    classifier: &Classifier,
    explanations: &[Explanation],
    options: &ComparisonOptions,
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

/// Returns relevances that sort the words into a random order, by value as well as by magnitude.
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
    fn random_relevances_sort_words_into_a_random_order() {
        let relevances = random_relevances(9, 4);
        let order = Order::Random { seed: 4 }.of(&relevances);
        assert_eq!(Order::MostRelevantFirst.of(&relevances), order);
        assert!(Order::SmallestFirst.of(&relevances).into_iter().eq(order.into_iter().rev()));
    }
}
