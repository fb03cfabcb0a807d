//! Edits of a JSON document, so that inputs are valid JSON of nearly the right structure.

use serde_json::{Value, json};

use crate::bytes::Bytes;

/// Largest number of edits of one document.
const MOST_EDITS: usize = 16;

/// Largest number of values that a document grows to, and of bytes that a text grows to.
const LARGEST: usize = 1 << 16;

/// Returns a document with the edits that an input describes.
pub fn changed(original: &Value, bytes: &mut Bytes<'_>) -> Value {
    let mut document = original.clone();
    for _ in 0..MOST_EDITS {
        if bytes.is_empty() {
            break;
        }
        edit(&mut document, bytes);
    }
    document
}

fn edit(document: &mut Value, bytes: &mut Bytes<'_>) {
    let kind = bytes.byte();
    let mut index = bytes.short() % count(document);
    // Of many edits of a large document, most need no copy.
    let from = if kind % 9 == 8 { document.clone() } else { Value::Null };
    let Some(place) = find(document, &mut index) else { return };
    match kind % 9 {
        0 | 1 => *place = interesting(bytes),
        2 => *place = json!(bytes.long() as i64),
        3 => *place = json!(bytes.text()),
        4 => remove(place, bytes.short()),
        5 => insert(place, bytes),
        6 => repeat(place, 1 << (bytes.byte() % 16)),
        7 => {
            *place = if bytes.byte() & 1 == 0 {
                json!([place.take()])
            } else {
                json!({"a": place.take()})
            }
        }
        _ => {
            // Another value of the same document.
            let mut from_index = bytes.short() % count(&from);
            let mut from = from;
            if let Some(value) = find(&mut from, &mut from_index)
                && count(value) < LARGEST / 4
            {
                *place = value.take();
            }
        }
    }
}

/// Returns the number of values in a document, with itself.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

/// Returns the value with an index, from the outside in.
fn find<'v>(value: &'v mut Value, index: &mut usize) -> Option<&'v mut Value> {
    if *index == 0 {
        return Some(value);
    }
    *index -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| find(item, index)),
        Value::Object(fields) => fields.values_mut().find_map(|field| find(field, index)),
        _ => None,
    }
}

fn interesting(bytes: &mut Bytes<'_>) -> Value {
    const NUMBERS: [i64; 14] =
        [0, 1, -1, 2, 3, 8, 17, 24, 255, 65_536, 16_777_216, 1 << 31, 1 << 40, i64::MAX];
    const TEXTS: [&str; 14] = [
        "",
        "[UNK]",
        "[CLS]",
        "##",
        "a",
        "w5",
        "BPE",
        "Unigram",
        "WordLevel",
        "Sequence",
        "Replace",
        "PreTrainedTokenizerFast",
        "\u{301}\u{0}",
        "F16",
    ];
    match bytes.below(8) {
        0 => json!(bytes.choose(&NUMBERS)),
        1 => json!(bytes.choose(&TEXTS)),
        2 => Value::Null,
        3 => json!(bytes.byte() & 1 == 0),
        4 => json!([]),
        5 => json!({}),
        6 => json!(u64::MAX),
        _ => json!(bytes.choose(&[0.5, -1.5, 1e30, 1e300, -0.0])),
    }
}

fn remove(place: &mut Value, index: usize) {
    match place {
        Value::Array(items) if !items.is_empty() => drop(items.remove(index % items.len())),
        Value::Object(fields) if !fields.is_empty() => {
            let key = fields.keys().nth(index % fields.len()).cloned();
            key.and_then(|key| fields.remove(&key));
        }
        Value::String(text) => drop(text.pop()),
        _ => {}
    }
}

fn insert(place: &mut Value, bytes: &mut Bytes<'_>) {
    match place {
        Value::Array(items) => {
            let value = interesting(bytes);
            items.insert(bytes.short() % (items.len() + 1), value);
        }
        Value::Object(fields) => {
            let key = bytes.text();
            fields.insert(key, interesting(bytes));
        }
        Value::String(text) => text.push_str(&bytes.text()),
        _ => {}
    }
}

/// Repeats the items of a list, or a text.
fn repeat(place: &mut Value, times: usize) {
    match place {
        Value::Array(items) => {
            let size: usize = items.iter().map(count).sum();
            let times = times.min(LARGEST / size.max(1)).max(1);
            *items = (0..times).flat_map(|_| items.iter().cloned()).collect();
        }
        Value::String(text) => *text = text.repeat(times.min(LARGEST / text.len().max(1)).max(1)),
        _ => {}
    }
}
