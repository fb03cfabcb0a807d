//! Files from which a tokenizer is built.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{AddedToken, Model as _};

use super::Tokenizer;
use crate::error::{InputError, Result};
use crate::model::files::ModelFiles;

impl Tokenizer {
    /// Reads `tokenizer.json`, or else `vocab.txt` with the settings in `tokenizer_config.json`.
    pub(crate) fn from_files(files: &ModelFiles) -> Result<Self> {
        if let Some(json) = files.read("tokenizer.json")? {
            let path = files.path("tokenizer.json");
            let inner =
                tokenizers::Tokenizer::from_bytes(json).map_err(|error| failure(&path, error))?;
            Ok(Self::new(inner, path)?)
        } else if let Some(text) = files.read("vocab.txt")? {
            let path = files.path("vocab.txt");
            let config = files.read_json("tokenizer_config.json")?.unwrap_or_default();
            let inner = from_vocabulary(&path, &text, &config)?;
            Ok(Self::new(inner, path)?)
        } else {
            let reason = "expected tokenizer.json or vocab.txt, found neither";
            Err(failure(&files.path(""), reason).into())
        }
    }

    fn new(mut inner: tokenizers::Tokenizer, path: PathBuf) -> Result<Self, InputError> {
        inner.with_truncation(None).map_err(|error| failure(&path, error))?;
        inner.with_padding(None);
        let special = inner.encode_fast("", true).map_err(|error| failure(&path, error))?;
        match special.get_ids() {
            [first, after @ ..] => Ok(Self { before: vec![*first], after: after.to_vec(), inner }),
            [] => {
                Err(failure(&path, "it adds no [CLS] token, which the classification head reads"))
            }
        }
    }
}

fn failure(path: &Path, reason: impl ToString) -> InputError {
    InputError::Tokenizer { path: path.to_owned(), reason: reason.to_string() }
}

/// Builds the equivalent of `DistilBertTokenizerFast` from a vocabulary and its optional settings.
fn from_vocabulary(
    vocabulary: &Path,
    text: &[u8],
    config: &Map<String, Value>,
) -> Result<tokenizers::Tokenizer> {
    let entries = WordPiece::read_bytes(text).map_err(|error| failure(vocabulary, error))?;
    let special = |name: &str, default: &str| special_token(config, name, default);
    let unknown = special("unk_token", "[UNK]");
    let model = WordPiece::builder()
        .vocab(entries)
        .unk_token(unknown.clone())
        .build()
        .map_err(|error| failure(vocabulary, error))?;
    let id_of = |token: String| {
        let id = model.token_to_id(&token);
        id.map(|id| (token.clone(), id))
            .ok_or_else(|| failure(vocabulary, format!("it lacks the token {token}")))
    };
    let separator = id_of(special("sep_token", "[SEP]"))?;
    let classifier = id_of(special("cls_token", "[CLS]"))?;
    let known = [unknown, special("pad_token", "[PAD]"), special("mask_token", "[MASK]")]
        .into_iter()
        .filter(|token| model.token_to_id(token).is_some())
        .chain([separator.0.clone(), classifier.0.clone()])
        .map(|token| AddedToken::from(token, true))
        .collect::<Vec<_>>();
    let flag =
        |name: &str, default: bool| config.get(name).and_then(Value::as_bool).unwrap_or(default);
    let normalizer = BertNormalizer::new(
        true,
        flag("tokenize_chinese_chars", true),
        config.get("strip_accents").and_then(Value::as_bool),
        flag("do_lower_case", true),
    );
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer.with_normalizer(Some(normalizer)).map_err(|error| failure(vocabulary, error))?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer.with_post_processor(Some(BertProcessing::new(separator, classifier)));
    tokenizer.add_special_tokens(known).map_err(|error| failure(vocabulary, error))?;
    Ok(tokenizer)
}

/// Returns the text of a special token, given as a string or as an object with `content`.
fn special_token(config: &Map<String, Value>, name: &str, default: &str) -> String {
    let value = config.get(name);
    value
        .and_then(|value| value.as_str().or_else(|| value.get("content")?.as_str()))
        .unwrap_or(default)
        .to_owned()
}
