//! Damaged model files give an error or a model, but never a panic, and take little memory. This is the only test of its
//! process because it measures the memory of all threads and silences panics.

#![cfg(all(feature = "text", feature = "explain"))]

use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use distilbert::explain::ExplainOptions;
use distilbert::{Classifier, InstructionSet, ModelBytes, Precision, TokenBatch};
use rayon::{ThreadPool, ThreadPoolBuilder};
use serde_json::{Map, Value, json};
use test_support::Dice;
use test_support::counting::{Counting, peak};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Number of damaged models.
const ROUNDS: u64 = if cfg!(debug_assertions) { 2000 } else { 200_000 };

/// Number of failures after which the test stops.
const MOST_FAILURES: usize = 20;

/// Time after which loading and computing counts as hanging; the usual time is below a millisecond.
const HANGING: Duration = Duration::from_secs(20);

/// Texts that a model must accept if it loads.
const TEXTS: [&str; 3] = ["w5 W17 <user>, café w5w6", "", "\u{1F600}\u{0}\u{301} [MASK] 你好"];

type Files = BTreeMap<&'static str, Arc<[u8]>>;

fn reference(name: &str) -> Arc<[u8]> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name);
    std::fs::read(path).unwrap().into()
}

fn text(json: Value) -> Arc<[u8]> {
    json.to_string().into_bytes().into()
}

/// Returns the files of a tokenizer, in each of the layouts that Transformers has written.
fn tokenizers() -> Vec<Files> {
    let vocabulary = reference("tf_model/vocab.txt");
    let words = std::str::from_utf8(&vocabulary).unwrap().lines();
    let vocab: Map<String, Value> =
        words.enumerate().map(|(id, word)| (word.to_owned(), json!(id))).collect();
    let special = |id: usize, content: &str| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true})
    };
    let tokenizer = json!({
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
    });
    let settings = json!({"do_lower_case": true, "strip_accents": null, "tokenizer_class": "DistilBertTokenizer",
        "model_max_length": 20, "cls_token": "[CLS]", "unk_token": {"content": "[UNK]", "lstrip": false},
        "additional_special_tokens": ["w7"],
        "added_tokens_decoder": {"0": {"content": "[PAD]", "special": true}, "89": {"content": "w89"}}});
    let special =
        json!({"sep_token": "[SEP]", "mask_token": {"content": "w9", "single_word": true}});
    let modern =
        [("tokenizer.json", text(tokenizer)), ("tokenizer_config.json", text(settings.clone()))];
    let old = [
        ("vocab.txt", vocabulary),
        ("tokenizer_config.json", text(settings)),
        ("special_tokens_map.json", text(special)),
        ("added_tokens.json", text(json!({"w88": 88, "<user>": 89}))),
    ];
    vec![modern.into(), old.into()]
}

/// Returns the files of the same weights in each of the formats.
fn weights() -> Vec<Files> {
    let index = |names: [&str; 2]| {
        let tensors = ["classifier.weight", "classifier.bias"];
        let map: Map<String, Value> = tensors
            .iter()
            .zip(names)
            .map(|(tensor, name)| ((*tensor).to_owned(), json!(name)))
            .collect();
        text(json!({"metadata": {"total_size": 0}, "weight_map": map}))
    };
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
    if cfg!(feature = "tensorflow") {
        formats.push(Files::from([("tf_model.h5", reference("tf_model/tf_model.h5"))]));
    }
    formats
}

/// Damages a file: its structure more often than its values, which begin or end most weight files.
fn mutated(original: &[u8], dice: &mut Dice) -> Vec<u8> {
    const STRUCTURE: usize = 8000;
    let mut bytes = original.to_vec();
    for _ in 0..1 + dice.below(3) {
        if bytes.is_empty() {
            break;
        }
        let len = bytes.len();
        let at = match dice.below(4) {
            0 => dice.below(len),
            1 => len - 1 - dice.below(len.min(STRUCTURE)),
            _ => dice.below(len.min(STRUCTURE)),
        };
        let end = len.min(at + 1 + dice.below(40));
        match dice.below(10) {
            0 => bytes[at] ^= 1 << dice.below(8),
            1 => bytes[at] = dice.below(256) as u8,
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let block = bytes[at..end].to_vec();
                bytes.splice(at..at, block);
            }
            // Another block of the same file, a field that counts, or a number.
            5 => {
                let from = dice.below(len);
                let block = bytes[from..len.min(from + end - at)].to_vec();
                bytes[at..at + block.len().min(len - at)]
                    .copy_from_slice(&block[..block.len().min(len - at)]);
            }
            6 => bytes[at..end.min(at + 8)].fill([0, 0x7F, 0x80, 0xFF][dice.below(4)]),
            _ => {
                let token = JSON_TOKENS[dice.below(JSON_TOKENS.len())];
                replace_token(&mut bytes, at, token);
            }
        }
    }
    bytes
}

/// Values that a number, a keyword or a text of JSON is replaced by.
const JSON_TOKENS: [&str; 22] = [
    "0",
    "1",
    "-1",
    "2",
    "3",
    "8",
    "17",
    "255",
    "65536",
    "16777216",
    "2147483648",
    "18446744073709551615",
    "1e999",
    "0.5",
    "null",
    "true",
    "false",
    "\"\"",
    "\"[UNK]\"",
    "[]",
    "{}",
    "[[]]",
];

/// Replaces the number, keyword or text after `at`.
fn replace_token(bytes: &mut Vec<u8>, at: usize, token: &str) {
    let begins = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'"' | b'-');
    let Some(start) = bytes[at..].iter().position(begins).map(|offset| at + offset) else { return };
    let rest = &bytes[start + 1..];
    let len = match bytes[start] {
        b'"' => rest.iter().position(|&byte| byte == b'"').map(|len| len + 1),
        _ => rest.iter().position(|byte| !begins(byte) || *byte == b'"'),
    };
    let end = start + 1 + len.unwrap_or(0);
    bytes.splice(start..end, token.bytes());
}

/// Builds a model of which one file or a few are damaged, and returns it with the names of those and the total size.
fn damaged(
    formats: &[Files],
    tokenizers: &[Files],
    seed: u64,
) -> (ModelBytes, Vec<&'static str>, usize) {
    let mut dice = Dice(seed);
    let mut files = formats[dice.below(formats.len())].clone();
    files.extend(tokenizers[dice.below(tokenizers.len())].clone());
    files.insert("config.json", reference_config());
    let names: Vec<&'static str> = files.keys().copied().collect();
    let chosen: Vec<_> =
        (0..1 + dice.below(8) / 6).map(|_| names[dice.below(names.len())]).collect();
    for name in &chosen {
        let bytes = mutated(&files[name], &mut dice);
        files.insert(name, bytes.into());
    }
    let size = files.values().map(|bytes| bytes.len()).sum();
    let model =
        files.into_iter().fold(ModelBytes::new(), |model, (name, bytes)| model.file(name, bytes));
    (model, chosen, size)
}

fn reference_config() -> Arc<[u8]> {
    text(json!({
        "model_type": "distilbert", "architectures": ["DistilBertForSequenceClassification"], "activation": "gelu",
        "dim": 24, "hidden_dim": 40, "n_layers": 2, "n_heads": 3, "vocab_size": 90, "max_position_embeddings": 24,
        "sinusoidal_pos_embds": false, "pad_token_id": 0, "problem_type": "single_label_classification",
        "id2label": {"0": "anger", "1": "happiness", "2": "sadness"},
        "label2id": {"anger": 0, "happiness": 1, "sadness": 2},
    }))
}

/// Precisions of the portable instruction set.
const PRECISIONS: [Precision; 3] = [Precision::F32, Precision::F16, Precision::Int8];

/// Loads a model and uses it in every way; returns `true` if it loaded.
fn use_model(model: ModelBytes, pool: &Arc<ThreadPool>, seed: u64) -> bool {
    let precision = PRECISIONS[seed as usize % PRECISIONS.len()];
    // With a pool of one thread, loading starts no threads of its own.
    let builder = Classifier::builder_from(model)
        .precision(precision)
        .thread_pool(pool.clone())
        .instruction_set(InstructionSet::Portable);
    let classifier = match builder.build() {
        Ok(classifier) => classifier,
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "several lines: {error}");
            return false;
        }
    };
    let _ = classifier.classify_batch(&TEXTS);
    for text in TEXTS {
        let _ = classifier.classify(text);
    }
    let _ = classifier.explain(TEXTS[0], &ExplainOptions::default());
    let _ = classifier.logits(&TokenBatch::from_rows(&[[1, 5, 2]]).unwrap());
    let _ = format!("{:?}", classifier.info());
    true
}

#[test]
fn damaged_models_give_an_error_or_load() {
    let (formats, tokenizers) = (weights(), tokenizers());
    let pool = Arc::new(ThreadPoolBuilder::new().num_threads(1).build().unwrap());
    for (format, tokenizer) in
        formats.iter().flat_map(|format| tokenizers.iter().map(move |files| (format, files)))
    {
        let files = format.iter().chain(tokenizer);
        let model =
            files.fold(ModelBytes::new(), |model, (name, bytes)| model.file(*name, bytes.clone()));
        assert!(
            use_model(model.file("config.json", reference_config()), &pool, 0),
            "the originals should load"
        );
    }
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let first = number("MUTATIONS_FROM").unwrap_or(0);
    let rounds = number("MUTATIONS").unwrap_or(ROUNDS);
    let (mut loaded, mut refused, mut most) = (0, 0, 0);
    let mut failures = Vec::new();
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    for seed in first..first + rounds {
        let (model, names, size) = damaged(&formats, &tokenizers, seed);
        let started = Instant::now();
        let mut result = Ok(false);
        let memory = peak(|| {
            result = panic::catch_unwind(AssertUnwindSafe(|| use_model(model, &pool, seed)));
        });
        let failure = match result {
            Err(payload) => {
                let text = payload.downcast_ref::<String>().cloned();
                let text =
                    text.or_else(|| payload.downcast_ref::<&str>().map(|text| text.to_string()));
                Some(format!("panicked: {}", text.unwrap_or_default()))
            }
            Ok(_) if memory > 16 * size + (64 << 20) => {
                Some(format!("took {memory} bytes for {size}"))
            }
            Ok(_) if started.elapsed() > HANGING => Some(format!("took {:?}", started.elapsed())),
            Ok(is_loaded) => {
                if is_loaded {
                    loaded += 1
                } else {
                    refused += 1
                }
                None
            }
        };
        most = most.max(memory);
        failures
            .extend(failure.map(|failure| format!("MUTATIONS_FROM={seed} {names:?} {failure}")));
        if failures.len() >= MOST_FAILURES {
            break;
        }
    }
    panic::set_hook(hook);
    println!("{loaded} loaded, {refused} refused, at most {most} bytes");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    if rounds >= 1000 {
        assert!(
            loaded > rounds / 20 && refused > rounds / 20,
            "{loaded} loaded, {refused} refused"
        );
    }
}
