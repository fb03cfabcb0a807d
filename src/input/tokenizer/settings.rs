//! Settings of a tokenizer besides its vocabulary, combined as Hugging Face Transformers 5 combines them.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use serde_json::{Map, Value};
use tokenizers::AddedToken;

use super::files::failure;
use crate::error::{InputError, Result};
use crate::model::files::ModelFiles;

/// Special tokens that Transformers knows by name, in the order in which it adds them.
const NAMED: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// Special tokens that a BERT tokenizer has by default.
const BERT_DEFAULTS: [(&str, &str); 5] = [
    ("unk_token", "[UNK]"),
    ("sep_token", "[SEP]"),
    ("pad_token", "[PAD]"),
    ("cls_token", "[CLS]"),
    ("mask_token", "[MASK]"),
];

/// Names of classes that Transformers treats as `BertTokenizer`, without the suffix `Fast`.
const BERT_CLASSES: [&str; 8] = [
    "BertTokenizer",
    "DistilBertTokenizer",
    "ElectraTokenizer",
    "MobileBertTokenizer",
    "SqueezeBertTokenizer",
    "LxmertTokenizer",
    "ConvBertTokenizer",
    "DPRQuestionEncoderTokenizer",
];

/// Maximum total length of added tokens in bytes: the automaton that finds them takes many times as much memory.
const MOST_ADDED_BYTES: usize = 1 << 19;

/// Way in which a tokenizer is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Only the vocabulary is taken from the files; normalizer, pre-tokenizer and template are BERT's.
    Bert,
    /// `tokenizer.json` is taken as it is. Holds the name of the class.
    Json(String),
}

/// Settings in `tokenizer_config.json`, `special_tokens_map.json`, `added_tokens.json` and `config.json`.
pub(super) struct Settings {
    pub class: Class,
    pub lowercase: bool,
    pub strip_accents: Option<bool>,
    pub chinese_characters: bool,
    /// `true` if special tokens in a text are split like other words.
    pub split_special_tokens: bool,
    /// Number of word embeddings that `config.json` states.
    pub vocab_size: Option<u64>,
    /// Special tokens by name, in the order in which they are added.
    named: Vec<(String, AddedToken)>,
    /// Names of the special tokens that no file names.
    defaults: Vec<String>,
    /// Special tokens without a name.
    extra: Vec<AddedToken>,
    /// Tokens by the ids that the files claim, which only decide the order.
    added: BTreeMap<u64, AddedToken>,
}

/// Reader of one JSON file's values.
struct Reader {
    path: PathBuf,
}

impl Settings {
    /// Combines the settings of a model's files. `json_tokens` are the `added_tokens` of `tokenizer.json`.
    ///
    /// `added_tokens_decoder` in `tokenizer_config.json` replaces what older versions of Transformers wrote into
    /// `special_tokens_map.json`, `added_tokens.json` and, for a BERT tokenizer, `tokenizer.json`.
    pub fn read(files: &ModelFiles, json_tokens: Option<&Value>) -> Result<Self> {
        let reader = Reader { path: files.path("tokenizer_config.json") };
        let mut config = files.read_json("tokenizer_config.json")?.unwrap_or_default();
        let model = files.read_json("config.json")?.unwrap_or_default();
        let class = class(&config, &model);
        let vocab_size = model.get("vocab_size").and_then(Value::as_u64);
        move_additional(&mut config);
        let mut added = BTreeMap::new();
        if let Some(decoder) = config.remove("added_tokens_decoder") {
            reader.added_tokens_decoder(&decoder, &mut added)?;
        } else {
            if let Some(map) = files.read_json("special_tokens_map.json")? {
                merge(&mut config, map);
            }
            read_added_tokens(files, &reader, &config, &mut added)?;
            if let Some(tokens) = json_tokens {
                let reader = Reader { path: files.path("tokenizer.json") };
                reader.json_added_tokens(tokens, &mut added)?;
            }
        }
        let mut settings = reader.settings(class, &config, added)?;
        settings.vocab_size = vocab_size;
        Ok(settings)
    }

    /// Returns the text of a special token by name.
    pub fn named(&self, name: &str) -> Option<&str> {
        let token = self.named.iter().find(|(known, _)| known == name);
        token.map(|(_, token)| token.content.as_str())
    }

    /// Returns the text of a special token that no file names: it has BERT's default text, which a vocabulary should
    /// have.
    pub fn unnamed(&self, name: &str) -> Option<&str> {
        let text = self.named(name).filter(|_| self.defaults.iter().any(|known| known == name))?;
        self.added.values().all(|token| token.content != text).then_some(text)
    }

    /// Adds a special token of this name if the settings have none.
    pub fn named_or(&mut self, name: &str, default: &str) {
        if self.named(name).is_none() {
            self.named.push((name.to_owned(), AddedToken::from(default, true)));
            self.defaults.push(name.to_owned());
            self.named.sort_by_key(|(name, _)| order(name));
        }
    }

    /// Returns the tokens to add to a tokenizer that has the tokens `present` already, in the order in which
    /// Transformers adds them.
    pub fn tokens_to_add(&self, present: impl Fn(&str) -> bool) -> Vec<AddedToken> {
        let named: HashSet<&str> =
            self.named.iter().map(|(_, token)| token.content.as_str()).collect();
        let mut known: HashSet<&str> =
            self.added.values().map(|token| token.content.as_str()).collect();
        let mut tokens: Vec<AddedToken> = self.added.values().cloned().collect();
        for token in self.named.iter().map(|(_, token)| token).chain(&self.extra) {
            if !present(&token.content) && known.insert(&token.content) {
                tokens.push(token.clone());
            }
        }
        for token in &mut tokens {
            token.special |= named.contains(token.content.as_str());
        }
        tokens
    }
}

impl Reader {
    fn wrong(&self, field: &str, expected: &str) -> InputError {
        failure(&self.path, format!("`{field}` should be {expected}"))
    }

    fn settings(
        &self,
        class: Class,
        values: &Map<String, Value>,
        added: BTreeMap<u64, AddedToken>,
    ) -> Result<Settings> {
        let flag = |name: &str| match values.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(_) => Err(self.wrong(name, "true or false")),
        };
        let mut settings = Settings {
            lowercase: flag("do_lower_case")?.unwrap_or(true),
            strip_accents: flag("strip_accents")?,
            chinese_characters: flag("tokenize_chinese_chars")?.unwrap_or(true),
            split_special_tokens: flag("split_special_tokens")?.unwrap_or(false),
            named: self.named_tokens(values, &added)?,
            defaults: Vec::new(),
            extra: self.extra_tokens(values)?,
            vocab_size: None,
            class,
            added,
        };
        if settings.class == Class::Bert {
            for (name, default) in BERT_DEFAULTS {
                settings.named_or(name, default);
            }
        }
        let named = settings.named.iter().map(|(_, token)| token);
        let tokens = settings.added.values().chain(named).chain(&settings.extra);
        check_length(tokens.map(|token| token.content.as_str()))
            .map_err(|reason| failure(&self.path, reason))?;
        Ok(settings)
    }

    /// Reads the special tokens that have a name. The flags of an added token with the same text win.
    fn named_tokens(
        &self,
        values: &Map<String, Value>,
        added: &BTreeMap<u64, AddedToken>,
    ) -> Result<Vec<(String, AddedToken)>> {
        let flags: BTreeMap<&str, &AddedToken> =
            added.values().map(|token| (token.content.as_str(), token)).collect();
        let mut named = Vec::new();
        for (name, value) in values {
            let standard = NAMED.contains(&name.as_str());
            let other =
                name.ends_with("_token") && (value.is_string() || value.get("content").is_some());
            if !(standard || other) || value.is_null() {
                continue;
            }
            let mut token = self.special(name, value)?;
            if standard && let Some(&with_flags) = flags.get(token.content.as_str()) {
                token = with_flags.clone();
            }
            named.push((name.clone(), token));
        }
        if let Some(Value::Object(map)) = values.get("extra_special_tokens") {
            for (name, value) in map {
                named.push((name.clone(), self.special(name, value)?));
            }
        }
        named.sort_by_key(|(name, _)| order(name));
        Ok(named)
    }

    /// Reads the special tokens without names.
    fn extra_tokens(&self, values: &Map<String, Value>) -> Result<Vec<AddedToken>> {
        let extra = values.get("extra_special_tokens").filter(|value| !value.is_null());
        match extra.or_else(|| values.get("additional_special_tokens")) {
            None | Some(Value::Null | Value::Object(_)) => Ok(Vec::new()),
            Some(Value::Array(tokens)) => {
                let token = |value: &Value| match value {
                    Value::String(content) => Ok(AddedToken::from(content.clone(), true)),
                    _ => Ok(self.token("extra_special_tokens", value, false)?),
                };
                tokens.iter().map(token).collect()
            }
            Some(_) => Err(self.wrong("extra_special_tokens", "a list of tokens").into()),
        }
    }

    /// Reads a special token, given as a string or as an object with `content`.
    fn special(&self, field: &str, value: &Value) -> Result<AddedToken, InputError> {
        match value {
            Value::String(content) => Ok(AddedToken::from(content.clone(), true)),
            _ => self.token(field, value, true),
        }
    }

    /// Reads a token with its flags; a token in a field for special tokens is special, whatever its flag.
    fn token(&self, field: &str, value: &Value, special: bool) -> Result<AddedToken, InputError> {
        let flag = |name: &str| match value.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(self.wrong(field, &format!("a token whose `{name}` is true or false"))),
        };
        let content = value
            .get("content")
            .and_then(Value::as_str)
            .ok_or_else(|| self.wrong(field, "a token with its text in `content`"))?;
        let special = special || flag("special")?.unwrap_or(false);
        Ok(AddedToken::from(content, special)
            .single_word(flag("single_word")?.unwrap_or(false))
            .lstrip(flag("lstrip")?.unwrap_or(false))
            .rstrip(flag("rstrip")?.unwrap_or(false))
            .normalized(flag("normalized")?.unwrap_or(!special)))
    }

    fn added_tokens_decoder(
        &self,
        decoder: &Value,
        added: &mut BTreeMap<u64, AddedToken>,
    ) -> Result<()> {
        let field = "added_tokens_decoder";
        let wrong = || self.wrong(field, "an object from ids to tokens");
        for (id, value) in decoder.as_object().ok_or_else(wrong)? {
            added.insert(id.trim().parse().map_err(|_| wrong())?, self.token(field, value, false)?);
        }
        Ok(())
    }

    /// Reads the `added_tokens` of `tokenizer.json`.
    fn json_added_tokens(
        &self,
        tokens: &Value,
        added: &mut BTreeMap<u64, AddedToken>,
    ) -> Result<()> {
        let field = "added_tokens";
        let wrong = || self.wrong(field, "a list of tokens with their ids");
        for value in tokens.as_array().ok_or_else(wrong)? {
            let id = value.get("id").and_then(Value::as_u64).ok_or_else(wrong)?;
            added.insert(id, self.token(field, value, false)?);
        }
        Ok(())
    }
}

/// Checks the total length of added tokens.
pub(super) fn check_length<'a>(tokens: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let bytes: usize = tokens.map(str::len).sum();
    if bytes > MOST_ADDED_BYTES {
        return Err(format!(
            "added tokens should have at most {MOST_ADDED_BYTES} bytes, found {bytes}"
        ));
    }
    Ok(())
}

/// Returns the class that `tokenizer_config.json` names, or else `config.json`.
fn class(config: &Map<String, Value>, model: &Map<String, Value>) -> Class {
    let name_in = |json: &Map<String, Value>| {
        json.get("tokenizer_class").and_then(Value::as_str).map(str::to_owned)
    };
    match name_in(config).or_else(|| name_in(model)) {
        Some(name) if !BERT_CLASSES.contains(&name.trim_end_matches("Fast")) => Class::Json(name),
        _ => Class::Bert,
    }
}

/// Reads `added_tokens.json`. A token is special if `values` name it as one.
fn read_added_tokens(
    files: &ModelFiles,
    settings: &Reader,
    values: &Map<String, Value>,
    added: &mut BTreeMap<u64, AddedToken>,
) -> Result<()> {
    let Some(tokens) = files.read_json("added_tokens.json")? else {
        return Ok(());
    };
    let reader = Reader { path: files.path("added_tokens.json") };
    let named = NAMED.iter().filter_map(|name| values.get(*name));
    let extra = values.get("extra_special_tokens").and_then(Value::as_array);
    let special: HashSet<String> = named
        .chain(extra.into_iter().flatten())
        .filter(|value| !value.is_null())
        .map(|value| Ok(settings.special("special token", value)?.content))
        .collect::<Result<_>>()?;
    for (content, id) in tokens {
        let id = id.as_u64().ok_or_else(|| reader.wrong(&content, "an id"))?;
        let special = special.contains(&content);
        added.insert(id, AddedToken::from(content, special));
    }
    Ok(())
}

/// Renames `additional_special_tokens` to `extra_special_tokens`, its name in Transformers 5.
fn move_additional(config: &mut Map<String, Value>) {
    let given = config.get("extra_special_tokens").is_some_and(|value| match value {
        Value::Array(tokens) => !tokens.is_empty(),
        Value::Object(tokens) => !tokens.is_empty(),
        value => !value.is_null(),
    });
    if !given && let Some(tokens) = config.remove("additional_special_tokens") {
        config.insert("extra_special_tokens".to_owned(), tokens);
    }
}

/// Lets the entries of `special_tokens_map.json` override those of `tokenizer_config.json`; lists of extra special
/// tokens are joined.
fn merge(values: &mut Map<String, Value>, map: Map<String, Value>) {
    for (name, mut value) in map {
        if name == "extra_special_tokens"
            && let Value::Array(tokens) = &mut value
            && let Some(Value::Array(joined)) = values.get_mut(&name)
        {
            let known: HashSet<String> = joined.iter().map(Value::to_string).collect();
            tokens.retain(|token| !known.contains(&token.to_string()));
            joined.append(tokens);
            continue;
        }
        values.insert(name, value);
    }
}

/// Returns the position of a named special token in the order in which Transformers adds them.
fn order(name: &str) -> usize {
    NAMED.iter().position(|known| *known == name).unwrap_or(NAMED.len())
}
