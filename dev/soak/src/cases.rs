//! [`Cases`]: requests and the answers that they should get.

use std::fs;

use distilbert::{Classifier, Prediction};
use hyper::body::Bytes;
use serde_json::{Value, json};

use crate::{Error, Options};

/// Lengths of texts in words: mostly short, some longer than the model takes.
const WORDS: &[usize] = &[1, 2, 3, 5, 8, 11, 12, 14, 15, 17, 19, 23, 28, 34, 60, 110, 220, 600];

/// Number of texts.
const TEXTS: usize = 360;

/// Requests that are not answered with a prediction, and their status.
const MALFORMED: &[(&[u8], u16)] = &[
    (b"", 400),
    (b"{", 400),
    (b"[]", 400),
    (b"{}", 400),
    (br#"{"inputs": 7}"#, 400),
    (br#"{"inputs": ["a", {}]}"#, 400),
    (b"{\"inputs\": \"\xff\"}", 400),
    (br#"{"inputs": ""}"#, 400),
    (br#"{"inputs": [["a", "b"]]}"#, 422),
];

/// Bytes of a request that is too large by a little.
const OVERSIZED: usize = 2_000_001;

/// A request for one text or several.
pub struct Case {
    pub body: Bytes,
    expected: Vec<Vec<(String, u32)>>,
    is_single: bool,
}

/// All requests.
pub struct Cases {
    pub good: Vec<Case>,
    pub malformed: Vec<(Bytes, u16)>,
    pub oversized: Bytes,
}

/// Generator of the sequence splitmix64.
pub struct Dice(pub u64);

impl Dice {
    /// Returns a number below a limit.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }
}

impl Cases {
    /// Makes texts of the model's vocabulary, and computes their predictions with `classify`.
    pub fn new(options: &Options) -> Result<Self, Error> {
        let texts = texts(options)?;
        let classifier =
            Classifier::builder(&options.model).precision(options.precision).build()?;
        let classified =
            texts.iter().map(|text| classifier.classify(text).map(|one| ranking(&one)));
        let expected = classified.collect::<Result<Vec<_>, _>>()?;
        let mut good: Vec<_> = texts
            .iter()
            .zip(&expected)
            .map(|(text, expected)| Case::new(json!(text), vec![expected.clone()], true))
            .collect();
        let mut dice = Dice(7);
        for _ in 0..TEXTS / 8 {
            let chosen: Vec<usize> = (0..dice.below(7) + 2).map(|_| dice.below(TEXTS)).collect();
            let inputs: Vec<&String> = chosen.iter().map(|&index| &texts[index]).collect();
            let expected = chosen.iter().map(|&index| expected[index].clone()).collect();
            good.push(Case::new(json!(inputs), expected, false));
        }
        let malformed = MALFORMED.iter().map(|&(body, status)| (Bytes::from_static(body), status));
        let oversized = json!({"inputs": "a".repeat(OVERSIZED)}).to_string().into();
        Ok(Self { good, malformed: malformed.collect(), oversized })
    }
}

impl Case {
    fn new(inputs: Value, expected: Vec<Vec<(String, u32)>>, is_single: bool) -> Self {
        Self { body: json!({"inputs": inputs}).to_string().into(), expected, is_single }
    }

    /// Returns `true` if an answer has the bits of `classify`.
    pub fn is_answer(&self, body: &[u8]) -> bool {
        let Ok(answer) = serde_json::from_slice::<Value>(body) else { return false };
        let rankings = if self.is_single {
            vec![answer]
        } else {
            answer.as_array().cloned().unwrap_or_default()
        };
        rankings.len() == self.expected.len()
            && rankings
                .iter()
                .zip(&self.expected)
                .all(|(found, expected)| entries(found).as_ref() == Some(expected))
    }
}

/// Returns the labels of an answer with the bits of their scores.
fn entries(ranking: &Value) -> Option<Vec<(String, u32)>> {
    let entry = |entry: &Value| {
        let score = entry["score"].as_f64()? as f32;
        Some((entry["label"].as_str()?.to_owned(), score.to_bits()))
    };
    ranking.as_array()?.iter().map(entry).collect()
}

/// Returns the labels of a prediction with the bits of their scores, highest first.
fn ranking(prediction: &Prediction) -> Vec<(String, u32)> {
    let pairs = prediction.labels().iter().zip(prediction.scores());
    let mut pairs: Vec<(&String, f32)> = pairs.map(|(label, &score)| (label, score)).collect();
    pairs.sort_by(|a, b| b.1.total_cmp(&a.1));
    pairs.into_iter().map(|(label, score)| (label.clone(), score.to_bits())).collect()
}

fn texts(options: &Options) -> Result<Vec<String>, Error> {
    let vocabulary = fs::read_to_string(options.model.join("vocab.txt"))?;
    let is_word =
        |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let words: Vec<&str> = vocabulary.lines().filter(is_word).collect();
    if words.is_empty() {
        return Err("the vocabulary has no words".into());
    }
    let mut dice = Dice(5);
    let text = |index: usize| {
        let text: Vec<&str> =
            (0..WORDS[index % WORDS.len()]).map(|_| words[dice.below(words.len())]).collect();
        text.join(" ")
    };
    Ok((0..TEXTS).map(text).collect())
}
