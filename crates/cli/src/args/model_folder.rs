//! Model: the folder or name given with `--model`, or the bundled model.

use std::path::{Path, PathBuf};
#[cfg(feature = "hub")]
use std::sync::Arc;
use std::sync::OnceLock;

use clap::Args;
#[cfg(feature = "hub")]
use distilbert::hub::HubOptions;

use crate::failure::Failure;
#[cfg(feature = "hub")]
use crate::render::progress::DownloadBar;

/// Path of the bundled model, relative to an installation or the source checkout.
const BUNDLED: &str = "models/emotion";

/// Folder of the bundled model, if it was given.
static GIVEN: OnceLock<PathBuf> = OnceLock::new();

/// Sets the folder of the bundled model, which is then not searched for.
pub fn set_bundled(folder: PathBuf) {
    // The first one counts.
    let _ = GIVEN.set(folder);
}

/// Model given with `--model`; by default the bundled one.
#[derive(Args, Default)]
pub struct ModelFolder {
    /// Model folder in Hugging Face layout, or name of a model on the Hugging Face Hub, such as org/name; an existing
    /// path takes precedence over a name [default: the bundled emotion model]
    #[cfg(feature = "hub")]
    #[arg(long = "model", value_name = "MODEL")]
    path: Option<PathBuf>,

    /// Model folder in Hugging Face layout [default: the bundled emotion model]
    #[cfg(not(feature = "hub"))]
    #[arg(long = "model", value_name = "DIR")]
    path: Option<PathBuf>,

    /// Branch, tag or commit of a model on the Hub [default: main]
    #[cfg(feature = "hub")]
    #[arg(long, value_name = "REVISION", requires = "path")]
    revision: Option<String>,
}

impl ModelFolder {
    /// Returns the folder of the given model, which is downloaded if necessary, or that of the bundled model.
    ///
    /// # Errors
    /// [`Failure::NoBundledModel`] if no model was given and the bundled one is missing; [`Failure::Hub`] if neither a
    /// folder nor a model on the Hub has the given name.
    pub fn find(&self) -> Result<PathBuf, Failure> {
        let Some(path) = &self.path else { return first_model(bundled_candidates()) };
        #[cfg(feature = "hub")]
        if let Some(revision) = &self.revision {
            if path.exists() {
                return Err(Failure::Usage("--revision is for models on the Hub, not for folders"));
            }
            return download(path, HubOptions::default().revision(revision));
        }
        locate(path)
    }
}

/// Returns the folder of a model given by its path, or by its name on the Hub.
///
/// # Errors
/// [`Failure::Hub`] if there is neither.
#[cfg(feature = "hub")]
pub fn locate(path: &Path) -> Result<PathBuf, Failure> {
    download(path, HubOptions::default())
}

/// Returns the folder of a model given by its path. Loading fails if it does not exist.
#[cfg(not(feature = "hub"))]
pub fn locate(path: &Path) -> Result<PathBuf, Failure> {
    Ok(path.to_owned())
}

/// Downloads a model unless it exists, with a progress bar.
#[cfg(feature = "hub")]
fn download(path: &Path, options: HubOptions) -> Result<PathBuf, Failure> {
    let bar = Arc::new(DownloadBar::default());
    let shown = bar.clone();
    let options = options.on_progress(move |progress| shown.update(progress));
    let found = distilbert::hub::locate(path, &options);
    bar.clear();
    found.map_err(|source| Failure::Hub { model: path.to_owned(), source })
}

/// Returns the folders to search: beside the program, in the installation's shared data, and in the source checkout.
fn bundled_candidates() -> Vec<PathBuf> {
    if let Some(folder) = GIVEN.get() {
        return vec![folder.clone()];
    }
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
