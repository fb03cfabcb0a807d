//! Files from which a tokenizer is built.
//!
//! Precedence among files follows Hugging Face Transformers 5. For the classes of BERT, and if no class is named, only the
//! vocabulary is read from `tokenizer.json` or `vocab.txt`, and everything else is rebuilt from settings; for any other
//! class, `tokenizer.json` is taken as it is. In both cases tokens are then added that other files name.

use std::path::Path;

use serde_json::{Map, Value};
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{Model as _, TruncationDirection};

use super::Tokenizer;
use super::boundary::guarded;
use super::limits::Limits;
use super::settings::{Class, Settings, check_length};
use super::template::Template;
use super::{parts, vocabulary};
use crate::error::{InputError, Result};
use crate::model::files::ModelFiles;

const JSON: &str = "tokenizer.json";
const VOCABULARY: &str = "vocab.txt";

impl Tokenizer {
    /// Reads the tokenizer of a model.
    pub(crate) fn from_files(files: &ModelFiles) -> Result<Self> {
        let json = read_json(files)?;
        let limits = Limits::read(files, json.as_ref().and_then(truncation_direction))?;
        let settings =
            Settings::read(files, json.as_ref().and_then(|json| json.get("added_tokens")))?;
        let tokenizer = match &settings.class {
            Class::Bert => bert(files, json, &settings)?,
            Class::Json(class) => match json {
                Some(json) => from_json(files, json, settings)?,
                None => {
                    let reason =
                        format!("expected tokenizer.json, which a {class} needs, found none");
                    return Err(failure(&files.path(""), reason).into());
                }
            },
        };
        Ok(Self { limits, ..tokenizer })
    }

    /// Checks the special tokens around a text: the classification head reads the first one, and the model must have
    /// their embeddings.
    fn new(
        inner: tokenizers::Tokenizer,
        template: Template,
        settings: &Settings,
        path: &Path,
    ) -> Result<Self, InputError> {
        let Template { before, after } = template;
        if before.is_empty() {
            let reason = "it adds no [CLS] token, which the classification head reads";
            return Err(failure(path, reason));
        }
        if let Some(size) = settings.vocab_size
            && let Some(id) = before.iter().chain(&after).find(|id| u64::from(**id) >= size)
        {
            let reason = format!(
                "it adds the token id {id} to each text, but ids should be below the vocabulary size {size}"
            );
            return Err(failure(path, reason));
        }
        Ok(Self::of_parts(inner, before, after))
    }
}

pub(super) fn failure(path: &Path, reason: impl ToString) -> InputError {
    InputError::Tokenizer { path: path.to_owned(), reason: reason.to_string() }
}

/// Returns the side at which `tokenizer.json` truncates, if it says so.
fn truncation_direction(json: &Map<String, Value>) -> Option<TruncationDirection> {
    serde_json::from_value(json.get("truncation")?.get("direction")?.clone()).ok()
}

/// Reads `tokenizer.json`, if it exists.
fn read_json(files: &ModelFiles) -> Result<Option<Map<String, Value>>> {
    // Errors in this file are the tokenizer's, not the configuration's.
    match files.read_json(JSON) {
        Err(crate::Error::Config(crate::ConfigError::Json { path, reason })) => {
            Err(failure(&path, reason).into())
        }
        json => json,
    }
}

/// Builds Transformers' `BertTokenizer` from a vocabulary and settings.
fn bert(
    files: &ModelFiles,
    json: Option<Map<String, Value>>,
    settings: &Settings,
) -> Result<Tokenizer> {
    let (path, vocabulary) = match json {
        Some(mut json) => {
            let path = files.path(JSON);
            let failed = |reason: String| failure(&path, reason);
            Template::read(json.get("post_processor").unwrap_or(&Value::Null)).map_err(failed)?;
            let vocabulary = vocabulary::from_json(&mut json).map_err(failed)?;
            (path, vocabulary)
        }
        None => {
            let path = files.path(VOCABULARY);
            let Some(text) = files.read(VOCABULARY)? else {
                let reason = "expected tokenizer.json or vocab.txt, found neither";
                return Err(failure(&files.path(""), reason).into());
            };
            let vocabulary =
                vocabulary::from_lines(&text).map_err(|reason| failure(&path, reason))?;
            (path, vocabulary)
        }
    };
    let failed = |reason: String| failure(&path, reason);
    let unknown = settings.named("unk_token").unwrap_or("[UNK]").to_owned();
    let inner = guarded(|| {
        let mut entries = WordPiece::read_bytes(b"")?;
        entries.extend(vocabulary);
        let model = WordPiece::builder().vocab(entries).unk_token(unknown).build()?;
        let mut tokenizer = tokenizers::Tokenizer::new(model);
        tokenizer.with_normalizer(Some(BertNormalizer::new(
            true,
            settings.chinese_characters,
            settings.strip_accents,
            settings.lowercase,
        )))?;
        tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
        add_tokens(&mut tokenizer, settings)?;
        Ok(tokenizer)
    })
    .map_err(failed)?;
    let id = |name: &str| {
        if let Some(token) = settings.unnamed(name)
            && inner.get_model().token_to_id(token).is_none()
        {
            return Err(failed(format!("it lacks the token {token}")));
        }
        let id = settings.named(name).and_then(|token| inner.token_to_id(token));
        id.ok_or_else(|| failed(format!("it lacks the token that `{name}` names")))
    };
    let template = Template { before: vec![id("cls_token")?], after: vec![id("sep_token")?] };
    Ok(Tokenizer::new(inner, template, settings, &path)?)
}

/// Builds the tokenizer that `tokenizer.json` describes and adds the tokens that other files name.
fn from_json(
    files: &ModelFiles,
    mut json: Map<String, Value>,
    mut settings: Settings,
) -> Result<Tokenizer> {
    let path = files.path(JSON);
    let failed = |reason: String| failure(&path, reason);
    if let Some(pad) = json.get("padding").and_then(|padding| padding.get("pad_token")?.as_str()) {
        settings.named_or("pad_token", pad);
    }
    // Tokens become ids, never the reverse, and the classifier truncates and never pads.
    for unused in ["decoder", "padding", "truncation"] {
        json.remove(unused);
    }
    let processor = json.get("post_processor").unwrap_or(&Value::Null);
    let template = Template::read(processor).map_err(failed)?;
    if !trims_offsets(processor) {
        json.remove("post_processor");
    }
    vocabulary::check_ids(&json).map_err(failed)?;
    let added = json.get("added_tokens").and_then(Value::as_array).into_iter().flatten();
    check_length(added.filter_map(|token| token.get("content")?.as_str())).map_err(failed)?;
    let json = Value::Object(json);
    parts::check(&json).map_err(failed)?;
    let inner = guarded(|| {
        let mut tokenizer: tokenizers::Tokenizer = serde_json::from_value(json)?;
        add_tokens(&mut tokenizer, &settings)?;
        Ok(tokenizer)
    })
    .map_err(failed)?;
    Ok(Tokenizer::new(inner, template, &settings, &path)?)
}

/// Adds the tokens that the settings name beyond the tokenizer's own.
fn add_tokens(
    tokenizer: &mut tokenizers::Tokenizer,
    settings: &Settings,
) -> tokenizers::Result<()> {
    tokenizer.set_encode_special_tokens(settings.split_special_tokens);
    let added = tokenizer.get_added_vocabulary().get_vocab();
    let tokens = settings.tokens_to_add(|token| added.contains_key(token));
    tokenizer.add_tokens(tokens)?;
    Ok(())
}

/// Returns `true` if a post-processor may move the offsets of tokens. Others only add special tokens.
fn trims_offsets(processor: &Value) -> bool {
    match processor["type"].as_str() {
        Some("Sequence") => {
            processor["processors"].as_array().is_some_and(|all| all.iter().any(trims_offsets))
        }
        kind => matches!(kind, Some("ByteLevel" | "RobertaProcessing")),
    }
}
