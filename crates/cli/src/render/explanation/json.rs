//! Explanations as JSON.
//!
//! The objects have fewer keys than those that the library serializes: no byte ranges, token ids or logits per point.

use std::io::{Result, Write};

use distilbert::explain::{
    Curve, Explanation, Ledger, Method, Objective, Order, Point, Replacement, Token, Word,
};
use distilbert::{Classifier, ModelInfo, Precision};
use serde::Serialize;

use super::Answer;
use crate::render::json::{object, write_line};

/// Writes one explanation as one line.
pub(super) fn write(out: &mut dyn Write, classifier: &Classifier, answer: &Answer) -> Result<()> {
    write_line(out, &View::new(classifier.info(), answer))
}

#[derive(Serialize)]
struct View<'a> {
    text: &'a str,
    label: &'a str,
    method: &'static str,
    settings: Settings,
    target: &'a str,
    against: Option<&'a str>,
    objective: Objective,
    logit: f32,
    score: f32,
    value: f64,
    tokens: Vec<Part<'a>>,
    words: Vec<Part<'a>>,
    ledger: &'a Ledger,
    unexplained: f64,
    dropped_tokens: Option<usize>,
    truncated_at: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    curves: Option<Curves<'a>>,
}

#[derive(Serialize)]
struct Settings {
    model: String,
    precision: Precision,
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<usize>,
}

/// Token or word.
#[derive(Serialize)]
struct Part<'a> {
    text: &'a str,
    start: usize,
    end: usize,
    relevance: f32,
}

#[derive(Serialize)]
struct Curves<'a> {
    replacement: Replacement,
    #[serde(flatten, serialize_with = "object")]
    by_order: Vec<(String, CurveView<'a>)>,
}

#[derive(Serialize)]
struct CurveView<'a> {
    area_under: f64,
    order: &'a [usize],
    points: Vec<PointView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
}

#[derive(Serialize)]
struct PointView {
    replaced: usize,
    fraction: f64,
    score: f32,
}

impl<'a> View<'a> {
    fn new(info: &ModelInfo, answer: &'a Answer) -> Self {
        let Answer { explanation, curves } = answer;
        Self {
            text: explanation.text(),
            label: explanation.prediction().label(),
            method: explanation.method().name(),
            settings: Settings::new(info, explanation),
            target: explanation.target(),
            against: explanation.against(),
            objective: explanation.objective(),
            logit: explanation.logit(),
            score: explanation.score(),
            value: explanation.value(),
            tokens: explanation.tokens().iter().map(Part::from).collect(),
            words: explanation.words().iter().map(Part::from).collect(),
            ledger: explanation.ledger(),
            unexplained: explanation.unexplained(),
            dropped_tokens: explanation.prediction().dropped_tokens(),
            truncated_at: explanation.prediction().truncated_at(),
            curves: Curves::new(curves),
        }
    }
}

impl Settings {
    fn new(info: &ModelInfo, explanation: &Explanation) -> Self {
        let steps = match explanation.method() {
            Method::IntegratedGradients { steps } => Some(steps),
            _ => None,
        };
        // That of the explanation: a cascade explains in f32.
        let precision = explanation.prediction().precision();
        Self { model: info.folder.display().to_string(), precision, steps }
    }
}

impl<'a> From<&'a Token> for Part<'a> {
    fn from(token: &'a Token) -> Self {
        let &Token { ref text, start, end, relevance, .. } = token;
        Self { text, start, end, relevance }
    }
}

impl<'a> From<&'a Word> for Part<'a> {
    fn from(word: &'a Word) -> Self {
        let &Word { ref text, start, end, relevance, .. } = word;
        Self { text, start, end, relevance }
    }
}

impl<'a> Curves<'a> {
    fn new(curves: &'a [Curve]) -> Option<Self> {
        let key = |curve: &Curve| curve.ordered_by().name().replace('-', "_");
        Some(Self {
            replacement: curves.first()?.replacement(),
            by_order: curves.iter().map(|curve| (key(curve), CurveView::from(curve))).collect(),
        })
    }
}

impl<'a> From<&'a Curve> for CurveView<'a> {
    fn from(curve: &'a Curve) -> Self {
        let seed = match curve.ordered_by() {
            Order::Random { seed } => Some(seed),
            _ => None,
        };
        Self {
            area_under: curve.area_under(),
            order: curve.order(),
            points: curve.points().iter().map(PointView::from).collect(),
            seed,
        }
    }
}

impl From<&Point> for PointView {
    fn from(point: &Point) -> Self {
        let &Point { replaced, fraction, score, .. } = point;
        Self { replaced, fraction, score }
    }
}
