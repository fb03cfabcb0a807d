//! Why a text got its prediction: what each word contributes, and a test of it.
//!
//! [`Classifier::explain`] shares out what is explained, by default the predicted label's logit, among the
//! tokens of a text, by a backward pass through the model. Tokens' relevances are read at the output of the
//! embeddings' layer normalisation and summed to words. A [`Ledger`] says what the rest of the logit is, so
//! that the books balance.
//!
//! ```
//! # #[cfg(feature = "text")] {
//! use distilbert::Classifier;
//! use distilbert::explain::Explain;
//!
//! let classifier = Classifier::builder("models/emotion").build()?;
//! let explanation = classifier.explain("I can't believe we won!", &Explain::default())?;
//! assert_eq!(explanation.target(), "happiness");
//! for word in explanation.words() {
//!     println!("{:+.2} {}", word.relevance, word.text);
//! }
//! assert!(explanation.unexplained().abs() < 1e-4);
//! # }
//! # Ok::<(), distilbert::Error>(())
//! ```
//!
//! # What an explanation does not say
//!
//! Relevance is not causation: it shares out a number within the model, and need not be what the model would
//! do without a word. [`Classifier::perturb`], [`Classifier::occlusion`] and [`Classifier::faithfulness`] ask
//! that; the crate `distilbert-evaluate` asks it of many texts.
//!
//! [`Method::Lrp`] holds the weights of attention constant. A word that acts through queries and keys, as a
//! negation may that turns attention to other words, gets no credit for it; [`Method::AttnLrp`] and the
//! gradient methods count it.
//!
//! Layer-wise relevance propagation ([`Method::Lrp`], [`Method::AttnLrp`]) is reported to be covered by a
//! patent in some countries. Check before commercial use; [`Method::GradientXInput`] and
//! [`Method::IntegratedGradients`] are the alternative.

mod attention;
mod explanation;
mod faithfulness;
mod ledger;
mod method;
mod objective;
mod occlusion;
mod perturb;
#[cfg(feature = "samples")]
#[doc(hidden)]
pub mod sample;
mod variants;
#[cfg(feature = "text")]
mod words;

pub use self::attention::AttentionWeights;
pub use self::explanation::{Explanation, Token, Word};
pub use self::faithfulness::Faithfulness;
pub use self::ledger::Ledger;
pub use self::method::Method;
pub use self::objective::{Objective, Target};
pub use self::perturb::{Curve, Order, Perturb, Point};
pub use self::variants::Replacement;

use self::objective::Goal;
#[cfg(feature = "text")]
use self::words::{Characters, words};
use crate::attribution::{Attribute, Attribution, Shares};
use crate::classifier::{Classifier, ModelInfo};
use crate::error::{Error, Result};
use crate::input::batch::TokenBatch;
#[cfg(feature = "text")]
use crate::input::tokenizer::Encoding;

/// What to explain, and how.
///
/// ```
/// use distilbert::explain::{Explain, Method, Objective, Target};
///
/// let options = Explain::default()
///     .method(Method::IntegratedGradients { steps: 50 })
///     .target(Target::against("surprise", "happiness"))
///     .objective(Objective::Probability)
///     .attention(true);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Explain {
    method: Method,
    target: Target,
    objective: Objective,
    attention: bool,
}

impl Explain {
    /// How relevance is shared out; by default [`Method::Lrp`].
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// The label that is explained; by default the predicted one.
    pub fn target(mut self, target: Target) -> Self {
        self.target = target;
        self
    }

    /// Which of the target's numbers is explained; by default its logit.
    pub fn objective(mut self, objective: Objective) -> Self {
        self.objective = objective;
        self
    }

    /// Whether to give the weights of attention along, `layers · heads · tokens²` numbers; by default
    /// not. They take another forward pass.
    pub fn attention(mut self, attention: bool) -> Self {
        self.attention = attention;
        self
    }
}

/// A row's tokens and words without relevance.
#[derive(Default)]
struct Described {
    text: String,
    tokens: Vec<Token>,
    words: Vec<Word>,
    dropped_tokens: usize,
}

impl Described {
    /// Adds a token that is known by its id alone: a word of the text, or a special one.
    fn push_id(&mut self, id: u32, is_word: bool) {
        let spelling = id.to_string();
        let mut place = 0..0;
        if is_word {
            if !self.text.is_empty() {
                self.text.push(' ');
            }
            place = self.text.len()..self.text.len() + spelling.len();
            self.text += &spelling;
            self.words.push(Word {
                text: spelling.clone(),
                start: place.start,
                end: place.end,
                bytes: place.clone(),
                tokens: self.tokens.len()..self.tokens.len() + 1,
                relevance: 0.0,
            });
        }
        let (start, end) = (place.start, place.end);
        self.tokens.push(Token { id, text: spelling, start, end, bytes: place, relevance: 0.0 });
    }
}

impl Classifier {
    /// Explains the prediction of one text.
    ///
    /// A text longer than the model takes is cut on the right or refused, as when it is
    /// [classified](Self::classify). The logits are those of the classification, bit for bit, and the
    /// relevances are the same whatever the batch and the number of threads.
    ///
    /// # Errors
    /// [`Error::NoBackwardPass`] for a model in 8 bits or on a GPU; [`Error::UnknownLabel`] and
    /// [`Error::SameLabel`] for the target, [`Error::NoProbability`] for the objective,
    /// [`Error::NoSteps`] for the method; [`Error::ManyWindows`] for a text that
    /// [`Truncation::Windows`](crate::Truncation::Windows) would cut; otherwise as for
    /// [`classify`](Self::classify).
    #[cfg(feature = "text")]
    pub fn explain(&self, text: &str, options: &Explain) -> Result<Explanation> {
        let mut explanations = self.explain_batch(&[text], options)?;
        explanations.pop().ok_or(Error::EmptyBatch)
    }

    /// Explains the predictions of many texts at once; explanations come in the order of the texts.
    ///
    /// # Errors
    /// As for [`explain`](Self::explain).
    #[cfg(feature = "text")]
    pub fn explain_batch<T: AsRef<str>>(
        &self,
        texts: &[T],
        options: &Explain,
    ) -> Result<Vec<Explanation>> {
        let described =
            texts.iter().enumerate().map(|(row, text)| self.describe(row, text.as_ref()));
        let described = described.collect::<Result<Vec<_>>>()?;
        let ids = |row: &Described| row.tokens.iter().map(|token| token.id).collect::<Vec<u32>>();
        let rows: Vec<Vec<u32>> = described.iter().map(ids).collect();
        self.explain_rows(&TokenBatch::from_rows(&rows)?, described, options)
    }

    /// Explains rows of tokens, for callers that tokenize elsewhere. The first token of a row and the
    /// last are taken for special ones; each other one is a word, spelt as its id.
    ///
    /// ```
    /// use distilbert::explain::Explain;
    /// use distilbert::{Classifier, TokenBatch};
    ///
    /// let classifier = Classifier::builder("models/emotion").build()?;
    /// let batch = TokenBatch::from_rows(&[[101, 6659, 999, 102]])?;
    /// let explanations = classifier.explain_tokens(&batch, &Explain::default())?;
    /// assert_eq!(explanations[0].tokens().len(), 4);
    /// assert_eq!(explanations[0].text(), "6659 999");
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`explain`](Self::explain) and [`logits`](Self::logits).
    pub fn explain_tokens(
        &self,
        batch: &TokenBatch,
        options: &Explain,
    ) -> Result<Vec<Explanation>> {
        let described = (0..batch.rows()).map(|row| {
            let ids = &batch.input_ids()[batch.row(row)];
            let mut described = Described::default();
            for (at, &id) in ids.iter().enumerate() {
                described.push_id(id, at > 0 && at + 1 < ids.len());
            }
            described
        });
        let described = described.collect();
        self.explain_rows(batch, described, options)
    }

    /// A text's tokens, fit to the model.
    #[cfg(feature = "text")]
    fn describe(&self, row: usize, text: &str) -> Result<Described> {
        let limit = self.config().max_position_embeddings;
        let tokenizer = self.tokenizer();
        let encoding = tokenizer.encode(text)?;
        let fit = tokenizer.fit(row, &encoding.ids, limit, self.truncation())?;
        let [ids] = fit.rows.as_slice() else {
            let tokens = encoding.ids.len() + tokenizer.special_tokens();
            return Err(Error::ManyWindows { row, tokens, limit });
        };
        let before = tokenizer.special_tokens_before();
        let text_tokens = before..before + fit.text_tokens[0];
        let characters = Characters::new(text);
        let token = |(at, &id): (usize, &u32)| {
            let Encoding { tokens, offsets, .. } = &encoding;
            let (text, (start, end)) = if text_tokens.contains(&at) {
                (tokens[at - before].clone(), offsets[at - before])
            } else {
                (tokenizer.spelling(id), (0, 0))
            };
            Token { id, text, start, end, bytes: characters.bytes(start..end), relevance: 0.0 }
        };
        Ok(Described {
            text: text.to_owned(),
            tokens: ids.iter().enumerate().map(token).collect(),
            words: words(&encoding, &characters, text_tokens.len(), before),
            dropped_tokens: fit.dropped_tokens,
        })
    }

    fn explain_rows(
        &self,
        batch: &TokenBatch,
        described: Vec<Described>,
        options: &Explain,
    ) -> Result<Vec<Explanation>> {
        let &Explain { method, ref target, objective, attention } = options;
        let config = self.config();
        let engine = self.engine().attribute();
        let &ModelInfo { precision: found, device, .. } = self.info();
        let engine = engine.ok_or(Error::NoBackwardPass { found, device })?;
        method.check()?;
        let goal = Goal::new(target, objective, self.labels(), self.problem_type())?;
        batch.check(config.vocab_size, config.max_position_embeddings)?;
        let (attribution, baselines) = match method {
            Method::IntegratedGradients { steps } => {
                self.integrate(engine, batch, &described, &goal, steps)?
            }
            _ => {
                let gradient = |_: usize, logits: &[f32], gradient: &mut [f32]| {
                    goal.of(&self.prediction(logits.to_vec(), 0)).gradient(logits, gradient);
                };
                (engine.attribute(batch, method.rules(), &gradient), Vec::new())
            }
        };
        let Attribution { logits, relevance, shares } = attribution;
        let weights = if attention { engine.attention_weights(batch) } else { Vec::new() };
        let mut weights = weights.into_iter();
        let labels = self.labels().len();
        let rows = described.into_iter().zip(logits.chunks_exact(labels));
        let explanation = |(row, (described, logits)): (usize, (Described, &[f32]))| {
            let Described { text, mut tokens, mut words, dropped_tokens } = described;
            let relevance = &relevance[batch.row(row)];
            for (token, &relevance) in tokens.iter_mut().zip(relevance) {
                token.relevance = relevance;
            }
            for word in &mut words {
                let pieces = relevance[word.tokens.clone()].iter();
                word.relevance = pieces.map(|&piece| f64::from(piece)).sum::<f64>() as f32;
            }
            let prediction = self.prediction(logits.to_vec(), dropped_tokens);
            let prediction = prediction.of_tokens(tokens.len() + dropped_tokens);
            let goal = goal.of(&prediction);
            let mut ledger = Ledger::new(shares[row]);
            match baselines.get(row * labels..(row + 1) * labels) {
                Some(baseline) => ledger.baseline = goal.value(baseline),
                None => ledger.probability = goal.remainder(logits),
            }
            let attention = weights.next().map(|weights| {
                AttentionWeights::new(config.n_layers, config.n_heads, tokens.len(), weights)
            });
            let positions = batch.positions()[batch.row(row)].to_vec();
            Explanation {
                text,
                prediction,
                method,
                goal,
                tokens,
                positions,
                words,
                ledger,
                attention,
            }
        };
        Ok(rows.enumerate().map(explanation).collect())
    }

    /// Integrated gradients, and the logits of the baselines: the same texts with `[PAD]` for each token.
    fn integrate(
        &self,
        engine: &dyn Attribute,
        batch: &TokenBatch,
        described: &[Described],
        goal: &Goal,
        steps: usize,
    ) -> Result<(Attribution, Vec<f32>)> {
        let pad = self.config().pad_token_id;
        let ids = described.iter().flat_map(|Described { tokens, words, .. }| {
            let is_text = |at: usize| words.iter().any(|word| word.tokens.contains(&at));
            tokens
                .iter()
                .enumerate()
                .map(move |(at, token)| if is_text(at) { pad } else { token.id })
        });
        let baseline = batch.with_ids(ids);
        let logits = self.logits(batch)?;
        let baselines = self.logits(&baseline)?;
        let rows = logits.chunks_exact(self.labels().len());
        let goals: Vec<_> = rows.map(|row| goal.of(&self.prediction(row.to_vec(), 0))).collect();
        let gradient = |row: usize, logits: &[f32], gradient: &mut [f32]| {
            goals[row].gradient(logits, gradient);
        };
        let relevance = engine.integrate(batch, &baseline, steps, &gradient);
        let shares = vec![Shares::default(); batch.rows()];
        Ok((Attribution { logits, relevance, shares }, baselines))
    }
}
