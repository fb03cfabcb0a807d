//! [`View`]: what a page shows, as plain data.

use std::ops::Range;

/// All that a page shows of one explanation.
pub(crate) struct View<'a> {
    pub text: &'a str,
    /// The label that is explained.
    pub target: &'a str,
    /// The label that it is explained against, if there is one.
    pub against: Option<&'a str>,
    /// The target's; a regression has none.
    pub probability: Option<f32>,
    /// The target's.
    pub logit: f32,
    /// What is explained, such as `logit` or `probability`, and its value, which relevances, ledger and
    /// what is unexplained sum to.
    pub objective: &'a str,
    pub value: f64,
    pub method: &'a str,
    /// Name and value of each setting.
    pub settings: Vec<(String, String)>,
    /// In the order of the text.
    pub words: Vec<Word>,
    /// All tokens, special ones included.
    pub tokens: Vec<Token<'a>>,
    pub curves: Option<Curves<'a>>,
    pub attention: Option<Attention<'a>>,
    /// What is not the tokens', by name. A share of 0 is not shown.
    pub ledger: Vec<(&'a str, f64)>,
    pub unexplained: f64,
}

/// A word with the relevance of its pieces.
pub(crate) struct Word {
    /// Where it stands in the text, in bytes.
    pub bytes: Range<usize>,
    pub relevance: f32,
}

/// A token with its relevance.
pub(crate) struct Token<'a> {
    /// As the vocabulary spells it.
    pub text: &'a str,
    pub relevance: f32,
    /// Whether it stands for no part of the text, such as `[CLS]`.
    pub special: bool,
}

/// How the target's probability falls while words are replaced.
pub(crate) struct Curves<'a> {
    /// What replaces the words, such as `[PAD]`.
    pub replacement: &'a str,
    /// How many words are gone at each step, from 0 on.
    pub gone: Vec<usize>,
    pub most_first: Curve,
    pub least_first: Curve,
    pub random: Option<Curve>,
    /// Figures that sum the lines up, by name.
    pub measures: Vec<(&'a str, f64)>,
}

/// The target's probability along one order of the words.
pub(crate) struct Curve {
    /// The words' indices in the order in which they go.
    pub order: Vec<usize>,
    /// One for each step.
    pub probabilities: Vec<f32>,
}

/// The weights of attention.
pub(crate) struct Attention<'a> {
    pub layers: usize,
    pub heads: usize,
    /// `[layers, heads, tokens, tokens]`, of the tokens of the view.
    pub weights: &'a [f32],
}

impl View<'_> {
    /// A word as it stands in the text.
    pub fn word(&self, index: usize) -> &str {
        self.words.get(index).map_or("", |word| self.slice(word.bytes.clone()))
    }

    pub fn slice(&self, bytes: Range<usize>) -> &str {
        self.text.get(bytes).unwrap_or("")
    }

    /// The relevance of a word whose shade and bar are full.
    pub fn largest(&self) -> f64 {
        let words = self.words.iter().map(|word| word.relevance);
        words
            .filter(|value| value.is_finite())
            .fold(0f32, |most, value| most.max(value.abs()))
            .into()
    }

    /// The sum of the words' relevances.
    pub fn words_total(&self) -> f64 {
        self.words.iter().map(|word| f64::from(word.relevance)).sum()
    }

    /// Tokens that stand for no part of the text.
    pub fn special(&self) -> impl Iterator<Item = &Token<'_>> {
        self.tokens.iter().filter(|token| token.special)
    }
}
