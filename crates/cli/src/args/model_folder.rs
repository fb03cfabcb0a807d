//! Model folder: the one given with `--model`, or the bundled model.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::failure::Failure;

/// Path of the bundled model, relative to an installation or the source checkout.
const BUNDLED: &str = "models/emotion";

/// Model folder given with `--model`.
#[derive(Args)]
pub struct ModelFolder {
    /// Model folder in Hugging Face layout [default: the bundled emotion model]
    #[arg(long = "model", value_name = "DIR")]
    path: Option<PathBuf>,
}

impl ModelFolder {
    /// Returns the given folder, or that of the bundled model.
    ///
    /// # Errors
    /// [`Failure::NoBundledModel`] if no folder was given and the bundled model is missing.
    pub fn find(&self) -> Result<PathBuf, Failure> {
        match &self.path {
            Some(folder) => Ok(folder.clone()),
            None => first_model(bundled_candidates()),
        }
    }
}

/// Returns the folders to search: beside the program, in the installation's shared data, and in the source checkout.
fn bundled_candidates() -> Vec<PathBuf> {
    let mut candidates = Vec::new();
    if let Ok(program) = std::env::current_exe()
        && let Some(folder) = program.parent()
    {
        candidates.push(folder.join(BUNDLED));
        if let Some(prefix) = folder.parent() {
            candidates.push(prefix.join("share/distilbert").join(BUNDLED));
        }
    }
    // The package is two folders below the root of the checkout.
    candidates.extend(
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map(|root| root.join(BUNDLED)),
    );
    candidates
}

/// Returns the first folder with a `config.json`.
fn first_model(candidates: Vec<PathBuf>) -> Result<PathBuf, Failure> {
    match candidates.iter().find(|folder| folder.join("config.json").is_file()) {
        Some(folder) => Ok(folder.clone()),
        None => Err(Failure::NoBundledModel { searched: candidates }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_bundled_model_names_searched_folders_and_flag() {
        let candidates = vec![PathBuf::from("no/such/place"), PathBuf::from("nor/this/one")];
        let message = first_model(candidates).unwrap_err().to_string();
        assert!(message.contains("no/such/place"), "{message}");
        assert!(message.contains("nor/this/one"), "{message}");
        assert!(message.contains("--model"), "{message}");
    }

    #[test]
    fn finds_the_first_folder_with_a_model() {
        let folder = tempfile::tempdir().unwrap();
        let (empty, first, second) = (
            folder.path().join("empty"),
            folder.path().join("first"),
            folder.path().join("second"),
        );
        for path in [&empty, &first, &second] {
            std::fs::create_dir(path).unwrap();
        }
        for path in [&first, &second] {
            std::fs::write(path.join("config.json"), "{}").unwrap();
        }
        assert_eq!(first_model(vec![empty, first.clone(), second]).unwrap(), first);
    }
}
