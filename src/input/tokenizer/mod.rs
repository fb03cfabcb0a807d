//! [`Tokenizer`]: text to token ids with character offsets, built on the `tokenizers` crate.

mod abridge;
mod boundary;
mod excerpt;
mod files;
mod limits;
mod locality;
mod parts;
mod pieces;
mod settings;
mod template;
mod vocabulary;

use std::fmt;
use std::path::Path;

use self::abridge::Abridgement;
use self::boundary::guarded;
pub(crate) use self::excerpt::Excerpt;
use self::limits::Limits;
use self::locality::Locality;
use crate::error::{InputError, Result};
use crate::input::cut::TruncationSide;
use crate::model::files::ModelFiles;

/// Tokens of a text, without special tokens; all fields have one element per token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Encoding {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Vocabulary entries, such as `##ing`.
    pub tokens: Vec<String>,
    /// Start and end of each token in the text, in characters (Unicode scalar values), end exclusive.
    pub offsets: Vec<(usize, usize)>,
    /// Index of the word that each token is a piece of, called `word_ids` in Hugging Face Transformers. Words are
    /// separated by whitespace, and each punctuation character is a separate word.
    pub word_ids: Vec<u32>,
}

/// WordPiece tokenizer of a model.
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
#[derive(Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// Special tokens before a text: `[CLS]`.
    before: Vec<u32>,
    /// Special tokens after a text: `[SEP]`.
    after: Vec<u32>,
    limits: Limits,
    /// `None` if texts have to be tokenized whole.
    locality: Option<Locality>,
    /// `None` if no part of a long text can be left out.
    abridgement: Option<Abridgement>,
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Tokenizer")
            .field("vocab_size", &self.vocab_size())
            .finish_non_exhaustive()
    }
}

impl Tokenizer {
    fn of_parts(inner: tokenizers::Tokenizer, before: Vec<u32>, after: Vec<u32>) -> Self {
        let locality = Locality::of(&inner);
        let abridgement = locality.as_ref().and_then(|locality| Abridgement::of(&inner, locality));
        Self { inner, before, after, limits: Limits::default(), locality, abridgement }
    }

    /// Reads the tokenizer from a folder's `tokenizer.json` or `vocab.txt`, and its settings from
    /// `tokenizer_config.json`, `special_tokens_map.json`, `added_tokens.json` and `config.json`, which are combined as
    /// Hugging Face Transformers 5 combines them.
    ///
    /// Truncation and padding settings in `tokenizer.json` are ignored: the classifier truncates to the model's limit
    /// itself and never pads.
    ///
    /// # Errors
    /// [`InputError::Tokenizer`] if neither file exists or one is damaged; [`Error::Io`](crate::Error::Io)
    /// and [`ConfigError::Json`](crate::ConfigError::Json) for the other files.
    pub fn from_folder(folder: impl AsRef<Path>) -> Result<Self> {
        Self::from_files(&ModelFiles::Folder(folder.as_ref().to_owned()))
    }

    /// Splits a text into tokens, without special tokens and without truncation.
    ///
    /// # Errors
    /// [`InputError::Encode`] if the tokenizer fails on the text.
    pub fn encode(&self, text: &str) -> Result<Encoding> {
        let encoding =
            guarded(|| self.inner.encode_char_offsets(text, false)).map_err(InputError::Encode)?;
        Ok(Encoding {
            ids: encoding.get_ids().to_vec(),
            tokens: encoding.get_tokens().to_vec(),
            offsets: encoding.get_offsets().to_vec(),
            word_ids: word_ids(encoding.get_word_ids()),
        })
    }

    /// Returns the ids with `[CLS]` before and `[SEP]` after them.
    pub fn with_special_tokens(&self, ids: &[u32]) -> Vec<u32> {
        [&self.before, ids, &self.after].concat()
    }

    /// Returns the number of special tokens that [`with_special_tokens`](Self::with_special_tokens) adds.
    pub fn special_tokens(&self) -> usize {
        self.before.len() + self.after.len()
    }

    /// Returns the number of special tokens that [`with_special_tokens`](Self::with_special_tokens) adds before a text.
    pub fn special_tokens_before(&self) -> usize {
        self.before.len()
    }

    /// Returns the id of a vocabulary entry.
    #[cfg(feature = "explain")]
    pub(crate) fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// Returns the vocabulary entry of an id, such as `##ing`; empty if there is none.
    pub fn spelling(&self, id: u32) -> String {
        self.inner.id_to_token(id).unwrap_or_default()
    }

    /// Returns `model_max_length` from `tokenizer_config.json`, in tokens, special tokens included; `None` if it is not
    /// set, and a huge number if the file says that there is no limit.
    pub fn model_max_length(&self) -> Option<usize> {
        self.limits.max_length
    }

    /// Returns `truncation_side` from `tokenizer_config.json`, or else that of `tokenizer.json`;
    /// [`TruncationSide::Right`] if neither sets it.
    pub fn truncation_side(&self) -> TruncationSide {
        self.limits.side
    }

    /// Returns the number of tokens in the vocabulary, added tokens included.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }
}

/// Numbers words from 0. A token that the tokenizer assigns to no word becomes a separate word.
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
