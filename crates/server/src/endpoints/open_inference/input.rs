//! The input of a request: a BYTES tensor.

use serde_json::Value;

use super::binary;
use crate::failure::Failure;
use crate::fields::{Fields, Texts, bad, expected};

/// Field with the texts.
pub const FIELD: &str = "inputs[0].data";

/// Reads the only input, a tensor of shape `[n]` or `[n, 1]`, from JSON or from binary data.
pub fn read(fields: &mut Fields, binary: &[u8], max_texts: usize) -> Result<Texts, Failure> {
    let inputs = fields.objects("inputs")?.ok_or_else(|| bad("inputs: missing"))?;
    let Ok([mut input]) = <[Fields; 1]>::try_from(inputs) else {
        return Err(bad("inputs: expected one tensor"));
    };
    let datatype = input.string("datatype")?.unwrap_or_default();
    if datatype != "BYTES" {
        return Err(bad(format!("inputs[0].datatype: expected BYTES, found `{datatype}`")));
    }
    let shape = input.require("shape")?;
    let size = input.object("parameters")?.take("binary_data_size");
    let mut texts = Vec::new();
    match size {
        Some(size) if size.as_u64() == Some(binary.len() as u64) => {
            texts = binary::read_strings(binary, max_texts)?;
        }
        Some(size) => {
            let found = binary.len();
            return Err(bad(format!(
                "inputs[0].parameters.binary_data_size: says {size} bytes, but {found} follow"
            )));
        }
        None => flatten(input.require("data")?, &mut texts)?,
    }
    let sizes: Option<Vec<u64>> =
        shape.as_array().and_then(|sizes| sizes.iter().map(Value::as_u64).collect());
    match sizes.as_deref() {
        Some(&[rows] | &[rows, 1]) if rows == texts.len() as u64 => {
            Ok(Texts { texts, is_single: false })
        }
        Some(&[_] | &[_, 1]) => Err(bad(format!(
            "{FIELD}: expected as many texts as the shape says, found {}",
            texts.len()
        ))),
        _ => Err(bad("inputs[0].shape: expected [n] or [n, 1]")),
    }
}

/// Collects the strings of nested lists.
fn flatten(data: Value, texts: &mut Vec<String>) -> Result<(), Failure> {
    match data {
        Value::String(text) => texts.push(text),
        Value::Array(items) => {
            return items.into_iter().try_for_each(|item| flatten(item, texts));
        }
        other => return Err(expected(FIELD, "strings", &other)),
    }
    Ok(())
}
