//! [`Calibration`]: a random sample of the texts of a stream.

use crate::error::Result;
use crate::input::batch::TokenBatch;
use crate::input::tokenizer::Tokenizer;
use crate::random::SplitMix64;

/// Longest row, special tokens included. Longer texts are cut: they would add tokens, but hardly any other statistics.
const MOST_TOKENS: usize = 128;

/// Word pieces per word above which texts are probably not in the language of the vocabulary.
const MANY_PIECES: f64 = 2.0;

/// Share of unknown tokens above which texts are probably not in the language of the vocabulary.
const MANY_UNKNOWN: f64 = 0.05;

/// A random sample of a stream of texts; every text is equally likely to be included.
#[derive(Clone, Debug)]
pub struct Calibration {
    texts: Vec<String>,
    size: usize,
    seen: usize,
    random: SplitMix64,
}

impl Calibration {
    /// Starts a sample of `size` texts, with a seed.
    pub fn new(size: usize, seed: u64) -> Self {
        Self { texts: Vec::new(), size, seen: 0, random: SplitMix64::new(seed) }
    }

    /// Offers a text to the sample. Blank texts are skipped.
    pub fn push(&mut self, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        self.seen += 1;
        if self.texts.len() < self.size {
            self.texts.push(text.to_owned());
            return;
        }
        let place = self.random.below(self.seen);
        if let Some(old) = self.texts.get_mut(place) {
            text.clone_into(old);
        }
    }

    /// Returns the number of texts that were offered.
    pub fn seen(&self) -> usize {
        self.seen
    }

    /// Returns the texts of the sample.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Returns the sample as token ids, in random order. Long texts are cut to 128 tokens.
    ///
    /// # Errors
    /// [`InputError::Encode`](crate::InputError::Encode), and
    /// [`InputError::EmptyBatch`](crate::InputError::EmptyBatch) without texts.
    pub fn tokenize(&self, tokenizer: &Tokenizer) -> Result<TokenBatch> {
        let mut rows = Vec::with_capacity(self.texts.len());
        for text in &self.texts {
            let mut ids = tokenizer.encode(text)?.ids;
            ids.truncate(MOST_TOKENS.saturating_sub(tokenizer.special_tokens()));
            rows.push(tokenizer.with_special_tokens(&ids));
        }
        self.random.clone().shuffle(&mut rows);
        TokenBatch::from_rows(&rows)
    }

    /// Returns the reason to doubt that the texts are in the model's language, if there is one: words that fall into
    /// many pieces, or unknown tokens.
    ///
    /// # Errors
    /// [`InputError::Encode`](crate::InputError::Encode).
    pub fn doubt(&self, tokenizer: &Tokenizer) -> Result<Option<String>> {
        let unknown = tokenizer.id("[UNK]");
        let (mut pieces, mut words, mut unknowns) = (0, 0, 0);
        for text in &self.texts {
            let encoding = tokenizer.encode(text)?;
            pieces += encoding.ids.len();
            words += encoding.word_ids.chunk_by(|a, b| a == b).count();
            unknowns += encoding.ids.iter().filter(|&&id| Some(id) == unknown).count();
        }
        let per_word = pieces as f64 / words.max(1) as f64;
        let unknown = unknowns as f64 / pieces.max(1) as f64;
        let is_doubtful = per_word > MANY_PIECES || unknown > MANY_UNKNOWN;
        Ok(is_doubtful.then(|| {
            format!(
                "the calibration texts have {per_word:.1} word pieces per word and {:.1}% unknown tokens: \
                 they may not be in the model's language",
                100.0 * unknown
            )
        }))
    }
}
