//! Predictions of a cascade.

use super::Classifier;
use crate::backend::{Forward, Stages};
use crate::error::Result;
use crate::precision::Precision;
use crate::prediction::Prediction;

impl Classifier {
    /// Computes the predictions for items with `predict`, which is given an engine and the items. With a cascade, it is
    /// called a second time for the items whose first prediction is closer to other labels than the margin.
    pub(super) fn answer<T: Copy>(
        &self,
        items: &[T],
        predict: impl Fn(&dyn Forward, &[T]) -> Result<Vec<Prediction>>,
    ) -> Result<Vec<Prediction>> {
        let Some(Stages { first, second, margin }) = self.stages() else {
            return predict(self.engine.as_ref(), items);
        };
        let mut answers: Vec<Prediction> = predict(first, items)?
            .into_iter()
            .map(|answer| answer.with_precision(Precision::Int8))
            .collect();
        let (mut again, mut items_again) = (Vec::new(), Vec::new());
        for (answer, &item) in answers.iter_mut().zip(items) {
            if !margin.accepts(answer.margin()) {
                again.push(answer);
                items_again.push(item);
            }
        }
        if !again.is_empty() {
            for (answer, exact) in again.into_iter().zip(predict(second, &items_again)?) {
                *answer = exact;
            }
        }
        Ok(answers)
    }

    /// Returns the stages, if the model is a cascade.
    pub(crate) fn stages(&self) -> Option<Stages<'_>> {
        self.engine.stages()
    }

    /// Returns the engine that computes every text: the first stage of a cascade.
    pub(crate) fn first_engine(&self) -> &dyn Forward {
        self.stages().map_or(self.engine.as_ref(), |stages| stages.first)
    }

    /// Returns the engine of the most exact answers: the last stage of a cascade.
    #[cfg(feature = "explain")]
    pub(super) fn exact_engine(&self) -> &dyn Forward {
        let engine = self.engine.as_ref();
        self.stages().map_or(engine, |stages| stages.second)
    }
}
