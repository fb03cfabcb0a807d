//! Metrics of given predictions against goldens of scikit-learn.

mod goldens;
mod rows;

use distilbert::ProblemType;
use distilbert_evaluate::{
    Average, Class, Confusion, Error, Estimate, Evaluation, EvaluationOptions, Mistake, Report,
    Row, Scores,
};
use serde_json::Value;

use test_support::{Dice, golden, list, numbers};

/// Predictions with their true labels.
pub struct Data {
    pub labels: Vec<String>,
    pub kind: ProblemType,
    pub truth: Vec<Vec<usize>>,
    pub scores: Vec<Vec<f32>>,
}

impl Data {
    fn of(case: &Value) -> Self {
        let id = |id: &Value| id.as_u64().unwrap() as usize;
        let truth = |truth: &Value| match truth {
            Value::Array(ids) => ids.iter().map(id).collect(),
            one => vec![id(one)],
        };
        let scores =
            |row: &Value| numbers(row).into_iter().map(|score| score as f32).collect::<Vec<_>>();
        Self {
            labels: list(&case["labels"])
                .iter()
                .map(|label| label.as_str().unwrap().to_owned())
                .collect(),
            kind: match case["problem_type"].as_str().unwrap() {
                "single_label_classification" => ProblemType::SingleLabelClassification,
                "multi_label_classification" => ProblemType::MultiLabelClassification,
                other => panic!("{other}"),
            },
            truth: list(&case["truth"]).iter().map(truth).collect(),
            scores: list(&case["scores"]).iter().map(scores).collect(),
        }
    }

    fn rows(&self) -> impl Iterator<Item = (usize, Row<'_>)> {
        let rows = self.truth.iter().zip(&self.scores);
        rows.map(|(truth, scores)| Row::new(truth, scores)).enumerate()
    }

    fn report(&self, options: &EvaluationOptions) -> Report {
        let mut evaluation = Evaluation::new(&self.labels, self.kind, options).unwrap();
        self.rows().for_each(|(_, row)| evaluation.push(&row).unwrap());
        assert_eq!(evaluation.rows(), self.truth.len());
        evaluation.report().unwrap()
    }

    /// Returns `true` if a label is predicted by definition.
    fn predicts(&self, row: usize, label: usize) -> bool {
        let scores = &self.scores[row];
        match self.kind {
            ProblemType::MultiLabelClassification => scores[label] >= 0.5,
            _ => {
                scores[..label].iter().all(|other| *other < scores[label])
                    && scores[label..].iter().all(|other| *other <= scores[label])
            }
        }
    }
}

fn each_case(check: impl Fn(&Value, &Data)) {
    let goldens = golden("evaluate.json");
    assert_eq!(list(&goldens["cases"]).len(), 3);
    for case in list(&goldens["cases"]) {
        println!("{}", case["name"]);
        check(case, &Data::of(case));
    }
}

#[track_caller]
fn assert_close(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-12 * expected.abs(), "{found}, {expected}");
}

fn quick() -> EvaluationOptions {
    EvaluationOptions::default().resamples(1)
}
