//! Vocabularies in `tokenizer.json` and `vocab.txt`.

use serde_json::{Map, Value};

/// Upper bound of token ids, which equals the largest size that `config.json` may have.
const LARGEST_ID: u64 = 1 << 24;

/// Maximum number of bytes of memory that an entry of a vocabulary takes, besides its text.
const ENTRY_BYTES: usize = 200;

/// Memory that a vocabulary may take whatever the size of its file.
const FREE_BYTES: usize = 48 << 20;

/// Takes the vocabulary of `tokenizer.json`, whatever its model.
///
/// # Errors
/// Describes the defect.
pub(super) fn from_json(json: &mut Map<String, Value>) -> Result<Vec<(String, u32)>, String> {
    let vocabulary = json.get_mut("model").and_then(|model| model.get_mut("vocab"));
    match vocabulary.map(Value::take) {
        Some(Value::Object(entries)) => {
            let entry = |(token, id)| Ok((token, token_id(&id)?));
            entries.into_iter().map(entry).collect()
        }
        Some(Value::Array(entries)) => {
            let entry = |(index, entry): (usize, Value)| match entry {
                Value::String(token) => Ok((token, index as u32)),
                entry => match entry.get(0).and_then(Value::as_str) {
                    Some(token) => Ok((token.to_owned(), index as u32)),
                    None => Err("`vocab` should be a list of tokens".to_owned()),
                },
            };
            entries.into_iter().enumerate().map(entry).collect()
        }
        _ => Err("it has no vocabulary in `model.vocab`".to_owned()),
    }
}

/// Checks the ids of the vocabulary of `tokenizer.json`, if it has ids.
///
/// # Errors
/// Describes the defect.
pub(super) fn check_ids(json: &Map<String, Value>) -> Result<(), String> {
    match json.get("model").and_then(|model| model.get("vocab")) {
        Some(Value::Object(entries)) => entries.values().try_for_each(|id| token_id(id).map(drop)),
        _ => Ok(()),
    }
}

/// Reads `vocab.txt`: one token per line.
///
/// # Errors
/// Describes the defect.
pub(super) fn from_lines(text: &[u8]) -> Result<Vec<(String, u32)>, String> {
    let lines = text.iter().filter(|byte| **byte == b'\n').count();
    if lines.saturating_mul(ENTRY_BYTES) > FREE_BYTES.saturating_add(12 * text.len()) {
        return Err(format!("its {lines} lines are too short to be a vocabulary"));
    }
    let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
    Ok(text.lines().zip(0..).map(|(line, id)| (line.trim_end().to_owned(), id)).collect())
}

fn token_id(id: &Value) -> Result<u32, String> {
    match id.as_u64() {
        Some(number) if number < LARGEST_ID => Ok(number as u32),
        _ => Err(format!("an id in `vocab` should be below {LARGEST_ID}, found {id}")),
    }
}
