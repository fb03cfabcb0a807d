//! Special tokens around a text, as a post-processor in `tokenizer.json` describes them.

use serde_json::Value;

/// Ids before and after a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Template {
    pub before: Vec<u32>,
    pub after: Vec<u32>,
}

impl Template {
    /// Reads a post-processor; `null` adds nothing.
    ///
    /// # Errors
    /// Describes the defect.
    pub fn read(processor: &Value) -> Result<Self, String> {
        if processor.is_null() {
            return Ok(Self::default());
        }
        let kind = processor.get("type").and_then(Value::as_str);
        match kind.ok_or("`post_processor` has no `type`")? {
            "BertProcessing" | "RobertaProcessing" => Ok(Self {
                before: vec![pair(processor, "cls")?],
                after: vec![pair(processor, "sep")?],
            }),
            "TemplateProcessing" => Self::single(processor),
            "ByteLevel" => Ok(Self::default()),
            "Sequence" => {
                let processors = processor.get("processors").and_then(Value::as_array);
                let processors = processors.ok_or("`post_processor` has no `processors`")?;
                processors.iter().try_fold(Self::default(), |inner, processor| {
                    let outer = Self::read(processor)?;
                    Ok(Self {
                        before: [outer.before, inner.before].concat(),
                        after: [inner.after, outer.after].concat(),
                    })
                })
            }
            other => Err(format!("`post_processor` has the unknown type {other}")),
        }
    }

    /// Reads the template for a single text.
    fn single(processor: &Value) -> Result<Self, String> {
        let pieces = processor.get("single").and_then(Value::as_array);
        let mut template = Self::default();
        let mut seen = false;
        for piece in pieces.ok_or("the template has no list `single`")? {
            if let Some(token) = piece.get("SpecialToken") {
                let name = token.get("id").and_then(Value::as_str);
                let name = name.ok_or("a special token of the template has no name")?;
                let side = if seen { &mut template.after } else { &mut template.before };
                side.extend(special_ids(processor, name)?);
            } else if piece.pointer("/Sequence/id").is_some_and(|id| id == "A") && !seen {
                seen = true;
            } else {
                return Err("the template for a single text should refer to the text exactly once"
                    .to_owned());
            }
        }
        if seen { Ok(template) } else { Err("the template does not refer to the text".to_owned()) }
    }
}

/// Returns the ids of a template's special token.
fn special_ids(processor: &Value, name: &str) -> Result<Vec<u32>, String> {
    let ids = processor
        .get("special_tokens")
        .and_then(|tokens| tokens.get(name)?.get("ids")?.as_array())
        .ok_or_else(|| format!("the template's special token {name} is not in `special_tokens`"))?;
    ids.iter().map(id).collect()
}

/// Returns the id of a token that is given with its text.
fn pair(processor: &Value, field: &str) -> Result<u32, String> {
    let value = processor.get(field).and_then(|token| token.get(1));
    id(value
        .ok_or_else(|| format!("`{field}` of the post-processor should be a token and its id"))?)
}

fn id(value: &Value) -> Result<u32, String> {
    let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
    id.ok_or_else(|| format!("expected a token id in `post_processor`, found {value}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template(pieces: Value) -> Value {
        json!({
            "type": "TemplateProcessing", "single": pieces, "pair": [],
            "special_tokens": { "[CLS]": { "ids": [2] }, "[X]": { "ids": [7, 8] } },
        })
    }

    fn special(name: &str) -> Value {
        json!({ "SpecialToken": { "id": name, "type_id": 0 } })
    }

    #[test]
    fn reads_tokens_on_both_sides() {
        let text = json!({ "Sequence": { "id": "A", "type_id": 0 } });
        let found = Template::read(&template(json!([special("[CLS]"), special("[X]"), text])));
        assert_eq!(found.unwrap(), Template { before: vec![2, 7, 8], after: vec![] });
        let bert = json!({ "type": "BertProcessing", "cls": ["[CLS]", 2], "sep": ["[SEP]", 3] });
        let found = Template::read(&json!({ "type": "Sequence", "processors": [bert] }));
        assert_eq!(found.unwrap(), Template { before: vec![2], after: vec![3] });
    }

    #[test]
    fn rejects_damaged_templates() {
        let text = json!({ "Sequence": { "id": "A", "type_id": 0 } });
        for pieces in [
            json!([special("[NOPE]"), text]),
            json!([text, text]),
            json!([special("[CLS]")]),
            json!([{ "Sequence": { "id": "B", "type_id": 0 } }]),
            json!("[CLS] $A"),
        ] {
            assert!(Template::read(&template(pieces.clone())).is_err(), "{pieces}");
        }
        assert!(Template::read(&json!({ "type": "Magic" })).is_err());
        assert!(Template::read(&json!({ "type": "BertProcessing", "cls": 5 })).is_err());
    }
}
