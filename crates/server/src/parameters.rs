//! [`Parameters`]: what a request chooses about its predictions, under every protocol.

use std::borrow::Cow;

use distilbert::{Prediction, ProblemType, Truncation};
use serde::Serialize;
use utoipa::ToSchema;

use crate::failure::Failure;
use crate::fields::{Fields, bad};

/// Options of a request for predictions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// `None` for the checkpoint's side.
    side: Option<Truncation>,
    /// `true` if long texts are refused.
    refuses: bool,
    /// `None` for the function of the model's problem type.
    function: Option<ProblemType>,
    /// `None` for all labels.
    top_k: Option<usize>,
}

/// Sides that `truncation_direction` names.
const SIDES: &[(&str, Truncation)] = &[("left", Truncation::Left), ("right", Truncation::Right)];

/// Functions that `function_to_apply` names, as the problem types that have them.
const FUNCTIONS: &[(&str, ProblemType)] = &[
    ("softmax", ProblemType::SingleLabelClassification),
    ("sigmoid", ProblemType::MultiLabelClassification),
    ("none", ProblemType::Regression),
];

/// A label with its score.
#[derive(Debug, Serialize, ToSchema)]
pub struct Scored<'a> {
    /// Score, or logit where raw scores are requested.
    score: f32,
    /// Label.
    label: &'a str,
}

impl Parameters {
    /// Reads the parameters at the top level of a body, and those in its `parameters`, which take precedence.
    pub fn read(body: &mut Fields) -> Result<Self, Failure> {
        let outer = Self::default().overridden_by(body)?;
        outer.overridden_by(&mut body.object("parameters")?)
    }

    /// Takes parameters out of an object; those that it lacks stay as they are.
    pub fn overridden_by(self, fields: &mut Fields) -> Result<Self, Failure> {
        let is_raw = fields.flag("raw_scores")?;
        let function = fields.choice("function_to_apply", FUNCTIONS)?;
        if is_raw == Some(true) && function.is_some_and(|name| name != ProblemType::Regression) {
            let field = fields.name("raw_scores");
            return Err(bad(format!("{field}: contradicts `function_to_apply`")));
        }
        let function = match (is_raw, function) {
            (Some(true), _) => Some(ProblemType::Regression),
            // An instance can take back what the body says.
            (Some(false), None) => None,
            (_, function) => function.or(self.function),
        };
        Ok(Self {
            side: fields.choice("truncation_direction", SIDES)?.or(self.side),
            refuses: fields.flag("truncate")?.map_or(self.refuses, |truncates| !truncates),
            function,
            top_k: fields.count("top_k")?.or(self.top_k),
        })
    }

    /// Returns the parameters with logits instead of scores.
    pub fn raw(self) -> Self {
        Self { function: Some(ProblemType::Regression), ..self }
    }

    /// Returns how long texts are handled; `None` for the model's own way.
    pub fn truncation(&self) -> Option<Truncation> {
        if self.refuses { Some(Truncation::Error) } else { self.side }
    }

    /// Returns the number of labels to answer with, if the request limits it.
    pub fn top_k(&self) -> Option<usize> {
        self.top_k
    }

    /// Returns the requested scores of a prediction, in label order.
    pub fn scores<'a>(&self, prediction: &'a Prediction) -> Cow<'a, [f32]> {
        match self.function {
            None => prediction.scores().into(),
            Some(ProblemType::Regression) => prediction.logits().into(),
            Some(function) => prediction.scores_as(function).into(),
        }
    }

    /// Returns the indices of the requested labels, highest score first; equal scores stay in label order.
    pub fn order(&self, scores: &[f32]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        order.truncate(self.top_k.unwrap_or(usize::MAX));
        order
    }

    /// Returns the requested labels of a prediction with their scores, highest first.
    pub fn ranking<'a>(&self, prediction: &'a Prediction) -> Vec<Scored<'a>> {
        let scores = self.scores(prediction);
        let scored =
            |index: usize| Scored { score: scores[index], label: &prediction.labels()[index] };
        self.order(&scores).into_iter().map(scored).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Parameters, String> {
        let mut fields = Fields::parse(body.as_bytes(), 1).map_err(|failure| failure.message)?;
        Parameters::read(&mut fields).map_err(|failure| failure.message)
    }

    #[test]
    fn inner_parameters_take_precedence() {
        let found = read(r#"{"top_k": 3, "truncate": false, "parameters": {"top_k": 2}}"#).unwrap();
        assert_eq!((found.top_k, found.refuses), (Some(2), true));
        let raw = read(r#"{"raw_scores": true}"#).unwrap();
        assert_eq!(raw, Parameters::default().raw());
        assert_eq!(
            read(r#"{"raw_scores": true, "parameters": {"raw_scores": false}}"#),
            read("{}")
        );
    }

    #[test]
    fn truncation_is_a_side_or_an_error() {
        let found = |body: &str| read(body).unwrap().truncation();
        assert_eq!(found("{}"), None);
        assert_eq!(
            found(r#"{"truncate": true, "truncation_direction": "Left"}"#),
            Some(Truncation::Left)
        );
        assert_eq!(
            found(r#"{"truncate": false, "truncation_direction": "left"}"#),
            Some(Truncation::Error)
        );
    }

    #[test]
    fn errors_name_the_whole_field() {
        let message = read(r#"{"parameters": {"function_to_apply": "max"}}"#).unwrap_err();
        assert_eq!(
            message,
            "parameters.function_to_apply: expected `softmax` or `sigmoid` or `none`, found `max`"
        );
        let message = read(r#"{"raw_scores": true, "function_to_apply": "softmax"}"#).unwrap_err();
        assert_eq!(message, "raw_scores: contradicts `function_to_apply`");
        assert!(
            read(r#"{"parameters": {"top_k": 0}}"#).unwrap_err().starts_with("parameters.top_k: ")
        );
    }
}
