//! Normalizers and pre-tokenizers of `tokenizer.json` that are accepted.

use serde_json::Value;

/// Normalizers whose cost is linear in the text, whatever their settings and however many there are.
const NORMALIZERS: [&str; 9] =
    ["BertNormalizer", "Strip", "StripAccents", "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Nmt"];

/// Pre-tokenizers whose patterns are fixed.
const PRE_TOKENIZERS: [&str; 8] = [
    "BertPreTokenizer",
    "CharDelimiterSplit",
    "Metaspace",
    "Whitespace",
    "WhitespaceSplit",
    "Punctuation",
    "Digits",
    "UnicodeScripts",
];

/// Maximum value of `max_input_chars_per_word`: the time for a word is quadratic in it.
const LONGEST_WORD: u64 = 1000;

/// Maximum number of bytes that a model may add to a part of a word.
const LONGEST_AFFIX: usize = 64;

/// Maximum number of normalizers or pre-tokenizers.
const MOST_PARTS: usize = 32;

/// Checks that tokenizing with the parts of a `tokenizer.json` takes time and memory in proportion to the text.
///
/// # Errors
/// Names the part that is not supported.
pub(super) fn check(json: &Value) -> Result<(), String> {
    check_model(&json["model"])?;
    Check::new("normalizer", "normalizers").part(&json["normalizer"])?;
    Check::new("pre-tokenizer", "pretokenizers").part(&json["pre_tokenizer"])
}

/// Checks settings of a model that multiply the time for a word.
fn check_model(model: &Value) -> Result<(), String> {
    let longest = &model["max_input_chars_per_word"];
    if longest.as_u64().is_some_and(|longest| longest > LONGEST_WORD) {
        let expected = format!("`max_input_chars_per_word` should be at most {LONGEST_WORD}");
        return Err(format!("{expected}, found {longest}"));
    }
    for field in ["continuing_subword_prefix", "end_of_word_suffix"] {
        if model[field].as_str().is_some_and(|text| text.len() > LONGEST_AFFIX) {
            return Err(format!("`{field}` should have at most {LONGEST_AFFIX} bytes"));
        }
    }
    if model["dropout"].as_f64().is_some_and(|dropout| dropout > 0.0) {
        return Err("a tokenizer with `dropout` is random and not supported".to_owned());
    }
    Ok(())
}

/// Walk over the normalizers or pre-tokenizers of one file.
struct Check {
    kind: &'static str,
    /// Field of a sequence that holds its parts.
    list: &'static str,
    parts: usize,
    /// `true` after a part that may double the length of a text.
    doubled: bool,
}

impl Check {
    fn new(kind: &'static str, list: &'static str) -> Self {
        Self { kind, list, parts: 0, doubled: false }
    }

    fn part(&mut self, part: &Value) -> Result<(), String> {
        if part.is_null() {
            return Ok(());
        }
        let (kind, list) = (self.kind, self.list);
        self.parts += 1;
        if self.parts > MOST_PARTS {
            return Err(format!("expected at most {MOST_PARTS} {kind}s"));
        }
        let name = part["type"].as_str().ok_or_else(|| format!("a {kind} has no `type`"))?;
        match (kind, name) {
            (_, "Sequence") => {
                let parts = part[list].as_array();
                let parts = parts.ok_or_else(|| format!("a sequence has no `{list}`"))?;
                parts.iter().try_for_each(|part| self.part(part))
            }
            (_, "ByteLevel") if !std::mem::replace(&mut self.doubled, true) => Ok(()),
            ("normalizer", "Replace") => check_replacement(part),
            ("normalizer", "Prepend") if part["prepend"].as_str().is_some_and(is_short) => Ok(()),
            ("pre-tokenizer", "Split") if part["pattern"]["String"].is_string() => Ok(()),
            ("normalizer", _) if NORMALIZERS.contains(&name) => Ok(()),
            ("pre-tokenizer", _) if PRE_TOKENIZERS.contains(&name) => Ok(()),
            ("pre-tokenizer", "Split") => {
                Err("a pre-tokenizer with a regular expression is not supported".to_owned())
            }
            _ => Err(format!("the {kind} {name} is not supported")),
        }
    }
}

fn is_short(text: &str) -> bool {
    text.len() <= 16
}

/// Checks that a replacement makes no text longer: a sequence of replacements could multiply its length.
fn check_replacement(part: &Value) -> Result<(), String> {
    let pattern = part["pattern"]["String"]
        .as_str()
        .ok_or("a normalizer that replaces a regular expression is not supported")?;
    let content = part["content"].as_str().unwrap_or_default();
    if pattern.is_empty() || content.len() > pattern.len() {
        return Err("a normalizer that replaces text with longer text is not supported".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn accepts_the_usual_parts() {
        for normalizer in [
            json!(null),
            json!({ "type": "Sequence", "normalizers": [{ "type": "NFD" }, { "type": "Lowercase" }] }),
            json!({ "type": "Replace", "pattern": { "String": "``" }, "content": "\"" }),
        ] {
            let json = json!({ "normalizer": normalizer, "pre_tokenizer": { "type": "BertPreTokenizer" } });
            assert_eq!(check(&json), Ok(()), "{json}");
        }
    }

    #[test]
    fn rejects_models_of_unbounded_cost() {
        for model in [
            json!({ "max_input_chars_per_word": 1_000_000 }),
            json!({ "continuing_subword_prefix": "#".repeat(100) }),
            json!({ "dropout": 0.5 }),
        ] {
            assert!(check(&json!({ "model": model })).is_err(), "{model}");
        }
        assert_eq!(
            check(&json!({ "model": { "max_input_chars_per_word": 100, "dropout": null } })),
            Ok(())
        );
    }

    #[test]
    fn rejects_parts_of_unbounded_cost() {
        for normalizer in [
            json!({ "type": "Replace", "pattern": { "Regex": "(a|a)*$" }, "content": "" }),
            json!({ "type": "Replace", "pattern": { "String": "a" }, "content": "aa" }),
            json!({ "type": "Replace", "pattern": { "String": "" }, "content": "" }),
            json!({ "type": "Prepend", "prepend": "a".repeat(1000) }),
            json!({ "type": "Sequence", "normalizers": vec![json!({ "type": "NFD" }); 1000] }),
            json!({ "type": "Magic" }),
            json!({}),
        ] {
            assert!(check(&json!({ "normalizer": normalizer })).is_err(), "{normalizer}");
        }
        let split = json!({ "type": "Split", "pattern": { "Regex": "(a|a)*$" }, "behavior": "Isolated", "invert": false });
        assert!(check(&json!({ "pre_tokenizer": split })).is_err());
    }
}
