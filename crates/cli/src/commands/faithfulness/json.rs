//! A comparison of methods as JSON.

use distilbert::explain::Faithfulness;
use distilbert_evaluate::{Estimate, Ranking};
use serde_json::{Map, Value, json};

use super::{MEASURES, Measure, Report};

impl Report<'_> {
    pub(super) fn json(&self) -> Value {
        let &Self { data, classifier, comparison, against } = self;
        let info = classifier.info();
        let method = |(ranking, means): (Ranking, Faithfulness<Estimate>)| {
            let mut object = Map::from_iter([("method".to_owned(), ranking.name().into())]);
            object.extend(estimates(&means));
            let difference = against.and_then(|from| comparison.difference(ranking, from));
            if let Some(difference) = difference {
                object.insert("difference".to_owned(), estimates(&difference).into());
            }
            object
        };
        json!({
            "data": data.to_string_lossy(),
            "model": info.folder.to_string_lossy(),
            "precision": info.precision,
            "texts": comparison.texts(),
            "skipped": {
                "without_words": comparison.without_words(),
                "of_one_word": comparison.of_one_word(),
            },
            "truncated": comparison.truncated(),
            "objective": comparison.objective().name(),
            "replacement": comparison.replacement().name(),
            "random_orders": comparison.random_orders(),
            "steps": self.steps(),
            "seed": comparison.seed(),
            "resamples": comparison.resamples(),
            "confidence": 0.95,
            "against": against.map(Ranking::name),
            "methods": comparison.means().into_iter().map(method).collect::<Vec<_>>(),
        })
    }
}

/// Returns each measure with its interval.
fn estimates(means: &Faithfulness<Estimate>) -> Map<String, Value> {
    let estimate = |measure: &Measure| {
        let Estimate { value, low, high, .. } = (measure.get)(means);
        (measure.key.to_owned(), json!({ "value": value, "low": low, "high": high }))
    };
    MEASURES.iter().map(estimate).collect()
}
