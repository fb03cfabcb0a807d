//! Labels of a table, mapped to the labels of the model.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use distilbert::{Error, ExplainError};

use crate::failure::Failure;
use crate::table::Cell;
use crate::table::column::{Column, ColumnSpec};

/// Column and names of the labels.
#[derive(Args)]
pub struct LabelOptions {
    /// Label column, by name or number from 1 [default: dominant_emotion or label, or column 2 without a header]
    #[arg(long, value_name = "COLUMN")]
    label_column: Option<Column>,

    /// Map a label of the table to a label of the model; can be repeated
    #[arg(long = "map", value_name = "OLD=NEW", value_parser = mapping)]
    mappings: Vec<(String, String)>,

    /// File that names numeric labels, one name per line starting at 0 [default: the model's labels]
    #[arg(long, value_name = "FILE")]
    label_names: Option<PathBuf>,
}

/// Parses `OLD=NEW`.
fn mapping(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((old, new)) if !old.is_empty() && !new.is_empty() => Ok((old.into(), new.into())),
        _ => Err("expected OLD=NEW, such as joy=happiness"),
    }
}

impl LabelOptions {
    /// Returns the specification of the label column.
    pub fn column(&self) -> ColumnSpec<'_> {
        ColumnSpec {
            option: "--label-column",
            given: self.label_column.as_ref(),
            default_names: &["dominant_emotion", "label"],
            default_number: 2,
            is_optional: false,
        }
    }

    /// Returns the mapping to a model's labels.
    ///
    /// # Errors
    /// [`Error::UnknownLabel`] if a label is mapped to one that the model lacks; [`Failure::Read`] if the file of names
    /// cannot be read.
    pub fn mapping(&self, labels: &[String]) -> Result<LabelMapping, Failure> {
        let mut ids = HashMap::new();
        for (id, label) in labels.iter().enumerate() {
            ids.entry(label.clone()).or_insert(id);
        }
        let mut mapped = HashMap::new();
        for (old, new) in &self.mappings {
            let Some(&id) = ids.get(new) else {
                let (requested, labels) = (new.clone(), labels.to_vec());
                return Err(Error::from(ExplainError::UnknownLabel { requested, labels }).into());
            };
            mapped.insert(old.clone(), id);
        }
        ids.extend(mapped);
        let numbered = match &self.label_names {
            Some(path) => read_names(path)?,
            None => labels.to_vec(),
        };
        Ok(LabelMapping { all: labels.join(", "), ids, numbered, file: self.label_names.clone() })
    }
}

/// Reads one name per line.
fn read_names(path: &Path) -> Result<Vec<String>, Failure> {
    let text =
        fs::read_to_string(path).map_err(|source| Failure::Read { path: path.into(), source })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok(text.lines().map(|line| line.trim().to_owned()).collect())
}

/// Mapping from the labels of a table to label ids of the model.
pub struct LabelMapping {
    /// Labels of the model, for messages.
    all: String,
    /// Ids by the model's names and by the names mapped to them.
    ids: HashMap<String, usize>,
    /// Names of numeric labels.
    numbered: Vec<String>,
    /// File that names numeric labels.
    file: Option<PathBuf>,
}

impl LabelMapping {
    /// Returns the ids of the labels in a text cell, which are separated by commas.
    pub fn ids_of_text(&self, cell: &str) -> Result<Vec<usize>, String> {
        let cell = cell.trim();
        match self.find(cell) {
            // A name may contain a comma.
            Some(id) => Ok(vec![id]),
            None if cell.is_empty() => Ok(Vec::new()),
            None => cell.split(',').map(|label| self.id(label)).collect(),
        }
    }

    /// Returns the ids of the labels in a cell; `None` if the cell is empty.
    pub fn ids_of_cell(&self, cell: &Cell<'_>) -> Result<Option<Vec<usize>>, String> {
        match cell {
            Cell::Missing => Ok(None),
            Cell::List(labels) => {
                labels.iter().map(|label| self.id(label)).collect::<Result<_, _>>().map(Some)
            }
            Cell::Text(label) => self.ids_of_text(label).map(Some),
        }
    }

    /// Returns the id of one label.
    pub fn id(&self, label: &str) -> Result<usize, String> {
        let label = label.trim();
        self.find(label).ok_or_else(|| self.unknown(label))
    }

    /// Looks up a label by name, then by number.
    fn find(&self, label: &str) -> Option<usize> {
        let by_number = || self.ids.get(self.numbered.get(label.parse::<usize>().ok()?)?);
        self.ids.get(label).or_else(by_number).copied()
    }

    /// Returns the message for an unknown label.
    fn unknown(&self, label: &str) -> String {
        let number = label.parse::<usize>().ok();
        let named = number.and_then(|number| self.numbered.get(number));
        let (label, number) = match (named, &self.file) {
            (Some(name), Some(_)) => (name.as_str(), format!(" (number {label})")),
            _ => (label, String::new()),
        };
        format!(
            "there is no label `{label}`{number}; the labels are {}: map it with --map '{label}=…'",
            self.all
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(mappings: &[&str], names: Option<&str>) -> LabelMapping {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("labels.txt");
        let label_names = names.map(|names| {
            fs::write(&file, names).unwrap();
            file
        });
        let mappings = mappings.iter().map(|text| mapping(text).unwrap()).collect();
        let options = LabelOptions { label_column: None, mappings, label_names };
        options.mapping(&["sad", "happy, or so", "1"].map(str::to_owned)).unwrap()
    }

    #[test]
    fn names_take_precedence_over_numbers() {
        let labels = labels(&["joy=happy, or so", "2=sad"], None);
        for (cell, ids) in [
            ("sad", &[0][..]),
            (" sad ", &[0]),
            ("joy", &[1]),
            ("happy, or so", &[1]),
            ("1", &[2]),
            ("2", &[0]),
            ("0", &[0]),
            ("sad,joy", &[0, 1]),
            ("0, 1", &[0, 2]),
            ("", &[]),
        ] {
            assert_eq!(labels.ids_of_text(cell).unwrap(), ids, "{cell}");
        }
        for cell in ["Sad", "3", "sad,", "-1", "sad;joy"] {
            assert!(labels.ids_of_text(cell).is_err(), "{cell}");
        }
    }

    #[test]
    fn label_file_names_numeric_labels() {
        let labels = labels(&["joy=happy, or so"], Some("\u{feff}joy\r\nanger\r\nsad\r\n"));
        assert_eq!(labels.ids_of_text("2,0").unwrap(), [0, 1]);
        assert_eq!(labels.ids_of_text("1").unwrap(), [2], "the model has a label named 1");
        assert_eq!(
            labels.ids_of_text("7").unwrap_err(),
            "there is no label `7`; the labels are sad, happy, or so, 1: map it with --map '7=…'"
        );
    }

    #[test]
    fn unknown_numeric_label_is_reported_by_name() {
        let labels = labels(&[], Some("joy\nanger\n"));
        let message = labels.ids_of_text("0").unwrap_err();
        assert!(message.starts_with("there is no label `joy` (number 0); "), "{message}");
        assert!(message.ends_with("--map 'joy=…'"), "{message}");
    }

    #[test]
    fn rejects_mapping_to_unknown_label() {
        let mappings = vec![mapping("joy=hapy").unwrap()];
        let options = LabelOptions { label_column: None, mappings, label_names: None };
        let failure = options.mapping(&["happy".to_owned()]).err().unwrap();
        assert_eq!(failure.to_string(), "there is no label `hapy`; the labels are happy");
        assert_eq!(mapping("a=b=c").unwrap(), ("a".to_owned(), "b=c".to_owned()));
        assert!(mapping("joy").is_err() && mapping("=a").is_err() && mapping("a=").is_err());
    }
}
