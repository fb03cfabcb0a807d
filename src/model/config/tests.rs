use super::*;

fn parse(json: &str) -> Result<Config, ConfigError> {
    Config::from_json(&serde_json::from_str(json).unwrap())
}

fn field_at_fault(json: &str) -> &'static str {
    match parse(json) {
        Err(ConfigError::Field { field, .. }) => field,
        other => panic!("expected a field at fault, got {other:?}"),
    }
}

#[test]
fn empty_config_has_hugging_face_defaults() {
    let config = parse("{}").unwrap();
    assert_eq!((config.dim, config.hidden_dim), (768, 3072));
    assert_eq!((config.n_layers, config.n_heads), (6, 12));
    assert_eq!(config.head_size(), 64);
    assert!(config.id2label.is_empty());
    assert_eq!(config.problem_type_for(1), ProblemType::MultiLabelClassification);
    assert_eq!(config.problem_type_for(2), ProblemType::SingleLabelClassification);
}

#[test]
fn labels_are_in_the_order_of_their_ids() {
    let ids: Vec<String> = (0..12).rev().map(|id| format!("\"{id}\": \"l{id}\"")).collect();
    let config = parse(&format!("{{\"id2label\": {{{}}}}}", ids.join(","))).unwrap();
    assert_eq!(config.id2label[2], "l2");
    assert_eq!(config.id2label[10], "l10");
}

#[test]
fn num_labels_alone_gives_generic_labels() {
    assert_eq!(parse(r#"{"num_labels": 2}"#).unwrap().id2label, ["LABEL_0", "LABEL_1"]);
}

#[test]
fn errors_name_the_field() {
    for (json, field) in [
        (r#"{"n_layers": 0}"#, "n_layers"),
        (r#"{"dim": 100, "n_heads": 12}"#, "n_heads"),
        (r#"{"dim": -3}"#, "dim"),
        (r#"{"dim": 99999999999999}"#, "dim"),
        (r#"{"dim": "wide"}"#, "dim"),
        (r#"{"activation": "swish"}"#, "activation"),
        (r#"{"model_type": "bert"}"#, "model_type"),
        (r#"{"problem_type": "ranking"}"#, "problem_type"),
        (r#"{"sinusoidal_pos_embds": 1}"#, "sinusoidal_pos_embds"),
        (r#"{"pad_token_id": -40000}"#, "pad_token_id"),
        (r#"{"pad_token_id": "0"}"#, "pad_token_id"),
        (r#"{"dim": 8.0}"#, "dim"),
        (r#"{"dim": 1e1}"#, "dim"),
        (r#"{"dim": null}"#, "dim"),
        (r#"{"hidden_size": null}"#, "hidden_size"),
        (r#"{"intermediate_size": "3072"}"#, "intermediate_size"),
        (r#"{"num_labels": 2.0}"#, "num_labels"),
        (r#"{"num_labels": 1, "problem_type": "single_label_classification"}"#, "problem_type"),
        (
            r#"{"id2label": {"0": "a"}, "problem_type": "single_label_classification"}"#,
            "problem_type",
        ),
        (r#"{"id2label": ["a", "b"]}"#, "id2label"),
        (r#"{"id2label": {"0": null, "1": "b"}}"#, "id2label"),
        (r#"{"id2label": {"0": "a", "00": "b"}}"#, "id2label"),
        (r#"{"id2label": {"0": "a", "2": "b"}}"#, "id2label"),
        (r#"{"id2label": {}}"#, "id2label"),
    ] {
        assert_eq!(field_at_fault(json), field, "{json}");
    }
}

#[test]
fn label2id_is_not_read() {
    for label2id in [
        r#"{"a": "0", "b": "1"}"#,
        r#"{"LABEL_0": 0, "LABEL_1": 1}"#,
        r#"{"0": "a", "1": "b"}"#,
        r#"{"a": 1}"#,
        r#"{"a": null, "b": 0.5}"#,
        "[1]",
        "7",
        "null",
    ] {
        let json = format!(r#"{{"id2label": {{"0": "a", "1": "b"}}, "label2id": {label2id}}}"#);
        assert_eq!(parse(&json).unwrap().id2label, ["a", "b"], "{json}");
    }
    assert!(parse(r#"{"label2id": {"a": 0, "b": 1}}"#).unwrap().id2label.is_empty());
}

#[test]
fn accepts_labels_of_other_forms() {
    for (json, labels) in [
        (r#"{"id2label": {"0": 1, "1": 2}}"#, ["1", "2"]),
        (r#"{"id2label": {"neg": 0, "pos": 1}}"#, ["neg", "pos"]),
        (r#"{"id2label": {"neg": "0", "pos": "1"}}"#, ["neg", "pos"]),
        (r#"{"id2label": {"1": "b", "0": "a"}}"#, ["a", "b"]),
        (r#"{"id2label": {"0": "a", "1": "a"}}"#, ["a", "a"]),
        (r#"{"id2label": {"0": "a", "1": "b"}, "num_labels": 2}"#, ["a", "b"]),
        // Transformers forgets the names if their number is wrong.
        (r#"{"id2label": {"0": "a"}, "num_labels": 2}"#, ["LABEL_0", "LABEL_1"]),
    ] {
        assert_eq!(parse(json).unwrap().id2label, labels, "{json}");
    }
}

#[test]
fn sizes_have_other_names() {
    let config = parse(
        r#"{"hidden_size": 24, "num_attention_heads": 3, "num_hidden_layers": 2, "intermediate_size": 40}"#,
    )
    .unwrap();
    assert_eq!((config.dim, config.n_heads, config.n_layers, config.hidden_dim), (24, 3, 2, 40));
    let both =
        r#"{"dim": 8, "hidden_size": 24, "n_heads": 2, "hidden_dim": 16, "intermediate_size": 40}"#;
    let config = parse(both).unwrap();
    assert_eq!((config.dim, config.hidden_dim), (24, 16));
}

#[test]
fn negative_pad_token_counts_from_the_end() {
    assert_eq!(parse(r#"{"pad_token_id": -1, "vocab_size": 50}"#).unwrap().pad_token_id, 49);
}

#[test]
fn other_family_is_named() {
    let json = r#"{"model_type": "bert", "architectures": ["BertForTokenClassification"]}"#;
    let message = parse(json).unwrap_err().to_string();
    assert!(message.contains("BertForTokenClassification, token classification"), "{message}");
}

#[test]
fn layers_may_have_lost_heads_and_neurons() {
    let json = r#"{"dim": 24, "n_heads": 3, "n_layers": 2, "hidden_dim": 40,
        "pruned_heads": {"1": [2, 0], "0": []}, "hidden_dims": [40, 7]}"#;
    let config = parse(json).unwrap();
    assert_eq!(config.head_size(), 8);
    assert_eq!(config.layer(0), LayerShape { heads: 3, hidden_dim: 40 });
    assert_eq!(config.layer(1), LayerShape { heads: 1, hidden_dim: 7 });
    assert_eq!(config.pruned_heads, BTreeMap::from([(1, vec![0, 2])]));
    assert!(!config.is_uniform());
    let whole = parse(r#"{"pruned_heads": {}, "hidden_dims": null}"#).unwrap();
    assert!(whole.is_uniform());
    assert_eq!(whole.largest_hidden_dim(), 3072);
}

#[test]
fn rejects_impossible_layer_shapes() {
    for (field, values) in [
        (
            "pruned_heads",
            &[
                "[]",
                r#"{"2": [0]}"#,
                r#"{"0": [3]}"#,
                r#"{"0": [1, 1]}"#,
                r#"{"0": [0, 1, 2]}"#,
                r#"{"x": [0]}"#,
                r#"{"0": [-1]}"#,
                r#"{"0": 1}"#,
            ][..],
        ),
        ("hidden_dims", &["40", "[40]", "[40, 0]", "[40, -1]", "[40, 1.5]", "[1, 2, 3]"]),
    ] {
        for value in values {
            let json = format!(r#"{{"dim": 24, "n_heads": 3, "n_layers": 2, "{field}": {value}}}"#);
            assert_eq!(field_at_fault(&json), field, "{json}");
        }
    }
}

#[test]
fn multiply_adds_are_those_of_the_products() {
    let json = r#"{"dim": 8, "n_heads": 2, "n_layers": 2, "hidden_dim": 16,
        "pruned_heads": {"0": [1]}, "hidden_dims": [10, 16]}"#;
    let config = parse(json).unwrap();
    // Queries, keys, values, the output, scores and weighted sums of one head of size 4 for 3 tokens.
    let attention = 3 * (3 * 8 * 4 + 4 * 8 + 2 * 3 * 4);
    let first = attention + 3 * 2 * 8 * 10;
    // Queries, keys, values and the output of one token for 2 heads; scores and averages of 3 inputs; the network.
    let last = 4 * 8 * 8 + 2 * (2 * 3 * 8) + 2 * 8 * 16;
    assert_eq!(config.multiply_adds(3, 5), first + last + 8 * 8 + 8 * 5);
}
