//! GoEmotions, which is not part of the repository.

use std::path::{Path, PathBuf};

/// Returns the folder that the environment variable `GOEMOTIONS` names, with `train.tsv`, `dev.tsv` and `labels.txt` in the
/// Ekman grouping. Without the variable, prints that the test is skipped.
pub fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("GOEMOTIONS").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: GOEMOTIONS is not set");
    }
    folder
}

/// Returns the texts of a file with exactly one label, and the id of that label.
pub fn single_label_rows(folder: &Path, file: &str) -> Vec<(String, usize)> {
    let rows = std::fs::read_to_string(folder.join(file)).unwrap();
    let row = |line: &str| {
        let mut fields = line.split('\t');
        let text = fields.next()?.to_owned();
        Some((text, fields.next()?.parse().ok()?))
    };
    rows.lines().filter_map(row).collect()
}
