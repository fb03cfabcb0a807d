//! Choice of the files that a model needs.

use crate::model::checkpoint::WEIGHT_FILES;
use crate::model::files::{CONFIG, TOKENIZER_FILES};

/// Files that a model needs besides the shards that its index lists.
#[derive(Debug, PartialEq)]
pub(super) struct Choice {
    /// Configuration and tokenizer.
    pub settings: Vec<&'static str>,
    /// Weights, or the index of their shards.
    pub weights: &'static str,
}

impl Choice {
    /// Chooses among the files that exist.
    ///
    /// # Errors
    /// Returns the name of the first file that is missing.
    pub fn new(exists: impl Fn(&str) -> bool) -> Result<Self, &'static str> {
        if !exists(CONFIG) {
            return Err(CONFIG);
        }
        let weights = WEIGHT_FILES.into_iter().find(|name| exists(name)).ok_or(WEIGHT_FILES[0])?;
        if cfg!(feature = "text") && !exists("tokenizer.json") && !exists("vocab.txt") {
            return Err("tokenizer.json");
        }
        let optional = TOKENIZER_FILES.into_iter().filter(|name| exists(name));
        Ok(Self { settings: [CONFIG].into_iter().chain(optional).collect(), weights })
    }

    /// Returns `true` if the weights are in shards.
    pub fn is_sharded(&self) -> bool {
        self.weights.ends_with(".index.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(files: &[&str]) -> Result<&'static str, &'static str> {
        let files = [&["config.json", "vocab.txt"], files].concat();
        Choice::new(|name| files.contains(&name)).map(|choice| choice.weights)
    }

    #[test]
    fn safetensors_are_preferred() {
        let mut files = WEIGHT_FILES.to_vec();
        assert_eq!(weights(&files), Ok("model.safetensors"));
        files.remove(0);
        assert_eq!(weights(&files), Ok("model.safetensors.index.json"));
        files.remove(0);
        assert_eq!(weights(&files), Ok("pytorch_model.bin"));
        assert_eq!(weights(&["tf_model.h5"]), Ok("tf_model.h5"));
        assert_eq!(weights(&[]), Err("model.safetensors"));
    }

    #[test]
    fn other_files_are_not_downloaded() {
        let files = [
            "README.md",
            "config.json",
            "flax_model.msgpack",
            "model.safetensors",
            "pytorch_model.bin",
            "tokenizer_config.json",
            "vocab.txt",
        ];
        let choice = Choice::new(|name| files.contains(&name)).unwrap();
        assert_eq!(choice.settings, ["config.json", "tokenizer_config.json", "vocab.txt"]);
        assert_eq!(choice.weights, "model.safetensors");
        assert!(!choice.is_sharded());
    }

    #[test]
    fn required_files_are_named() {
        assert_eq!(Choice::new(|_| false), Err("config.json"));
        if cfg!(feature = "text") {
            let files = ["config.json", "model.safetensors"];
            assert_eq!(Choice::new(|name| files.contains(&name)), Err("tokenizer.json"));
        }
    }
}
