//! [`Limits`]: the text length and truncation side that a checkpoint states.

use serde_json::Value;
use tokenizers::TruncationDirection;

use crate::error::{InputError, Result};
use crate::input::cut::TruncationSide;
use crate::model::files::ModelFiles;

const FILE: &str = "tokenizer_config.json";

/// Text length and truncation side of a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    /// Number of tokens, special tokens included, at which texts are truncated.
    pub max_length: Option<usize>,
    pub side: TruncationSide,
}

impl Limits {
    /// Reads `model_max_length` (formerly `max_len`) and `truncation_side`. If the file states no side, that of
    /// `tokenizer.json` applies.
    pub fn read(files: &ModelFiles, tokenizer: Option<TruncationDirection>) -> Result<Self> {
        let mut config = files.read_json(FILE)?.unwrap_or_default();
        let mut value = |name| config.remove(name).filter(|value| !value.is_null());
        let invalid = |name: &str, expected: &str, found: &Value| InputError::Tokenizer {
            path: files.path(FILE),
            reason: format!("{name} should be {expected}, found {found}"),
        };
        let max_length = match value("model_max_length").or_else(|| value("max_len")) {
            None => None,
            Some(found) => {
                let number = found.as_f64().filter(|&number| number >= 0.0);
                let number =
                    number.ok_or_else(|| invalid("model_max_length", "a token count", &found))?;
                // Transformers writes 1e30 for a tokenizer without a limit; the conversion saturates.
                Some(number as usize)
            }
        };
        let side = match value("truncation_side") {
            None => match tokenizer {
                Some(TruncationDirection::Left) => TruncationSide::Left,
                _ => TruncationSide::Right,
            },
            Some(found) => {
                let side = found.as_str().and_then(|name| name.parse().ok());
                side.ok_or_else(|| invalid("truncation_side", "right or left", &found))?
            }
        };
        Ok(Self { max_length, side })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::files::ModelBytes;

    fn limits(config: &'static str, tokenizer: Option<TruncationDirection>) -> Result<Limits> {
        let files = ModelBytes::new().file(FILE, config);
        Limits::read(&ModelFiles::Memory(files), tokenizer)
    }

    #[test]
    fn reads_length_and_side() {
        let read = |config| limits(config, None).unwrap();
        let side = TruncationSide::Left;
        assert_eq!(
            read(r#"{"model_max_length": 6, "truncation_side": "left"}"#),
            Limits { max_length: Some(6), side }
        );
        assert_eq!(read(r#"{"max_len": 128}"#).max_length, Some(128));
        assert_eq!(read(r#"{"model_max_length": 1e30}"#).max_length, Some(usize::MAX));
        let huge = r#"{"model_max_length": 1000000000000000019884624838656}"#;
        assert_eq!(read(huge).max_length, Some(usize::MAX));
        assert_eq!(read(r#"{"model_max_length": null}"#), Limits::default());
        assert_eq!(read("{}"), Limits::default());
    }

    #[test]
    fn side_defaults_to_that_of_the_tokenizer_file() {
        let left = Some(TruncationDirection::Left);
        assert_eq!(limits("{}", left).unwrap().side, TruncationSide::Left);
        let right = r#"{"truncation_side": "right"}"#;
        assert_eq!(limits(right, left).unwrap().side, TruncationSide::Right);
    }

    #[test]
    fn rejects_other_values() {
        for (config, message) in [
            (r#"{"truncation_side": "middle"}"#, "should be right or left, found \"middle\""),
            (r#"{"truncation_side": 1}"#, "should be right or left, found 1"),
            (r#"{"model_max_length": "512"}"#, "should be a token count, found \"512\""),
            (r#"{"model_max_length": -1}"#, "should be a token count, found -1"),
        ] {
            let error = limits(config, None).unwrap_err().to_string();
            assert!(error.contains(message) && error.contains(FILE), "{error}");
        }
    }
}
