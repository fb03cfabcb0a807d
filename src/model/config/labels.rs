//! Names of the head's outputs in `config.json`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{mismatch, size};
use crate::error::ConfigError;

/// Largest number of labels without names. They get names before the number is compared with the weights.
const MOST_UNNAMED: usize = 1 << 16;

/// Returns the labels in the order of their ids, `LABEL_0` and so on for a `num_labels` that differs from their number,
/// or none.
///
/// `label2id` is not read: Transformers names outputs by `id2label` alone, and checkpoints often have a stale one.
pub(super) fn labels(json: &Map<String, Value>) -> Result<Vec<String>, ConfigError> {
    let given = |field: &str| json.get(field).filter(|value| !value.is_null());
    let labels = given("id2label").map(labels_by_id).transpose()?.unwrap_or_default();
    let Some(found) = given("num_labels") else {
        return Ok(labels);
    };
    match size(json, "num_labels", 2)? {
        count if count == labels.len() => Ok(labels),
        count if count <= MOST_UNNAMED => Ok(generic_labels(count)),
        _ => {
            let expected = format!("at most {MOST_UNNAMED} unless id2label names them");
            Err(mismatch("num_labels", &expected, found))
        }
    }
}

/// Returns Hugging Face's default names of outputs.
pub(crate) fn generic_labels(count: usize) -> Vec<String> {
    (0..count).map(|id| format!("LABEL_{id}")).collect()
}

/// Reads `id2label`, or a map from names to ids in its place.
fn labels_by_id(value: &Value) -> Result<Vec<String>, ConfigError> {
    let wrong = || mismatch("id2label", "names for the ids 0, 1, 2 and so on", value);
    let map = value.as_object().ok_or_else(wrong)?;
    let by_id: BTreeMap<usize, String> = match map.iter().map(entry).collect::<Option<_>>() {
        Some(by_id) => by_id,
        None => map.iter().map(reversed_entry).collect::<Option<_>>().ok_or_else(wrong)?,
    };
    if by_id.is_empty() || by_id.len() != map.len() || !by_id.keys().copied().eq(0..by_id.len()) {
        return Err(wrong());
    }
    Ok(by_id.into_values().collect())
}

fn entry((id, name): (&String, &Value)) -> Option<(usize, String)> {
    let name = match name {
        Value::String(name) => name.clone(),
        Value::Number(_) | Value::Bool(_) => name.to_string(),
        _ => return None,
    };
    Some((id.trim().parse().ok()?, name))
}

fn reversed_entry((name, id): (&String, &Value)) -> Option<(usize, String)> {
    let id = match id {
        Value::String(id) => id.trim().parse().ok()?,
        id => usize::try_from(id.as_u64()?).ok()?,
    };
    Some((id, name.clone()))
}
