//! Synthetic explanations for the tests of `distilbert-report`.

#![allow(missing_docs, reason = "not part of the API")]

use super::attention::AttentionWeights;
use super::explanation::{Explanation, Token, Word};
use super::ledger::Ledger;
use super::method::Method;
use super::objective::{Goal, Objective, Target};
use super::perturb::{Curve, Order, Point};
use super::variants::Replacement;
use crate::model::config::ProblemType;
use crate::prediction::Prediction;
use crate::random::SplitMix64;

pub const HOSTILE: &str =
    "<script>alert(\"1\")</script> & 'quotes' שלום 🎉 a\u{1b}b \u{202e}turned ]]> --> &amp;";

/// Label that contains markup characters.
pub const TARGET: &str = "joy & <b>";

pub const LAYERS: usize = 2;
pub const HEADS: usize = 3;

/// Explanation of a text, with two curves.
#[derive(Debug)]
pub struct Sample {
    pub explanation: Explanation,
    pub most: Curve,
    pub least: Curve,
}

impl Sample {
    /// Creates an explanation in which each word is one token.
    pub fn new(text: &str) -> Self {
        let count = text.split_whitespace().count();
        let (tokens, words) = tokens_and_words(text);
        let size = tokens.len() * tokens.len() * LAYERS * HEADS;
        let weights = random(5, size).iter().map(|weight| weight.abs()).collect();
        let explanation = Explanation {
            text: text.to_owned(),
            // Probabilities 0.75 and 0.25.
            prediction: prediction([1.5, 1.5 - 3f32.ln()]),
            method: Method::Lrp,
            goal: Goal::new(&Target::label(TARGET), Objective::Logit, &labels(), SINGLE)
                .unwrap()
                .of(&prediction([0.0; 2])),
            positions: (0..tokens.len() as u32).collect(),
            attention: Some(AttentionWeights::new(LAYERS, HEADS, tokens.len(), weights)),
            ledger: Ledger { bias: 0.255, softmax: -0.001, ..Ledger::default() },
            tokens,
            words,
        };
        let order: Vec<usize> = (0..count).collect();
        let falling = |power| {
            let left = |gone: usize| 1.0 - gone as f32 / count.max(1) as f32;
            (0..=count).map(move |gone| left(gone).powi(power)).collect::<Vec<f32>>()
        };
        let backwards = order.iter().rev().copied().collect();
        Self {
            explanation,
            most: curve(Order::MostRelevantFirst, backwards, &falling(3)),
            least: curve(Order::LeastRelevantFirst, order, &falling(1)),
        }
    }

    /// Creates an explanation of `words` words: `w0`, `w1` and so on.
    pub fn of(words: usize) -> Self {
        let words: Vec<String> = (0..words).map(|word| format!("w{word}")).collect();
        Self::new(&words.join(" "))
    }

    /// Sets the relevance of each token by its index, and of the word it forms.
    pub fn set_relevances(&mut self, relevance: impl Fn(usize) -> f32) {
        for (at, token) in self.explanation.tokens.iter_mut().enumerate() {
            token.relevance = relevance(at);
        }
        for (at, word) in self.explanation.words.iter_mut().enumerate() {
            word.relevance = relevance(at + 1);
        }
    }

    /// Sets the target and the objective.
    pub fn set_goal(&mut self, target: &Target, objective: Objective, kind: ProblemType) {
        let prediction = &self.explanation.prediction;
        let goal = Goal::new(target, objective, prediction.labels(), kind).unwrap();
        self.explanation.goal = goal.of(prediction);
    }

    pub fn set_prediction(&mut self, prediction: Prediction) {
        self.explanation.prediction = prediction;
    }

    pub fn set_method(&mut self, method: Method) {
        self.explanation.method = method;
    }

    /// Sets the attention probabilities.
    pub fn set_attention(&mut self, layers: usize, heads: usize, weights: Vec<f32>) {
        let tokens = self.explanation.tokens.len();
        self.explanation.attention = Some(AttentionWeights::new(layers, heads, tokens, weights));
    }

    /// Sets the text of every token.
    pub fn set_token_texts(&mut self, text: &str) {
        for token in &mut self.explanation.tokens {
            token.text = text.to_owned();
        }
    }
}

/// Returns a token for each word of a text, between special tokens, and the words.
fn tokens_and_words(text: &str) -> (Vec<Token>, Vec<Word>) {
    let relevances = random(3, text.split_whitespace().count());
    let special = |text: &str, relevance| Token {
        id: 0,
        text: text.to_owned(),
        start: 0,
        end: 0,
        bytes: 0..0,
        relevance,
    };
    let mut tokens = vec![special("[CLS]", 0.25)];
    let mut words: Vec<Word> = Vec::new();
    for (word, relevance) in text.split_whitespace().zip(relevances) {
        let after = words.last().map_or(0, |word| word.bytes.end);
        let start = after + text[after..].find(word).unwrap();
        let bytes = start..start + word.len();
        let characters = |end: usize| text[..end].chars().count();
        let (start, end) = (characters(bytes.start), characters(bytes.end));
        let text = word.to_owned();
        let at = tokens.len();
        let bytes_of_token = bytes.clone();
        tokens.push(Token {
            id: 1,
            text: text.clone(),
            start,
            end,
            bytes: bytes_of_token,
            relevance,
        });
        words.push(Word { text, start, end, bytes, tokens: at..at + 1, relevance });
    }
    tokens.push(special("[SEP]", -0.125));
    (tokens, words)
}

/// Returns `len` values in [−1, 1), determined by the seed.
fn random(seed: u64, len: usize) -> Vec<f32> {
    let mut random = SplitMix64::new(seed);
    (0..len).map(|_| random.symmetric()).collect()
}

const SINGLE: ProblemType = ProblemType::SingleLabelClassification;

fn labels() -> [String; 2] {
    [TARGET, HOSTILE].map(str::to_owned)
}

/// Returns the prediction of a model with two labels.
pub fn prediction(logits: [f32; 2]) -> Prediction {
    Prediction::new(labels().into(), logits.to_vec(), SINGLE, None)
}

/// Returns a curve with one point per replaced word.
pub fn curve(ordered_by: Order, order: Vec<usize>, scores: &[f32]) -> Curve {
    let words = order.len().max(1) as f64;
    let point = |(replaced, &score): (usize, &f32)| Point {
        replaced,
        fraction: replaced as f64 / words,
        score,
        logits: vec![],
    };
    let points = scores.iter().enumerate().map(point).collect();
    Curve { ordered_by, replacement: Replacement::Pad, order, points }
}

/// Returns the curve with another replacement.
pub fn with_replacement(curve: Curve, replacement: Replacement) -> Curve {
    Curve { replacement, ..curve }
}
