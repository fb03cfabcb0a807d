//! Text → token ids with character offsets, over the `tokenizers` crate.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{AddedToken, Model as _};

use crate::error::{Error, Result};
use crate::model::config::read_json_object;

/// What to do with a text that has more tokens than the model takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Truncation {
    /// Drop tokens at the end, as Hugging Face does with `truncation=True`;
    /// [`Prediction::dropped_tokens`](crate::Prediction::dropped_tokens) counts them.
    #[default]
    Right,
    /// Refuse the text with [`Error::TooManyTokens`].
    Error,
    /// Classify overlapping windows and average their scores and logits, weighted by the tokens of
    /// text in each.
    Windows {
        /// Tokens that a window shares with the one before, Hugging Face's `stride`.
        stride: usize,
    },
}

/// A text's tokens without the special ones.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Encoding {
    /// Token ids.
    pub ids: Vec<u32>,
    /// The vocabulary's spelling of each token, such as `##ing`.
    pub tokens: Vec<String>,
    /// Where each token stands in the text, in characters from `.0` to before `.1`.
    pub offsets: Vec<(usize, usize)>,
    /// Which word of the text each token is a piece of, counted from 0, Hugging Face's `word_ids`. Words
    /// are what stands between spaces, with punctuation apart.
    pub word_ids: Vec<u32>,
}

/// A model's tokenizer.
///
/// ```
/// # #[cfg(feature = "text")] {
/// use distilbert::Tokenizer;
///
/// let tokenizer = Tokenizer::from_folder("models/emotion")?;
/// let encoding = tokenizer.encode("Café society")?;
/// assert_eq!(encoding.tokens, ["cafe", "society"]);
/// assert_eq!(encoding.offsets, [(0, 4), (5, 12)]);
/// assert_eq!(tokenizer.with_special_tokens(&encoding.ids), [101, 7668, 2554, 102]);
/// # }
/// # Ok::<(), distilbert::Error>(())
/// ```
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// Special tokens before and after a text: `[CLS]` and `[SEP]`.
    before: Vec<u32>,
    after: Vec<u32>,
}

impl Tokenizer {
    /// Reads `tokenizer.json`, or else `vocab.txt` with the settings of `tokenizer_config.json`.
    ///
    /// Truncation and padding that a `tokenizer.json` prescribes are ignored: the model's own limit
    /// rules, and nothing is ever padded.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if neither file is there or one is damaged.
    pub fn from_folder(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let json = folder.join("tokenizer.json");
        let vocabulary = folder.join("vocab.txt");
        if json.exists() {
            let inner =
                tokenizers::Tokenizer::from_file(&json).map_err(|error| failure(&json, error))?;
            Self::new(inner, json)
        } else if vocabulary.exists() {
            let inner = from_vocabulary(&vocabulary, &folder.join("tokenizer_config.json"))?;
            Self::new(inner, vocabulary)
        } else {
            Err(failure(folder, "neither tokenizer.json nor vocab.txt is there"))
        }
    }

    fn new(mut inner: tokenizers::Tokenizer, path: PathBuf) -> Result<Self> {
        inner.with_truncation(None).map_err(|error| failure(&path, error))?;
        inner.with_padding(None);
        let special = inner.encode_fast("", true).map_err(|error| failure(&path, error))?;
        match special.get_ids() {
            [first, after @ ..] => Ok(Self { before: vec![*first], after: after.to_vec(), inner }),
            [] => Err(failure(&path, "it adds no [CLS] token, by which the model classifies")),
        }
    }

    /// Splits a text into tokens, without special tokens and without truncation.
    ///
    /// # Errors
    /// [`Error::Encode`].
    pub fn encode(&self, text: &str) -> Result<Encoding> {
        let encoding = self
            .inner
            .encode_char_offsets(text, false)
            .map_err(|error| Error::Encode(error.to_string()))?;
        Ok(Encoding {
            ids: encoding.get_ids().to_vec(),
            tokens: encoding.get_tokens().to_vec(),
            offsets: encoding.get_offsets().to_vec(),
            word_ids: word_ids(encoding.get_word_ids()),
        })
    }

    /// The ids of a text alone, which are had faster than with offsets.
    pub(crate) fn ids(&self, text: &str) -> Result<Vec<u32>> {
        self.inner
            .encode_fast(text, false)
            .map(|encoding| encoding.get_ids().to_vec())
            .map_err(|error| Error::Encode(error.to_string()))
    }

    /// Puts `[CLS]` before the ids and `[SEP]` after them.
    pub fn with_special_tokens(&self, ids: &[u32]) -> Vec<u32> {
        [&self.before, ids, &self.after].concat()
    }

    /// How many special tokens surround a text.
    pub fn special_tokens(&self) -> usize {
        self.before.len() + self.after.len()
    }

    /// How many special tokens stand before a text.
    pub(crate) fn special_tokens_before(&self) -> usize {
        self.before.len()
    }

    /// The id of a token by its spelling.
    pub(crate) fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The vocabulary's spelling of a token.
    pub(crate) fn spelling(&self, id: u32) -> String {
        self.inner.id_to_token(id).unwrap_or_default()
    }

    /// Number of tokens in the vocabulary, added ones included.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }
}

/// A text's ids as the rows that the model is to see.
pub(crate) struct Rows {
    /// Ids with special tokens.
    pub rows: Vec<Vec<u32>>,
    /// Tokens of text in each row.
    pub text_tokens: Vec<usize>,
    /// Tokens of the whole text, special ones included.
    pub tokens: usize,
    pub dropped_tokens: usize,
}

impl Tokenizer {
    /// Fits a text's ids to a model that takes `limit` tokens; `row` names the text in errors.
    pub(crate) fn rows(
        &self,
        row: usize,
        text: &str,
        limit: usize,
        truncation: Truncation,
    ) -> Result<Rows> {
        self.fit(row, &self.ids(text)?, limit, truncation)
    }

    /// As [`rows`](Self::rows), for ids of a text.
    pub(crate) fn fit(
        &self,
        row: usize,
        ids: &[u32],
        limit: usize,
        truncation: Truncation,
    ) -> Result<Rows> {
        let too_many =
            || Error::TooManyTokens { row, tokens: ids.len() + self.special_tokens(), limit };
        // Some text must fit beside the special tokens, or no truncation helps.
        let room = limit.checked_sub(self.special_tokens()).ok_or_else(too_many)?;
        let step = match truncation {
            Truncation::Windows { stride } if stride >= room => {
                return Err(Error::Stride { stride, limit: room });
            }
            Truncation::Windows { stride } => room - stride,
            Truncation::Error if ids.len() > room => return Err(too_many()),
            Truncation::Right | Truncation::Error => room.max(1),
        };
        let windows = match truncation {
            Truncation::Windows { .. } => ids.len().saturating_sub(room).div_ceil(step) + 1,
            _ => 1,
        };
        let windows =
            (0..windows).map(|window| &ids[window * step..ids.len().min(window * step + room)]);
        let rows: Vec<Vec<u32>> = windows.map(|ids| self.with_special_tokens(ids)).collect();
        let text_tokens: Vec<usize> =
            rows.iter().map(|row| row.len() - self.special_tokens()).collect();
        let dropped_tokens = match truncation {
            Truncation::Windows { .. } => 0,
            _ => ids.len() - text_tokens[0],
        };
        let tokens = ids.len() + self.special_tokens();
        Ok(Rows { rows, text_tokens, tokens, dropped_tokens })
    }
}

/// A token that the tokenizer counts to no word is one of its own.
fn word_ids(found: &[Option<u32>]) -> Vec<u32> {
    let mut count = 0;
    let mut before = None;
    let next = |&word: &Option<u32>| {
        count += u32::from(word.is_none() || before.is_some_and(|before| before != word));
        before = Some(word);
        count
    };
    found.iter().map(next).collect()
}

fn failure(path: &Path, reason: impl ToString) -> Error {
    Error::Tokenizer { path: path.to_owned(), reason: reason.to_string() }
}

/// Hugging Face's fast DistilBERT tokenizer, built from the vocabulary alone.
fn from_vocabulary(vocabulary: &Path, config: &Path) -> Result<tokenizers::Tokenizer> {
    let config = if config.exists() { read_json_object(config)? } else { Map::new() };
    let file = vocabulary.to_str().ok_or_else(|| failure(vocabulary, "its path is not UTF-8"))?;
    let special = |name: &str, default: &str| special_token(&config, name, default);
    let unknown = special("unk_token", "[UNK]");
    let model = WordPiece::from_file(file)
        .unk_token(unknown.clone())
        .build()
        .map_err(|error| failure(vocabulary, error))?;
    let id_of = |token: String| {
        let id = model.token_to_id(&token);
        id.map(|id| (token.clone(), id))
            .ok_or_else(|| failure(vocabulary, format!("it lacks {token}")))
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

/// A special token's spelling: a string, or an object with `content`.
fn special_token(config: &Map<String, Value>, name: &str, default: &str) -> String {
    let value = config.get(name);
    value
        .and_then(|value| value.as_str().or_else(|| value.get("content")?.as_str()))
        .unwrap_or(default)
        .to_owned()
}
