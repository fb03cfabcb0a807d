//! Choice of the files that a model needs.

/// Settings and tokenizer files that the engine reads where they exist.
const OPTIONAL: [&str; 5] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "special_tokens_map.json",
    "added_tokens.json",
];
const CONFIG: &str = "config.json";
/// Weights by preference; an index lists shards.
const WEIGHTS: [&str; 5] = [
    "model.safetensors",
    "model.safetensors.index.json",
    TENSORFLOW,
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];
const TENSORFLOW: &str = "tf_model.h5";

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
        let weights = WEIGHTS.into_iter().filter(|name| exists(name));
        // Without the feature, TensorFlow's weights are the last resort: loading them tells what is missing.
        let last = |name: &&str| *name == TENSORFLOW && !cfg!(feature = "tensorflow");
        let (last, mut first): (Vec<_>, Vec<_>) = weights.partition(last);
        first.extend(last);
        let weights = *first.first().ok_or(WEIGHTS[0])?;
        if cfg!(feature = "text") && !exists("tokenizer.json") && !exists("vocab.txt") {
            return Err("tokenizer.json");
        }
        let optional = OPTIONAL.into_iter().filter(|name| exists(name));
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
        let mut files = WEIGHTS.to_vec();
        assert_eq!(weights(&files), Ok("model.safetensors"));
        files.remove(0);
        assert_eq!(weights(&files), Ok("model.safetensors.index.json"));
        files.remove(0);
        let preferred =
            if cfg!(feature = "tensorflow") { "tf_model.h5" } else { "pytorch_model.bin" };
        assert_eq!(weights(&files), Ok(preferred));
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
