//! `tokenizer.json`, `vocab.txt` and the files beside them.

use std::sync::LazyLock;

use serde_json::Value;
use test_support::model_files::{self, Files};

use crate::bytes::Bytes;
use crate::json::changed;
use crate::model;

/// Files of JSON with their originals.
type Originals = [(&'static str, Value); 4];

static BASE: LazyLock<Files> = LazyLock::new(model::base);
static ORIGINALS: LazyLock<Originals> = LazyLock::new(|| {
    // A vocabulary of a few words leaves most edits to the rest of the file.
    let mut small = model_files::tokenizer_json();
    if let Some(vocabulary) = small["model"]["vocab"].as_object_mut() {
        vocabulary.retain(|_, id| id.as_u64().is_some_and(|id| id < 12));
    }
    [
        ("tokenizer.json", small),
        ("tokenizer_config.json", model_files::tokenizer_config()),
        ("special_tokens_map.json", model_files::special_tokens_map()),
        ("added_tokens.json", model_files::added_tokens()),
    ]
});

/// Loads a model with one or two other files of the tokenizer: an input's bytes, or originals with edits.
pub fn run(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let choice = bytes.byte();
    let mut files = BASE.clone();
    // With `tokenizer.json`, or without.
    if choice & 1 == 0 {
        files.insert("tokenizer.json", model_files::text(&ORIGINALS[0].1));
    }
    // Of any class, or of BERT's.
    if choice & 2 == 0 {
        let config = serde_json::json!({"tokenizer_class": "PreTrainedTokenizerFast"});
        files.insert("tokenizer_config.json", model_files::text(&config));
    }
    match choice >> 2 & 7 {
        4 => drop(files.insert("vocab.txt", bytes.rest().into())),
        5 => {
            let (name, _) = &ORIGINALS[bytes.below(ORIGINALS.len())];
            files.insert(name, bytes.rest().into());
        }
        6 => {
            for (name, original) in &ORIGINALS[1..3] {
                let edits = bytes.byte().into();
                let mut edits = Bytes::new(bytes.slice(edits));
                files.insert(name, model_files::text(&changed(original, &mut edits)));
            }
        }
        index => {
            let (name, original) = &ORIGINALS[usize::from(index) % ORIGINALS.len()];
            files.insert(name, model_files::text(&changed(original, &mut bytes)));
        }
    }
    model::load(files, choice >> 5);
}
