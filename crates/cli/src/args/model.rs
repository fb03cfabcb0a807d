//! Options that say which model to load and how to run it.

use std::path::{Path, PathBuf};

use clap::Args;
use distilbert::{Classifier, ClassifierBuilder};

use super::engine::EngineOptions;
use super::long_texts::LongTextOptions;
use super::model_folder::ModelFolder;
use crate::failure::Failure;

/// Model, device, precision and threads.
#[derive(Args)]
pub struct ModelOptions {
    #[command(flatten)]
    folder: ModelFolder,

    #[command(flatten)]
    pub engine: EngineOptions,
}

impl ModelOptions {
    /// Returns the builder of the requested model.
    ///
    /// # Errors
    /// Fails like [`ModelFolder::find`].
    pub fn builder(&self) -> Result<ClassifierBuilder, Failure> {
        Ok(self.engine.apply(Classifier::builder(self.folder.find()?)))
    }
}

/// [`ModelOptions`], and the handling of long texts.
#[derive(Args)]
pub struct ClassifierOptions {
    #[command(flatten)]
    model: ModelOptions,

    #[command(flatten)]
    long_texts: LongTextOptions,
}

impl ClassifierOptions {
    /// Returns the folder of the requested model.
    ///
    /// # Errors
    /// Fails like [`ModelFolder::find`].
    pub fn folder(&self) -> Result<PathBuf, Failure> {
        self.model.folder.find()
    }

    /// Returns the builder of the requested model.
    ///
    /// # Errors
    /// Fails like [`folder`](Self::folder) and [`builder_for`](Self::builder_for).
    pub fn builder(&self) -> Result<ClassifierBuilder, Failure> {
        self.builder_for(&self.folder()?)
    }

    /// Returns the builder of the model in another folder, with the same options.
    ///
    /// # Errors
    /// [`Failure::Usage`] if options do not go together.
    pub fn builder_for(&self, folder: &Path) -> Result<ClassifierBuilder, Failure> {
        let builder = Classifier::builder(folder).truncation(self.long_texts.truncation()?);
        Ok(self.model.engine.apply(builder))
    }
}
