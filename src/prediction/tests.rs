use super::*;

fn prediction(logits: &[f32], problem_type: ProblemType) -> Prediction {
    let labels = (0..logits.len()).map(|id| format!("LABEL_{id}")).collect();
    Prediction::new(labels, logits.to_vec(), problem_type, None)
}

#[test]
fn single_label_scores_sum_to_one() {
    let single = prediction(&[1.0, 3.0, 3.0, -1000.0], ProblemType::SingleLabelClassification);
    assert!((single.scores().iter().sum::<f32>() - 1.0).abs() < 1e-6);
    assert_eq!(single.label(), "LABEL_1");
    assert_eq!(single.index(), 1);
    assert_eq!(single.top_k(2).iter().map(|top| top.0).collect::<Vec<_>>(), ["LABEL_1", "LABEL_2"]);
    assert_eq!(single.top_k(9).len(), 4);
    assert_eq!(single.scores()[3], 0.0);
}

#[test]
fn multi_label_scores_are_independent() {
    let multi = prediction(&[0.0, 200.0, -200.0], ProblemType::MultiLabelClassification);
    assert_eq!(multi.scores(), [0.5, 1.0, 0.0]);
}

#[test]
fn regression_score_is_the_logit() {
    assert_eq!(prediction(&[-2.5], ProblemType::Regression).score(), -2.5);
}

#[test]
#[cfg(feature = "text")]
fn average_is_weighted() {
    let parts = [
        prediction(&[0.0, 8.0], ProblemType::Regression),
        prediction(&[4.0, 0.0], ProblemType::Regression),
    ];
    let average = Prediction::average(&parts, &[1, 3], ProblemType::Regression);
    assert_eq!(average.scores(), [3.0, 2.0]);
    assert_eq!(average.margin(), f32::INFINITY);
}

#[test]
#[cfg(feature = "text")]
fn average_has_the_margin_of_its_scores() {
    let kind = ProblemType::SingleLabelClassification;
    let parts = [prediction(&[5.0, 0.0], kind), prediction(&[0.0, 4.0], kind)];
    let average = Prediction::average(&parts, &[1, 1], kind);
    let [first, second] = [0, 1].map(|label| f64::from(average.scores()[label]));
    // Both windows are certain, but of different labels: the average is not.
    assert!(parts.iter().all(|part| part.margin() >= 4.0));
    assert!((f64::from(average.margin()) - (first / second).ln()).abs() < 1e-6);
    assert!(average.margin() < 0.05);
}

#[test]
fn labels_above_includes_the_threshold() {
    let multi = prediction(&[0.0, 200.0, -200.0], ProblemType::MultiLabelClassification);
    let labels = multi.labels_above(Prediction::THRESHOLD);
    assert_eq!(labels, [("LABEL_1", 1.0), ("LABEL_0", 0.5)]);
    assert_eq!(multi.labels_above(1.5), []);
}

#[test]
#[cfg(feature = "serde")]
fn labels_of_one_name_keep_their_scores() {
    let labels: Vec<String> = ["a", "b", "a", "a [0]"].map(str::to_owned).into();
    let logits = vec![1.0, 2.0, 3.0, 0.0];
    let found = Prediction::new(labels.into(), logits, ProblemType::Regression, None);
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["label"], "a");
    let expected = [("a [0] [0]", 1.0), ("b", 2.0), ("a [2]", 3.0), ("a [0]", 0.0)];
    assert_eq!(json["scores"].as_object().unwrap().len(), 4);
    assert!(expected.iter().all(|(name, score)| json["scores"][name] == *score), "{json}");
}

#[test]
#[cfg(feature = "serde")]
fn serializes_scores_by_label() {
    let text = serde_json::to_string(&prediction(&[-0.2, 0.7], ProblemType::Regression));
    assert_eq!(
        text.unwrap(),
        concat!(
            r#"{"label":"LABEL_1","score":0.7,"scores":{"LABEL_0":-0.2,"LABEL_1":0.7},"#,
            r#""logits":[-0.2,0.7],"precision":"f32","tokens":0,"dropped_tokens":0,"truncated_at":null}"#
        )
    );
}
