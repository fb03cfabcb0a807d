//! Where the model is: the folder that the user names, or the bundled one.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::failure::Failure;

/// The bundled model's place beside the program, and in the source checkout.
const BUNDLED: &str = "models/emotion";

#[derive(Args)]
pub struct ModelFolder {
    /// Model folder in Hugging Face's layout [default: the bundled emotion model]
    #[arg(long = "model", value_name = "DIR")]
    named: Option<PathBuf>,
}

impl ModelFolder {
    pub fn find(self) -> Result<PathBuf, Failure> {
        match self.named {
            Some(folder) => Ok(folder),
            None => first_model(bundled_places()),
        }
    }
}

/// Beside the program, where an installation puts shared data, and where the program was built.
fn bundled_places() -> Vec<PathBuf> {
    let mut places = Vec::new();
    if let Ok(program) = std::env::current_exe()
        && let Some(folder) = program.parent()
    {
        places.push(folder.join(BUNDLED));
        if let Some(prefix) = folder.parent() {
            places.push(prefix.join("share/distilbert").join(BUNDLED));
        }
    }
    // The package is two folders below the root of the checkout.
    places.extend(
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map(|root| root.join(BUNDLED)),
    );
    places
}

fn first_model(places: Vec<PathBuf>) -> Result<PathBuf, Failure> {
    match places.iter().find(|place| place.join("config.json").is_file()) {
        Some(place) => Ok(place.clone()),
        None => Err(Failure::NoBundledModel { looked_at: places }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_bundled_model_names_every_place_and_the_way_out() {
        let places = vec![PathBuf::from("no/such/place"), PathBuf::from("nor/this/one")];
        let message = first_model(places).unwrap_err().to_string();
        assert!(message.contains("no/such/place"), "{message}");
        assert!(message.contains("nor/this/one"), "{message}");
        assert!(message.contains("--model"), "{message}");
    }

    #[test]
    fn the_first_place_with_a_model_wins() {
        let folder = tempfile::tempdir().unwrap();
        let (empty, first, second) = (
            folder.path().join("empty"),
            folder.path().join("first"),
            folder.path().join("second"),
        );
        for place in [&empty, &first, &second] {
            std::fs::create_dir(place).unwrap();
        }
        for place in [&first, &second] {
            std::fs::write(place.join("config.json"), "{}").unwrap();
        }
        assert_eq!(first_model(vec![empty, first.clone(), second]).unwrap(), first);
    }
}
