//! Files of one small model in every layout and format that is read, for tests that damage them.

use std::collections::BTreeMap;
use std::sync::Arc;

use distilbert::ModelBytes;
use serde_json::{Map, Value, json};

/// Files of a model by name.
pub type Files = BTreeMap<&'static str, Arc<[u8]>>;

/// Reads a file of `tests/reference`.
pub fn reference(name: &str) -> Arc<[u8]> {
    let path = crate::root().join("tests/reference").join(name);
    let bytes = std::fs::read(&path);
    bytes.unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
}

/// Returns JSON as the content of a file.
pub fn text(json: &Value) -> Arc<[u8]> {
    json.to_string().into_bytes().into()
}

/// Returns files as a model in memory.
pub fn model_bytes(files: impl IntoIterator<Item = (&'static str, Arc<[u8]>)>) -> ModelBytes {
    files.into_iter().fold(ModelBytes::new(), |model, (name, bytes)| model.file(name, bytes))
}

/// Returns a complete `tokenizer.json`.
pub fn tokenizer_json() -> Value {
    let vocabulary = reference("tf_model/vocab.txt");
    let words = std::str::from_utf8(&vocabulary).unwrap().lines();
    let vocab: Map<String, Value> =
        words.enumerate().map(|(id, word)| (word.to_owned(), json!(id))).collect();
    let special = |id: usize, content: &str| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true})
    };
    json!({
        "version": "1.0", "truncation": {"direction": "Right", "max_length": 16, "strategy": "LongestFirst",
        "stride": 0}, "padding": null,
        "added_tokens": [special(0, "[PAD]"), special(1, "[CLS]"), special(2, "[SEP]"), special(3, "[UNK]")],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                       "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                       {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [1], "tokens": ["[CLS]"]},
                               "[SEP]": {"id": "[SEP]", "ids": [2], "tokens": ["[SEP]"]}}},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": vocab},
    })
}

/// Returns a `tokenizer_config.json`.
pub fn tokenizer_config() -> Value {
    json!({"do_lower_case": true, "strip_accents": null, "tokenizer_class": "DistilBertTokenizer",
        "model_max_length": 20, "cls_token": "[CLS]", "unk_token": {"content": "[UNK]", "lstrip": false},
        "additional_special_tokens": ["w7"],
        "added_tokens_decoder": {"0": {"content": "[PAD]", "special": true}, "89": {"content": "w89"}}})
}

/// Returns a `special_tokens_map.json`.
pub fn special_tokens_map() -> Value {
    json!({"sep_token": "[SEP]", "mask_token": {"content": "w9", "single_word": true}})
}

/// Returns an `added_tokens.json`.
pub fn added_tokens() -> Value {
    json!({"w88": 88, "<user>": 89})
}

/// Returns the files of a tokenizer, in each of the layouts that Transformers has written.
pub fn tokenizers() -> [Files; 2] {
    let settings = text(&tokenizer_config());
    [
        [("tokenizer.json", text(&tokenizer_json())), ("tokenizer_config.json", settings.clone())]
            .into(),
        [
            ("vocab.txt", reference("tf_model/vocab.txt")),
            ("tokenizer_config.json", settings),
            ("special_tokens_map.json", text(&special_tokens_map())),
            ("added_tokens.json", text(&added_tokens())),
        ]
        .into(),
    ]
}

/// Returns an index of two shards.
pub fn shard_index(names: [&str; 2]) -> Value {
    let tensors = ["classifier.weight", "classifier.bias"];
    let map: Map<String, Value> = tensors
        .iter()
        .zip(names)
        .map(|(tensor, name)| ((*tensor).to_owned(), json!(name)))
        .collect();
    json!({"metadata": {"total_size": 0}, "weight_map": map})
}

/// Returns the files of the same weights in each of the formats; TensorFlow's is the last.
pub fn weights() -> Vec<Files> {
    let index = |names: [&str; 2]| text(&shard_index(names));
    let first = "pytorch_model-00001-of-00002.bin";
    let second = "pytorch_model-00002-of-00002.bin";
    let shard = |name: &str| reference(&format!("pytorch_model/shards/{name}"));
    let mut formats = vec![
        Files::from([("model.safetensors", reference("tf_model/twin.safetensors"))]),
        Files::from([
            ("model.safetensors.index.json", index(["a.safetensors"; 2])),
            ("a.safetensors", reference("tf_model/twin.safetensors")),
        ]),
        Files::from([("pytorch_model.bin", reference("pytorch_model/torch-1.4.0.bin"))]),
        Files::from([("pytorch_model.bin", reference("pytorch_model/torch-2.14.1.bin"))]),
        Files::from([("pytorch_model.bin", reference("pytorch_model/views.bin"))]),
        Files::from([
            ("pytorch_model.bin.index.json", index([first, second])),
            (first, shard(first)),
            (second, shard(second)),
        ]),
    ];
    formats.push(Files::from([("tf_model.h5", reference("tf_model/tf_model.h5"))]));
    formats
}

/// Returns the configuration of the weights.
pub fn config() -> Value {
    json!({
        "model_type": "distilbert", "architectures": ["DistilBertForSequenceClassification"], "activation": "gelu",
        "dim": 24, "hidden_dim": 40, "n_layers": 2, "n_heads": 3, "vocab_size": 90, "max_position_embeddings": 24,
        "sinusoidal_pos_embds": false, "pad_token_id": 0, "problem_type": "single_label_classification",
        "id2label": {"0": "anger", "1": "happiness", "2": "sadness"},
        "label2id": {"anger": 0, "happiness": 1, "sadness": 2},
    })
}
