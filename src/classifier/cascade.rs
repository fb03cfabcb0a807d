//! Predictions of a cascade.

use super::Classifier;
use crate::backend::{Forward, Stages};
use crate::error::Result;
use crate::precision::Precision;
use crate::prediction::Prediction;

impl Classifier {
    /// Computes the predictions for items by calling `predict` with an engine and the items. With a cascade, `predict`
    /// is called a second time for the items whose first prediction is closer to other labels than the margin.
    pub(super) fn predict_in_stages<T: Copy>(
        &self,
        items: &[T],
        predict: impl Fn(&dyn Forward, &[T]) -> Result<Vec<Prediction>>,
    ) -> Result<Vec<Prediction>> {
        let Some(stages) = self.stages() else {
            return predict(self.engine.as_ref(), items);
        };
        let first: Vec<Option<Prediction>> =
            predict(stages.first, items)?.into_iter().map(|found| stages.accept(found)).collect();
        let undecided = items.iter().zip(&first).filter(|(_, found)| found.is_none());
        let undecided: Vec<T> = undecided.map(|(&item, _)| item).collect();
        let second = match undecided.is_empty() {
            true => Vec::new(),
            false => predict(stages.second, &undecided)?,
        };
        let mut second = second.into_iter();
        Ok(first.into_iter().filter_map(|found| found.or_else(|| second.next())).collect())
    }

    /// Returns the stages, if the model is a cascade.
    pub(crate) fn stages(&self) -> Option<Stages<'_>> {
        self.engine.stages()
    }

    /// Returns the engine that computes every text: the first stage of a cascade.
    pub(crate) fn first_engine(&self) -> &dyn Forward {
        self.stages().map_or(self.engine.as_ref(), |stages| stages.first)
    }

    /// Returns the engine of explanations: the last stage of a cascade.
    #[cfg(feature = "explain")]
    pub(super) fn last_engine(&self) -> &dyn Forward {
        let engine = self.engine.as_ref();
        self.stages().map_or(engine, |stages| stages.second)
    }
}

impl Stages<'_> {
    /// Returns a first prediction if it is far enough from other labels to be the cascade's answer.
    pub(crate) fn accept(&self, first: Prediction) -> Option<Prediction> {
        let is_decided = self.margin.accepts(first.margin());
        is_decided.then(|| first.with_precision(Precision::Int8))
    }
}
