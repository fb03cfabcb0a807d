//! Model folders whose configuration and names differ from what Transformers writes today.

use std::path::Path;

use distilbert::{CheckpointError, Classifier, ConfigError, Error, ProblemType, TokenBatch};
use safetensors::Dtype;
use serde_json::{Value, json};
use tempfile::TempDir;
use test_support::generator::{GeneratedModel, Tensor};

fn write(model: &GeneratedModel) -> TempDir {
    let folder = TempDir::new().unwrap();
    model.write(folder.path());
    folder
}

fn open(folder: &Path) -> Result<Classifier, Error> {
    Classifier::builder(folder).threads(1).build()
}

fn classifier(model: &GeneratedModel) -> Classifier {
    open(write(model).path()).unwrap()
}

fn error_of(model: &GeneratedModel) -> Error {
    open(write(model).path()).unwrap_err()
}

fn bits(classifier: &Classifier) -> Vec<u32> {
    let batch = TokenBatch::from_rows(&[vec![1, 50, 70, 2], vec![1, 9, 2]]).unwrap();
    classifier.logits(&batch).unwrap().iter().map(|logit| logit.to_bits()).collect()
}

/// Returns a small model with this many outputs.
fn with_outputs(outputs: usize) -> GeneratedModel {
    let mut config = GeneratedModel::small().config;
    let labels = (0..outputs).map(|id| (id.to_string(), json!(format!("label {id}"))));
    config["id2label"] = Value::Object(labels.collect());
    GeneratedModel::new(config, 5)
}

fn rename(model: &mut GeneratedModel, from: &str, to: &str) {
    let tensors = std::mem::take(&mut model.tensors).into_iter();
    model.tensors = tensors.map(|(name, tensor)| (name.replace(from, to), tensor)).collect();
}

#[test]
fn old_names_of_layer_norms_load() {
    let model = GeneratedModel::small();
    let mut old = model.clone().prefixed();
    for norm in ["LayerNorm", "layer_norm"] {
        rename(&mut old, &format!("{norm}.weight"), &format!("{norm}.gamma"));
        rename(&mut old, &format!("{norm}.bias"), &format!("{norm}.beta"));
    }
    assert!(old.tensors.contains_key("distilbert.transformer.layer.0.sa_layer_norm.gamma"));
    let (found, expected) = (classifier(&old), classifier(&model));
    assert_eq!(bits(&found), bits(&expected));
    assert_eq!(found.info().parameters, expected.info().parameters);
}

#[test]
fn sizes_under_usual_names_load() {
    let model = GeneratedModel::small();
    let mut renamed = model.clone();
    let config = renamed.config.as_object_mut().unwrap();
    for (from, to) in [
        ("dim", "hidden_size"),
        ("n_heads", "num_attention_heads"),
        ("n_layers", "num_hidden_layers"),
        ("hidden_dim", "intermediate_size"),
    ] {
        let size = config.remove(from).unwrap();
        config.insert(to.to_owned(), size);
    }
    assert_eq!(bits(&classifier(&renamed)), bits(&classifier(&model)));
}

#[test]
fn label2id_never_blocks_loading() {
    for label2id in
        [json!({"label 0": "0"}), json!({"LABEL_0": 0}), json!({"0": "label 0"}), json!(3)]
    {
        let mut model = GeneratedModel::small();
        model.config["label2id"] = label2id;
        assert_eq!(classifier(&model).labels()[0], "label 0");
    }
}

#[test]
fn buffers_are_not_parameters() {
    let model = GeneratedModel::small();
    let mut buffered = model.clone();
    for (name, dtype) in [
        ("embeddings.position_ids", Dtype::I64),
        ("distilbert.embeddings.token_type_ids", Dtype::I64),
        ("loss_weights", Dtype::F64),
    ] {
        let tensor = Tensor { dtype, shape: vec![1, 40], bytes: vec![0; 320] };
        buffered.tensors.insert(name.to_owned(), tensor);
    }
    let (found, expected) = (classifier(&buffered), classifier(&model));
    assert_eq!(bits(&found), bits(&expected));
    assert_eq!(found.info().parameters, expected.info().parameters);
    assert_eq!(found.info().dtypes, expected.info().dtypes);
}

#[test]
fn one_output_gets_a_sigmoid_like_in_a_pipeline() {
    let batch = TokenBatch::from_rows(&[vec![1, 50, 70, 2]]).unwrap();
    let score = |problem_type: Value| {
        let mut model = with_outputs(1);
        model.config["problem_type"] = problem_type;
        let classifier = classifier(&model);
        let prediction = classifier.classify_tokens(&batch).unwrap().remove(0);
        (classifier.problem_type(), prediction.score(), prediction.logits()[0])
    };
    let (kind, probability, logit) = score(Value::Null);
    assert_eq!(kind, ProblemType::MultiLabelClassification);
    assert_eq!(probability, (1.0 / (1.0 + (-f64::from(logit)).exp())) as f32);
    let (kind, value, logit) = score(json!("regression"));
    assert_eq!((kind, value), (ProblemType::Regression, logit));
}

#[test]
fn rejects_a_softmax_of_one_output() {
    let mut model = with_outputs(1);
    model.config["problem_type"] = json!("single_label_classification");
    let without_labels = {
        let mut model = model.clone();
        model.config.as_object_mut().unwrap().remove("id2label");
        model
    };
    for model in [model, without_labels] {
        let error = error_of(&model);
        let refused =
            matches!(&error, Error::Config(ConfigError::Field { field: "problem_type", .. }));
        assert!(refused, "{error}");
    }
}

#[test]
fn other_heads_are_named() {
    let head = |class: &str, tensors: &[(&str, &[usize])]| {
        let mut model = GeneratedModel::small().prefixed();
        model.tensors.retain(|name, _| !name.contains("classifier"));
        for (name, shape) in tensors {
            let values = vec![0.5; shape.iter().product()];
            model.tensors.insert((*name).to_owned(), Tensor::new(Dtype::F32, shape, &values));
        }
        model.config["architectures"] = json!([class]);
        error_of(&model)
    };
    for (error, expected) in [
        (
            head("DistilBertForQuestionAnswering", &[("qa_outputs.weight", &[2, 32])]),
            "question answering",
        ),
        (
            head("DistilBertForMaskedLM", &[("vocab_projector.bias", &[120])]),
            "masked language modeling",
        ),
        (
            head(
                "DistilBertForTokenClassification",
                &[("classifier.weight", &[7, 32]), ("classifier.bias", &[7])],
            ),
            "token classification",
        ),
        (
            head(
                "DistilBertForMultipleChoice",
                &[
                    ("pre_classifier.weight", &[32, 32]),
                    ("pre_classifier.bias", &[32]),
                    ("classifier.weight", &[1, 32]),
                    ("classifier.bias", &[1]),
                ],
            ),
            "multiple choice",
        ),
        (head("DistilBertModel", &[]), "without a head"),
    ] {
        let message = error.to_string();
        assert!(
            matches!(error, Error::Checkpoint(CheckpointError::OtherModel { .. })),
            "{message}"
        );
        assert!(message.contains(expected), "{message}");
        assert!(message.contains("expected a DistilBertForSequenceClassification"), "{message}");
    }
}

#[test]
fn architectures_of_the_base_model_are_ignored() {
    let mut model = GeneratedModel::small().prefixed();
    model.config["architectures"] = json!(["DistilBertForMaskedLM"]);
    model.tensors.insert("vocab_projector.bias".to_owned(), Tensor::new(Dtype::F32, &[1], &[0.5]));
    assert_eq!(bits(&classifier(&model)), bits(&classifier(&GeneratedModel::small())));
}

#[test]
fn other_families_are_named() {
    for (model_type, class) in
        [("bert", "BertForSequenceClassification"), ("roberta", "RobertaForTokenClassification")]
    {
        let mut model = GeneratedModel::small();
        model.config["model_type"] = json!(model_type);
        model.config["architectures"] = json!([class]);
        let message = error_of(&model).to_string();
        assert!(message.contains(class) && message.contains("distilbert"), "{message}");
        // Old configurations don't name the family.
        model.config.as_object_mut().unwrap().remove("model_type");
        let tensors = std::mem::take(&mut model.tensors).into_iter();
        model.tensors =
            tensors.map(|(name, tensor)| (format!("{model_type}.{name}"), tensor)).collect();
        let message = error_of(&model).to_string();
        assert!(message.contains(class), "{message}");
    }
}

#[test]
fn adapters_are_named() {
    let folder = TempDir::new().unwrap();
    let adapter = json!({ "peft_type": "LORA", "base_model_name_or_path": "some/base" });
    std::fs::write(folder.path().join("adapter_config.json"), adapter.to_string()).unwrap();
    let with_config = TempDir::new().unwrap();
    GeneratedModel::small().write_config(with_config.path());
    std::fs::write(with_config.path().join("adapter_config.json"), "{").unwrap();
    for (folder, base) in [(&folder, Some("some/base")), (&with_config, None)] {
        match open(folder.path()) {
            Err(Error::Checkpoint(error @ CheckpointError::Adapter { .. })) => {
                let message = error.to_string();
                assert!(message.contains("merge_and_unload"), "{message}");
                assert!(base.is_none_or(|base| message.contains(base)), "{message}");
            }
            other => panic!("expected an adapter, found {other:?}"),
        }
    }
}

#[cfg(feature = "text")]
mod text {
    use super::*;
    use distilbert::InputError;

    const VOCABULARY: [&str; 8] =
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "Good", "day"];

    fn with_tokenizer(json: &Value) -> TempDir {
        let folder = write(&GeneratedModel::small());
        std::fs::write(folder.path().join("tokenizer.json"), json.to_string()).unwrap();
        folder
    }

    fn tokenizer_json() -> Value {
        let vocabulary =
            VOCABULARY.iter().zip(0..).map(|(token, id)| ((*token).to_owned(), json!(id)));
        json!({
            "version": "1.0", "added_tokens": [],
            "normalizer": { "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": false },
            "pre_tokenizer": { "type": "BertPreTokenizer" },
            "post_processor": { "type": "BertProcessing", "cls": ["[CLS]", 2], "sep": ["[SEP]", 3] },
            "decoder": null,
            "model": { "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100, "vocab": Value::Object(vocabulary.collect()) },
        })
    }

    /// Loads the tokenizer as it is, as for `PreTrainedTokenizerFast`, and as BERT's.
    fn refusals(json: &Value) -> Vec<String> {
        let mut refusals = Vec::new();
        for class in ["PreTrainedTokenizerFast", "DistilBertTokenizer"] {
            let folder = with_tokenizer(json);
            let config = json!({ "tokenizer_class": class }).to_string();
            std::fs::write(folder.path().join("tokenizer_config.json"), config).unwrap();
            match open(folder.path()) {
                Err(Error::Input(InputError::Tokenizer { reason, .. })) => refusals.push(reason),
                Err(error) => panic!("{class}: {error}"),
                Ok(_) => {}
            }
        }
        refusals
    }

    #[test]
    fn conversion_keeps_every_file_of_the_tokenizer() {
        let folder = with_tokenizer(&tokenizer_json());
        let files = [
            ("tokenizer_config.json", "{\"do_lower_case\": false}"),
            ("special_tokens_map.json", "{\"mask_token\": \"[MASK]\"}"),
            ("added_tokens.json", "{\"<user>\": 8}"),
        ];
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let to = TempDir::new().unwrap();
        distilbert::convert(folder.path(), to.path().join("f32"), None).unwrap();
        distilbert::quantize(folder.path(), to.path().join("int8")).unwrap();
        for converted in ["f32", "int8"] {
            for name in
                files.map(|(name, _)| name).into_iter().chain(["tokenizer.json", "vocab.txt"])
            {
                let read = |folder: &Path| std::fs::read(folder.join(name)).unwrap();
                assert_eq!(read(&to.path().join(converted)), read(folder.path()), "{name}");
            }
            let tokenizer = distilbert::Tokenizer::from_folder(to.path().join(converted)).unwrap();
            assert_eq!(tokenizer.encode("Good <user> day").unwrap().ids, [6, 8, 7]);
        }
    }

    #[test]
    fn unusable_templates_are_refused() {
        let special = |name| json!({ "SpecialToken": { "id": name, "type_id": 0 } });
        let text = json!({ "Sequence": { "id": "A", "type_id": 0 } });
        let mut json = tokenizer_json();
        json["post_processor"] = json!({
            "type": "TemplateProcessing", "single": [special("[NOPE]"), text, special("[SEP]")], "pair": [],
            "special_tokens": { "[SEP]": { "id": "[SEP]", "ids": [3], "tokens": ["[SEP]"] } },
        });
        let found = refusals(&json);
        assert!(
            found.len() == 2 && found.iter().all(|reason| reason.contains("[NOPE]")),
            "{found:?}"
        );
    }

    #[test]
    fn unused_parts_are_not_parsed() {
        let mut json = tokenizer_json();
        for part in ["decoder", "truncation"] {
            json[part] = json!({ "type": "Magic" });
        }
        assert_eq!(refusals(&json), Vec::<String>::new());
    }

    #[test]
    fn damaged_tokenizers_are_refused() {
        let whole = tokenizer_json().to_string();
        for end in 0..whole.len() {
            let folder = write(&GeneratedModel::small());
            std::fs::write(folder.path().join("tokenizer.json"), &whole[..end]).unwrap();
            let found = distilbert::Tokenizer::from_folder(folder.path());
            assert!(matches!(found, Err(Error::Input(InputError::Tokenizer { .. }))), "{end}");
        }
        for (path, value) in [
            ("/model/vocab/good", json!(1u64 << 40)),
            ("/model/vocab/good", json!(-1)),
            ("/model/vocab", json!(3)),
            ("/model/vocab/[CLS]", json!(120)),
            ("/post_processor/cls", json!(["[CLS]", 120])),
            ("/post_processor/cls", json!([])),
            ("/added_tokens", json!(3)),
        ] {
            let mut json = tokenizer_json();
            *json.pointer_mut(path).unwrap() = value.clone();
            assert!(!refusals(&json).is_empty(), "{path} = {value}");
        }
    }

    #[test]
    fn regular_expressions_are_refused() {
        let mut json = tokenizer_json();
        json["normalizer"] =
            json!({ "type": "Replace", "pattern": { "Regex": "(a|a)*$" }, "content": "" });
        // A BERT tokenizer has its own normalizer.
        assert_eq!(refusals(&json).len(), 1);
    }

    #[test]
    fn json_of_tiny_values_is_refused() {
        let folder = with_tokenizer(&tokenizer_json());
        let values = format!("{{\"model\": [{}0]}}", "0,".repeat(1 << 20));
        std::fs::write(folder.path().join("tokenizer.json"), values).unwrap();
        let found = distilbert::Tokenizer::from_folder(folder.path());
        assert!(matches!(found, Err(Error::Input(InputError::Tokenizer { .. }))));
        std::fs::write(folder.path().join("vocab.txt"), "\n".repeat(1 << 20)).unwrap();
        std::fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
        let found = distilbert::Tokenizer::from_folder(folder.path());
        assert!(matches!(found, Err(Error::Input(InputError::Tokenizer { .. }))));
    }
}
