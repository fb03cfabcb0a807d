//! Labels as a table has them, and as the model has them.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use distilbert::{Error, ExplainError};

use crate::failure::Failure;
use crate::table::Cell;
use crate::table::column::{Column, Wanted};

#[derive(Args)]
pub struct LabelOptions {
    /// The column of the labels, by name or counted from 1 [default: dominant_emotion or label, or the second
    /// without a header]
    #[arg(long, value_name = "COLUMN")]
    label_column: Option<Column>,

    /// Take a label of the table for another one of the model; may be given several times
    #[arg(long = "map", value_name = "OLD=NEW", value_parser = renaming)]
    renamings: Vec<(String, String)>,

    /// What labels mean that are numbers: names, one a line, the first that of 0 [default: the model's labels]
    #[arg(long, value_name = "FILE")]
    label_names: Option<PathBuf>,
}

fn renaming(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((old, new)) if !old.is_empty() && !new.is_empty() => Ok((old.into(), new.into())),
        _ => Err("OLD=NEW, such as joy=happiness"),
    }
}

impl LabelOptions {
    /// The column of the labels.
    pub fn wanted(&self) -> Wanted<'_> {
        Wanted {
            what: "labels",
            option: "--label-column",
            given: self.label_column.as_ref(),
            known: &["dominant_emotion", "label"],
            number: 2,
            is_optional: false,
        }
    }

    /// How labels are read for a model that has these.
    pub fn reader(&self, labels: &[String]) -> Result<Labels, Failure> {
        let mut ids = HashMap::new();
        for (id, label) in labels.iter().enumerate() {
            ids.entry(label.clone()).or_insert(id);
        }
        let mut renamed = HashMap::new();
        for (old, new) in &self.renamings {
            let Some(&id) = ids.get(new) else {
                let (requested, labels) = (new.clone(), labels.to_vec());
                return Err(Error::from(ExplainError::UnknownLabel { requested, labels }).into());
            };
            renamed.insert(old.clone(), id);
        }
        ids.extend(renamed);
        let numbered = match &self.label_names {
            Some(path) => read_names(path)?,
            None => labels.to_vec(),
        };
        Ok(Labels { all: labels.join(", "), ids, numbered, file: self.label_names.clone() })
    }
}

fn read_names(path: &Path) -> Result<Vec<String>, Failure> {
    let text =
        fs::read_to_string(path).map_err(|source| Failure::File { path: path.into(), source })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok(text.lines().map(|line| line.trim().to_owned()).collect())
}

/// Finds the model's labels by what a table calls them.
pub struct Labels {
    /// The model's labels, for messages.
    all: String,
    /// By the model's names and by those that are mapped to them.
    ids: HashMap<String, usize>,
    /// What numbers mean.
    numbered: Vec<String>,
    file: Option<PathBuf>,
}

impl Labels {
    /// The labels that a cell of text names: one, or several between commas.
    pub fn of_text(&self, cell: &str) -> Result<Vec<usize>, String> {
        let cell = cell.trim();
        match self.find(cell) {
            // A name may have a comma in it.
            Some(id) => Ok(vec![id]),
            None if cell.is_empty() => Ok(Vec::new()),
            None => cell.split(',').map(|label| self.id(label)).collect(),
        }
    }

    /// The labels that a cell names, in a table of one or of several; `None` if it is empty.
    pub fn of_cell(&self, cell: &Cell<'_>) -> Result<Option<Vec<usize>>, String> {
        match cell {
            Cell::Missing => Ok(None),
            Cell::List(labels) => {
                labels.iter().map(|label| self.id(label)).collect::<Result<_, _>>().map(Some)
            }
            Cell::Text(label) => self.of_text(label).map(Some),
        }
    }

    pub fn id(&self, label: &str) -> Result<usize, String> {
        let label = label.trim();
        self.find(label).ok_or_else(|| self.unknown(label))
    }

    /// Names go before numbers.
    fn find(&self, label: &str) -> Option<usize> {
        let by_number = || self.ids.get(self.numbered.get(label.parse::<usize>().ok()?)?);
        self.ids.get(label).or_else(by_number).copied()
    }

    fn unknown(&self, label: &str) -> String {
        let number = label.parse::<usize>().ok();
        let named = number.and_then(|number| self.numbered.get(number));
        let (label, number) = match (named, &self.file) {
            (Some(name), Some(_)) => (name.as_str(), format!(" (number {label})")),
            _ => (label, String::new()),
        };
        format!(
            "there is no label `{label}`{number}; the labels are {}: rename it, as in --map \
             '{label}=…'",
            self.all
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(renamings: &[&str], names: Option<&str>) -> Labels {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("labels.txt");
        let label_names = names.map(|names| {
            fs::write(&file, names).unwrap();
            file
        });
        let renamings = renamings.iter().map(|text| renaming(text).unwrap()).collect();
        let options = LabelOptions { label_column: None, renamings, label_names };
        options.reader(&["sad", "happy, or so", "1"].map(str::to_owned)).unwrap()
    }

    #[test]
    fn names_go_before_numbers() {
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
            assert_eq!(labels.of_text(cell).unwrap(), ids, "{cell}");
        }
        for cell in ["Sad", "3", "sad,", "-1", "sad;joy"] {
            assert!(labels.of_text(cell).is_err(), "{cell}");
        }
    }

    #[test]
    fn numbers_mean_the_names_of_a_file() {
        let labels = labels(&["joy=happy, or so"], Some("\u{feff}joy\r\nanger\r\nsad\r\n"));
        assert_eq!(labels.of_text("2,0").unwrap(), [0, 1]);
        assert_eq!(labels.of_text("1").unwrap(), [2], "the model has a label of this name");
        assert_eq!(
            labels.of_text("7").unwrap_err(),
            "there is no label `7`; the labels are sad, happy, or so, 1: rename it, as in --map '7=…'"
        );
    }

    #[test]
    fn an_unknown_number_is_named() {
        let labels = labels(&[], Some("joy\nanger\n"));
        let message = labels.of_text("0").unwrap_err();
        assert!(message.starts_with("there is no label `joy` (number 0); "), "{message}");
        assert!(message.ends_with("--map 'joy=…'"), "{message}");
    }

    #[test]
    fn a_renaming_is_to_a_label_that_there_is() {
        let renamings = vec![renaming("joy=hapy").unwrap()];
        let options = LabelOptions { label_column: None, renamings, label_names: None };
        let failure = options.reader(&["happy".to_owned()]).err().unwrap();
        assert_eq!(failure.to_string(), "there is no label `hapy`; the labels are happy");
        assert_eq!(renaming("a=b=c").unwrap(), ("a".to_owned(), "b=c".to_owned()));
        assert!(renaming("joy").is_err() && renaming("=a").is_err() && renaming("a=").is_err());
    }
}
