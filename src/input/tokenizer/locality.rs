//! [`Locality`]: how far a token depends on the text around it.

use std::collections::HashSet;

use tokenizers::{
    ModelWrapper, NormalizedString, Normalizer as _, NormalizerWrapper, PreTokenizerWrapper,
};

/// Words at a cut that may differ from those of the whole text, beyond those that added tokens touch: a normalizer can
/// join a character with the marks behind a cut.
const MARGIN: usize = 8;

/// Longest added token, in bytes: the time and memory to compare a token with others grow with the square of its length.
const LONGEST_FORM: usize = 256;

/// Distance over which the tokens of a part of a text may differ from those of the whole text.
///
/// It exists for tokenizers that normalize character by character (or over a character and its marks), find words by
/// neighboring characters, and split each word on its own. Then a cut changes the word at the cut and, on either side,
/// as many words as an added token has characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Locality {
    /// Number of words next to a cut that may differ.
    pub words: usize,
    /// `true` if this also holds to the right of a cut. Added tokens are found from left to right, so overlapping ones
    /// could be out of step arbitrarily far from the cut.
    pub holds_after_cut: bool,
    /// Added tokens as they are searched for.
    pub forms: Forms,
}

/// Added tokens as they are searched for: in the text as written, and in the normalized text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Forms {
    pub written: Vec<String>,
    pub normalized: Vec<String>,
}

impl Forms {
    fn of(tokenizer: &tokenizers::Tokenizer) -> Option<Self> {
        let mut forms = Self::default();
        for token in tokenizer.get_added_tokens_decoder().into_values() {
            if !token.normalized {
                forms.written.push(token.content);
                continue;
            }
            let mut form = NormalizedString::from(token.content);
            if let Some(normalizer) = tokenizer.get_normalizer() {
                normalizer.normalize(&mut form).ok()?;
            }
            forms.normalized.push(form.get().to_owned());
        }
        Some(forms)
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.written.iter().chain(&self.normalized).map(String::as_str)
    }

    /// Returns the length of the longest token, in characters.
    pub fn longest(&self) -> usize {
        self.iter().map(|form| form.chars().count()).max().unwrap_or(0)
    }
}

impl Locality {
    /// Returns `None` if the tokens of a part may differ anywhere from those of the whole text.
    pub fn of(tokenizer: &tokenizers::Tokenizer) -> Option<Self> {
        let is_local = matches!(
            tokenizer.get_model(),
            ModelWrapper::WordPiece(_) | ModelWrapper::WordLevel(_)
        ) && tokenizer.get_normalizer().is_none_or(normalizes_locally)
            && tokenizer.get_pre_tokenizer().is_some_and(splits_locally);
        if !is_local || tokenizer.get_added_vocabulary().get_encode_special_tokens() {
            return None;
        }
        let forms = Forms::of(tokenizer)?;
        if forms.iter().any(|form| form.len() > LONGEST_FORM) {
            return None;
        }
        Some(Self {
            words: 2 * forms.longest() + MARGIN,
            holds_after_cut: !overlap(&forms.written) && !overlap(&forms.normalized),
            forms,
        })
    }
}

fn normalizes_locally(normalizer: &NormalizerWrapper) -> bool {
    match normalizer {
        NormalizerWrapper::BertNormalizer(_)
        | NormalizerWrapper::StripAccents(_)
        | NormalizerWrapper::NFC(_)
        | NormalizerWrapper::NFD(_)
        | NormalizerWrapper::NFKC(_)
        | NormalizerWrapper::NFKD(_)
        | NormalizerWrapper::Lowercase(_) => true,
        NormalizerWrapper::Sequence(parts) => parts.as_ref().iter().all(normalizes_locally),
        _ => false,
    }
}

fn splits_locally(pre_tokenizer: &PreTokenizerWrapper) -> bool {
    match pre_tokenizer {
        PreTokenizerWrapper::BertPreTokenizer(_)
        | PreTokenizerWrapper::Whitespace(_)
        | PreTokenizerWrapper::WhitespaceSplit(_) => true,
        PreTokenizerWrapper::Sequence(parts) => parts.as_ref().iter().all(splits_locally),
        _ => false,
    }
}

/// Returns `true` if the end of one form is the beginning of another or of itself.
fn overlap(forms: &[String]) -> bool {
    let parts = |form: &str| form.char_indices().skip(1).map(|(at, _)| at).collect::<Vec<_>>();
    let mut beginnings = HashSet::new();
    for form in forms {
        beginnings.extend(parts(form).into_iter().map(|at| &form[..at]));
    }
    forms.iter().any(|form| parts(form).into_iter().any(|at| beginnings.contains(&form[at..])))
}

#[cfg(test)]
mod tests {
    #[test]
    fn overlapping_forms_are_found() {
        let overlap = |forms: &[&str]| {
            super::overlap(&forms.iter().map(|&form| form.to_owned()).collect::<Vec<_>>())
        };
        assert!(!overlap(&["[CLS]", "[SEP]", "<user>", "a"]));
        assert!(!overlap(&["[A]", "<[A]>", "[AB]"]));
        assert!(overlap(&["aa"]) && overlap(&["<a<"]) && overlap(&["ab", "bc"]));
    }
}
