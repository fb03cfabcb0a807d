//! [`Classifier::explain`]: relevances of tokens and words by a backward pass.

use super::attention::AttentionWeights;
use super::explanation::Explanation;
use super::ledger::Ledger;
use super::method::Method;
use super::objective::Goal;
use super::options::ExplainOptions;
use super::row::Row;
use crate::attribution::{Attribute, Attribution, Shares};
use crate::classifier::{Classifier, ModelInfo};
#[cfg(feature = "text")]
use crate::error::InputError;
use crate::error::{ExplainError, Result};
use crate::input::batch::TokenBatch;

impl Classifier {
    /// Explains the prediction of one text.
    ///
    /// The logits are bit-identical to those of [`classify`](Self::classify), and the relevances depend neither on the
    /// batch nor on the number of threads. A text longer than the model's limit is truncated or rejected as in
    /// [`classify`](Self::classify).
    ///
    /// ```
    /// use distilbert::Classifier;
    /// use distilbert::explain::{ExplainOptions, Target};
    ///
    /// let classifier = Classifier::builder("models/emotion").build()?;
    /// let options = ExplainOptions::default().target(Target::label("surprise"));
    /// let explanation = classifier.explain("I can't believe we won!", &options)?;
    /// let relevances: f64 = explanation.tokens().iter().map(|token| f64::from(token.relevance)).sum();
    /// let sum = relevances + explanation.ledger().total() + explanation.unexplained();
    /// assert!((sum - f64::from(explanation.logit())).abs() < 1e-6);
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ExplainError::NoBackwardPass`] for an int8 model or a model on a GPU; [`ExplainError::UnknownLabel`] and
    /// [`ExplainError::SameLabel`] for the target; [`ExplainError::NoProbability`] for the objective;
    /// [`ExplainError::NoSteps`] and [`ExplainError::TooManySteps`] for the method;
    /// [`ExplainError::ManyWindows`] for a text that
    /// [`Truncation::Windows`](crate::Truncation::Windows) would split; otherwise the errors of
    /// [`classify`](Self::classify).
    #[cfg(feature = "text")]
    pub fn explain(&self, text: &str, options: &ExplainOptions) -> Result<Explanation> {
        let mut explanations = self.explain_batch(&[text], options)?;
        explanations.pop().ok_or_else(|| InputError::EmptyBatch.into())
    }

    /// Explains the predictions of many texts at once; explanations are in the order of the texts.
    ///
    /// # Errors
    /// Fails like [`explain`](Self::explain), and with [`InputError::EmptyBatch`] if there are no texts.
    #[cfg(feature = "text")]
    pub fn explain_batch<T: AsRef<str>>(
        &self,
        texts: &[T],
        options: &ExplainOptions,
    ) -> Result<Vec<Explanation>> {
        let texts = texts.iter().enumerate();
        let rows = texts
            .map(|(index, text)| self.explainable_row(index, text.as_ref(), options.truncation))
            .collect::<Result<Vec<_>>>()?;
        let ids = |row: &Row| row.tokens.iter().map(|token| token.id).collect::<Vec<u32>>();
        let ids: Vec<Vec<u32>> = rows.iter().map(ids).collect();
        self.explain_rows(&TokenBatch::from_rows(&ids)?, rows, options)
    }

    /// Explains the predictions of rows of token ids, for callers that have their own tokenizer.
    ///
    /// The first and the last token of a row are assumed to be special tokens; each of the others is a word, written as
    /// its id.
    ///
    /// ```
    /// use distilbert::explain::ExplainOptions;
    /// use distilbert::{Classifier, TokenBatch};
    ///
    /// let classifier = Classifier::builder("models/emotion").build()?;
    /// let batch = TokenBatch::from_rows(&[[101, 6659, 999, 102]])?;
    /// let explanations = classifier.explain_tokens(&batch, &ExplainOptions::default())?;
    /// assert_eq!(explanations[0].tokens().len(), 4);
    /// assert_eq!(explanations[0].text(), "6659 999");
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ExplainError::NoBackwardPass`], [`ExplainError::UnknownLabel`], [`ExplainError::SameLabel`],
    /// [`ExplainError::NoProbability`], [`ExplainError::NoSteps`] and [`ExplainError::TooManySteps`] as for a text;
    /// otherwise the errors of
    /// [`logits`](Self::logits).
    pub fn explain_tokens(
        &self,
        batch: &TokenBatch,
        options: &ExplainOptions,
    ) -> Result<Vec<Explanation>> {
        let rows = (0..batch.rows()).map(|row| Row::from_ids(&batch.input_ids()[batch.row(row)]));
        let rows = rows.collect();
        self.explain_rows(batch, rows, options)
    }

    /// Explains a batch, given the tokens and words of each of its rows.
    pub(super) fn explain_rows(
        &self,
        batch: &TokenBatch,
        rows: Vec<Row>,
        options: &ExplainOptions,
    ) -> Result<Vec<Explanation>> {
        let method = options.method;
        let &ModelInfo { precision: found, device, .. } = self.info();
        let engine = self.engine().attribute();
        let engine = engine.ok_or(ExplainError::NoBackwardPass { found, device })?;
        method.check()?;
        let goal =
            Goal::new(&options.target, options.objective, self.labels(), self.problem_type())?;
        let config = self.config();
        batch.check(config.vocab_size, config.max_position_embeddings)?;
        let (attribution, baselines) = match method {
            Method::IntegratedGradients { steps } => {
                self.integrate(engine, batch, &rows, &goal, steps)?
            }
            _ => (self.attribute(engine, batch, &goal, method), Vec::new()),
        };
        let mut attention = self.attention(engine, batch, options.attention).into_iter();
        let Attribution { logits, relevance, shares } = attribution;
        let labels = self.labels().len();
        let rows = rows.into_iter().zip(logits.chunks_exact(labels)).enumerate();
        let explanation = |(index, (mut row, logits)): (usize, (Row, &[f32]))| {
            let tokens = batch.row(index);
            row.set_relevances(&relevance[tokens.clone()]);
            let Row { text, tokens: row_tokens, words, cut } = row;
            let prediction = self.prediction(logits.to_vec(), cut).with_tokens(tokens.len());
            let goal = goal.of(&prediction);
            let mut ledger = Ledger::new(shares[index]);
            match baselines.get(index * labels..(index + 1) * labels) {
                Some(baseline) => ledger.baseline = goal.value(baseline),
                None => ledger.probability = goal.remainder(logits),
            }
            Explanation {
                text,
                prediction,
                method,
                goal,
                tokens: row_tokens,
                positions: batch.positions()[tokens].to_vec(),
                words,
                ledger,
                attention: attention.next(),
            }
        };
        Ok(rows.map(explanation).collect())
    }

    /// Runs one backward pass with the rules of a method.
    fn attribute(
        &self,
        engine: &dyn Attribute,
        batch: &TokenBatch,
        goal: &Goal,
        method: Method,
    ) -> Attribution {
        let gradient = |_: usize, logits: &[f32], gradient: &mut [f32]| {
            goal.of(&self.prediction(logits.to_vec(), None)).gradient(logits, gradient);
        };
        engine.attribute(batch, method.rules(), &gradient)
    }

    /// Computes integrated gradients, and the logits of the baselines: each row with `[PAD]` in place of its words.
    fn integrate(
        &self,
        engine: &dyn Attribute,
        batch: &TokenBatch,
        rows: &[Row],
        goal: &Goal,
        steps: usize,
    ) -> Result<(Attribution, Vec<f32>)> {
        let pad = self.config().pad_token_id;
        let ids = rows.iter().flat_map(|Row { tokens, words, .. }| {
            let is_text = |index: usize| words.iter().any(|word| word.tokens.contains(&index));
            let id = move |(index, token): (usize, &super::Token)| {
                if is_text(index) { pad } else { token.id }
            };
            tokens.iter().enumerate().map(id)
        });
        let baseline = batch.with_ids(ids);
        let logits = self.logits(batch)?;
        let baselines = self.logits(&baseline)?;
        let rows = logits.chunks_exact(self.labels().len());
        let goals: Vec<_> = rows.map(|row| goal.of(&self.prediction(row.to_vec(), None))).collect();
        let gradient = |row: usize, logits: &[f32], gradient: &mut [f32]| {
            goals[row].gradient(logits, gradient);
        };
        let relevance = engine.integrate(batch, &baseline, steps, &gradient);
        let shares = vec![Shares::default(); batch.rows()];
        Ok((Attribution { logits, relevance, shares }, baselines))
    }

    /// Computes the attention probabilities of each row, or none unless `requested`.
    fn attention(
        &self,
        engine: &dyn Attribute,
        batch: &TokenBatch,
        requested: bool,
    ) -> Vec<AttentionWeights> {
        if !requested {
            return Vec::new();
        }
        let (layers, heads) = (self.config().n_layers, self.config().n_heads);
        let weights = engine.attention_weights(batch).into_iter().enumerate();
        weights
            .map(|(row, weights)| {
                AttentionWeights::new(layers, heads, batch.row(row).len(), weights)
            })
            .collect()
    }
}
