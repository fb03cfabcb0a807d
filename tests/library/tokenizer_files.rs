//! Tokenizers of every combination of files, against Transformers (`tests/reference/tokenizer_files.py`).

use std::path::Path;

use distilbert::{Error, InputError, Tokenizer};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use test_support::{golden, ids, list};

/// Returns the characters that stand for 0 to 63 in the golden.
fn digits() -> Vec<char> {
    ('0'..='9').chain('a'..='z').chain('A'..='Z').chain(['+', '/']).collect()
}

fn write(folder: &Path, name: &str, value: &Value) {
    std::fs::write(folder.join(name), value.to_string()).unwrap();
}

/// Writes the folder of a combination like `write_folder` in the script.
fn write_folder(
    golden: &Value,
    files: &str,
    config: &Value,
    added: &Value,
    class: &Value,
) -> TempDir {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    if files != "vocab.txt" {
        write(path, "tokenizer.json", &golden["tokenizer_json"]);
    }
    if files != "tokenizer.json" {
        let tokens = list(&golden["vocabulary"]).iter().map(|token| token.as_str().unwrap());
        let mut lines: Vec<&str> = tokens.collect();
        if files == "both" {
            lines[5..].reverse();
        }
        std::fs::write(path.join("vocab.txt"), lines.join("\n") + "\n").unwrap();
    }
    let mut settings: Map<String, Value> = config.as_object().unwrap().clone();
    let mut model = Map::from_iter([("model_type".to_owned(), json!("distilbert"))]);
    for (name, value) in added.as_object().unwrap() {
        match name.as_str() {
            "tokenizer_config.json" => settings.extend(value.as_object().unwrap().clone()),
            _ => write(path, name, value),
        }
    }
    if !class.is_null() {
        let json = if settings.is_empty() { &mut model } else { &mut settings };
        json.insert("tokenizer_class".to_owned(), class.clone());
    }
    write(path, "config.json", &Value::Object(model));
    if !settings.is_empty() {
        write(path, "tokenizer_config.json", &Value::Object(settings));
    }
    folder
}

/// Compares the ids of all texts.
fn check(golden: &Value, found: Result<Tokenizer, Error>, expected: Option<&str>, name: &str) {
    let Some(expected) = expected else {
        let refused = matches!(found, Err(Error::Input(InputError::Tokenizer { .. })));
        assert!(refused, "{name}: expected a refusal, found {found:?}");
        return;
    };
    let tokenizer = found.unwrap_or_else(|error| panic!("{name}: {error}"));
    let digits = digits();
    let texts = list(&golden["texts"]).iter().zip(list(&golden["rows"]));
    for ((text, rows), digit) in texts.zip(expected.chars()) {
        let row = digits.iter().position(|known| *known == digit).unwrap();
        let found = tokenizer.encode(text.as_str().unwrap()).unwrap();
        let found = tokenizer.with_special_tokens(&found.ids);
        assert_eq!(found, ids(&rows[row]), "{name}: {text}");
    }
}

#[test]
fn ids_equal_those_of_transformers_for_every_combination_of_files() {
    let golden = golden("tokenizer_files.json");
    assert!(list(&golden["texts"]).len() >= 200);
    let mut combinations = list(&golden["combinations"]).iter();
    for files in list(&golden["files"]) {
        for config in list(&golden["configs"]) {
            for added in list(&golden["added"]) {
                for class in list(&golden["classes"]) {
                    let files = files.as_str().unwrap();
                    let name = format!("{files}, {}, {}, {class}", config[0], added[0]);
                    let folder = write_folder(&golden, files, &config[1], &added[1], class);
                    let answer = combinations.next().unwrap().as_u64();
                    let expected =
                        answer.map(|index| golden["answers"][index as usize].as_str().unwrap());
                    check(&golden, Tokenizer::from_folder(folder.path()), expected, &name);
                }
            }
        }
    }
    assert_eq!(combinations.next(), None);
}
