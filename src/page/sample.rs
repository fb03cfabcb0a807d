//! Texts and made-up figures, of which tests make pages.

use super::{Attention, Curve, Curves, Token, View, Word};

pub(super) const HOSTILE: &str =
    "<script>alert(\"1\")</script> & 'quotes' שלום 🎉 a\u{1b}b \u{202e}turned ]]> --> &amp;";

/// A text's words with made-up relevances and weights of attention.
pub(super) struct Sample {
    pub text: String,
    pub tokens: Vec<(String, f32)>,
    pub weights: Vec<f32>,
}

pub(super) const LAYERS: usize = 2;
pub(super) const HEADS: usize = 3;

impl Sample {
    pub fn new(text: &str) -> Self {
        let words = text.split_whitespace().count();
        let relevances = crate::testing::random(3, words);
        let mut tokens = vec![("[CLS]".to_owned(), 0.25)];
        tokens.extend(text.split_whitespace().map(str::to_owned).zip(relevances));
        tokens.push(("[SEP]".to_owned(), -0.125));
        let size = tokens.len() * tokens.len() * LAYERS * HEADS;
        let weights = crate::testing::random(5, size).iter().map(|weight| weight.abs()).collect();
        Self { text: text.to_owned(), tokens, weights }
    }

    pub fn of(words: usize) -> Self {
        let words: Vec<String> = (0..words).map(|word| format!("w{word}")).collect();
        Self::new(&words.join(" "))
    }

    pub fn words(&self) -> &[(String, f32)] {
        &self.tokens[1..self.tokens.len() - 1]
    }

    pub fn view(&self) -> View<'_> {
        let mut end = 0;
        let words = self.words().iter().map(|(word, relevance)| {
            let start = end + self.text[end..].find(word.as_str()).unwrap();
            end = start + word.len();
            Word { bytes: start..end, relevance: *relevance }
        });
        let words: Vec<Word> = words.collect();
        let tokens = self.tokens.iter().enumerate().map(|(index, (text, relevance))| {
            let special = index == 0 || index == self.tokens.len() - 1;
            Token { text, relevance: *relevance, special }
        });
        let count = words.len();
        let falling = |power| {
            let left = |gone: usize| 1.0 - gone as f32 / count.max(1) as f32;
            (0..=count).map(|gone| left(gone).powi(power)).collect::<Vec<f32>>()
        };
        View {
            text: &self.text,
            target: "joy & <b>",
            against: None,
            probability: Some(0.75),
            logit: 1.5,
            objective: "logit",
            value: 1.5,
            method: "lrp",
            settings: vec![("replacement".to_owned(), "[PAD]".to_owned())],
            tokens: tokens.collect(),
            curves: Some(Curves {
                replacement: "[PAD]",
                gone: (0..=count).collect(),
                most_first: Curve { order: (0..count).rev().collect(), probabilities: falling(3) },
                least_first: Curve { order: (0..count).collect(), probabilities: falling(1) },
                random: None,
                measures: vec![("comprehensiveness", 0.5)],
            }),
            attention: Some(Attention { layers: LAYERS, heads: HEADS, weights: &self.weights }),
            ledger: vec![("bias", 0.255), ("layer_norm", 0.0), ("softmax", -0.001)],
            unexplained: 3e-15,
            words,
        }
    }
}
