//! Labels of a table, mapped to the labels of the model.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use distilbert::{Error, ExplainError};

use crate::failure::Failure;
use crate::table;
use crate::table::column::{Column, ColumnSpec};
use crate::table::input::MAX_ROW;

/// Column and names of the labels.
#[derive(Args)]
pub struct LabelOptions {
    /// Label column, by name or 1-based number [default: dominant_emotion or label, or column 2 without a header]
    #[arg(long, value_name = "COLUMN")]
    label_column: Option<Column>,

    /// Map a label of the table to a label of the model; can be repeated
    #[arg(long = "map", value_name = "OLD=NEW", value_parser = mapping)]
    mappings: Vec<(String, String)>,

    /// File with the names of numeric labels, one per line, starting with label 0 [default: the model's labels]
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
        let has_numbers = labels.iter().any(|label| is_number(label));
        for (old, new) in &self.mappings {
            let Some(&id) = ids.get(new) else {
                let (requested, labels) = (new.clone(), labels.to_vec());
                return Err(Error::from(ExplainError::UnknownLabel { requested, labels }).into());
            };
            mapped.insert(old.clone(), id);
        }
        let numbered = match &self.label_names {
            Some(path) => read_names(path)?,
            None => labels.to_vec(),
        };
        Ok(LabelMapping {
            all: labels.join(", "),
            ids,
            mapped,
            numbered,
            file: self.label_names.clone(),
            numbers_are_names: has_numbers && self.label_names.is_none(),
            reading: Cell::new(None),
        })
    }

    /// Returns the file that names numeric labels, if any.
    pub fn names_file(&self) -> Option<&Path> {
        self.label_names.as_deref()
    }
}

/// Reads one name per line.
fn read_names(path: &Path) -> Result<Vec<String>, Failure> {
    let failure = |source| Failure::Read { path: path.into(), source };
    let mut text = String::new();
    let file = File::open(path).map_err(failure)?;
    let read = file.take(MAX_ROW as u64 + 1).read_to_string(&mut text).map_err(failure)?;
    if read > MAX_ROW {
        return Err(failure(io::Error::new(io::ErrorKind::FileTooLarge, "the file is too large")));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok(text.lines().map(|line| line.trim().to_owned()).collect())
}

/// Returns `true` if a name is a number.
fn is_number(name: &str) -> bool {
    name.parse::<f64>().is_ok_and(f64::is_finite)
}

/// Mapping from the labels of a table to label ids of the model.
///
/// The labels of a column are all names or all numbers: a number never counts as a name in one row and as an id in another.
pub struct LabelMapping {
    /// Labels of the model, for messages.
    all: String,
    /// Ids by the model's names.
    ids: HashMap<String, usize>,
    /// Ids by the names that were mapped to them.
    mapped: HashMap<String, usize>,
    /// Names of numeric labels.
    numbered: Vec<String>,
    /// File that names numeric labels.
    file: Option<PathBuf>,
    /// `true` if numbers are names, because some of the model's names are numbers.
    numbers_are_names: bool,
    /// Reading of the labels found so far.
    reading: Cell<Option<Reading>>,
}

/// Reading of a column of labels.
#[derive(Clone, Copy, PartialEq)]
enum Reading {
    Names,
    Numbers,
}

impl LabelMapping {
    /// Returns the ids of the labels in a text cell, which are separated by commas.
    pub fn ids_of_text(&self, cell: &str) -> Result<Vec<usize>, String> {
        let cell = cell.trim();
        match self.find(cell) {
            // A name may contain a comma.
            Some(found) => Ok(vec![self.check(cell, found)?]),
            None if cell.is_empty() => Ok(Vec::new()),
            None => cell.split(',').map(|label| self.id(label)).collect(),
        }
    }

    /// Returns the ids of the labels in a cell; `None` if the cell is empty.
    pub fn ids_of_cell(&self, cell: &table::Cell<'_>) -> Result<Option<Vec<usize>>, String> {
        match cell {
            table::Cell::Missing => Ok(None),
            table::Cell::List(labels) => {
                labels.iter().map(|label| self.id(label)).collect::<Result<_, _>>().map(Some)
            }
            table::Cell::Text(label) => self.ids_of_text(label).map(Some),
        }
    }

    /// Returns the id of one label.
    pub fn id(&self, label: &str) -> Result<usize, String> {
        let label = label.trim();
        let found = self.find(label).ok_or_else(|| self.unknown(label))?;
        self.check(label, found)
    }

    /// Looks up a label, and returns its id and how it was read; mapped labels may be mixed with others.
    fn find(&self, label: &str) -> Option<(usize, Option<Reading>)> {
        if let Some(&id) = self.mapped.get(label) {
            return Some((id, None));
        }
        if !self.numbers_are_names
            && let Ok(number) = label.parse::<usize>()
        {
            let name = self.numbered.get(number)?;
            let id = self.mapped.get(name).or_else(|| self.ids.get(name))?;
            return Some((*id, Some(Reading::Numbers)));
        }
        self.ids.get(label).map(|&id| (id, Some(Reading::Names)))
    }

    /// Checks that a label is read like those before it.
    fn check(&self, label: &str, found: (usize, Option<Reading>)) -> Result<usize, String> {
        let (id, reading) = found;
        match (self.reading.get(), reading) {
            (Some(Reading::Names), Some(Reading::Numbers)) => Err(format!(
                "the label `{label}` is a number, but the labels before it are names: map it with --map '{label}=…'"
            )),
            (Some(Reading::Numbers), Some(Reading::Names)) => Err(format!(
                "the label `{label}` is a name, but the labels before it are numbers: map it with --map '{label}=…'"
            )),
            (_, reading) => {
                self.reading.set(reading.or(self.reading.get()));
                Ok(id)
            }
        }
    }

    /// Returns the message for an unknown label.
    fn unknown(&self, label: &str) -> String {
        let number = label.parse::<usize>().ok();
        let named = number.and_then(|number| self.numbered.get(number));
        let (label, number) = match (named, &self.file) {
            (Some(name), Some(_)) => (name.as_str(), format!(" (number {label})")),
            _ => (label, String::new()),
        };
        let all = &self.all;
        if self.numbers_are_names && is_number(label) {
            return format!(
                "there is no label `{label}`; the labels are {all}, so numbers are read as names, not as ids: pass \
                 --label-names to name ids, or map it with --map '{label}=…'"
            );
        }
        format!(
            "there is no label `{label}`{number}; the labels are {all}: map it with --map '{label}=…'"
        )
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn mapping_to(labels: &[&str], mappings: &[&str], names: Option<&str>) -> LabelMapping {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("labels.txt");
        let label_names = names.map(|names| {
            fs::write(&file, names).unwrap();
            file
        });
        let mappings = mappings.iter().map(|text| mapping(text).unwrap()).collect();
        let options = LabelOptions { label_column: None, mappings, label_names };
        let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
        options.mapping(&labels).unwrap()
    }

    /// Reads each cell as the only one of a column.
    fn check(labels: impl Fn() -> LabelMapping, cells: &[(&str, &[usize])]) {
        for (cell, ids) in cells {
            assert_eq!(labels().ids_of_text(cell).unwrap(), *ids, "{cell}");
        }
    }

    #[test]
    fn reads_names_and_numbers() {
        let labels = || mapping_to(&["sad", "happy, or so"], &["joy=happy, or so", "2=sad"], None);
        check(
            labels,
            &[
                ("sad", &[0]),
                (" sad ", &[0]),
                ("joy", &[1]),
                ("happy, or so", &[1]),
                ("1", &[1]),
                ("2", &[0]),
                ("0", &[0]),
                ("sad,joy", &[0, 1]),
                ("0, 1", &[0, 1]),
                ("joy,0,2", &[1, 0, 0]),
                ("", &[]),
            ],
        );
        for cell in ["Sad", "3", "sad,", "-1", "1.0", "sad;joy", "sad,0"] {
            assert!(labels().ids_of_text(cell).is_err(), "{cell}");
        }
    }

    #[test]
    fn numbers_are_names_if_the_model_has_such_names() {
        let stars = ["1", "2", "3"];
        check(|| mapping_to(&stars, &[], None), &[("1", &[0]), ("3", &[2]), ("2,1", &[1, 0])]);
        check(|| mapping_to(&stars, &["0=1"], None), &[("0", &[0]), ("1", &[0])]);
        let message = mapping_to(&stars, &[], None).ids_of_text("0").unwrap_err();
        assert!(
            message.starts_with("there is no label `0`; the labels are 1, 2, 3, so numbers"),
            "{message}"
        );
        // A file states that numbers are ids.
        check(|| mapping_to(&stars, &[], Some("1\n2\n3")), &[("0", &[0]), ("2", &[2])]);
        assert!(mapping_to(&stars, &[], Some("1\n2\n3")).ids_of_text("3").is_err());
        for labels in [["-1", "0", "1"], ["1.0", "2.0", "x"], ["a", "b", "7"]] {
            assert!(mapping_to(&labels, &[], None).ids_of_text("2").is_err(), "{labels:?}");
        }
    }

    #[test]
    fn column_has_names_or_numbers() {
        let labels = mapping_to(&["sad", "happy"], &["joy=happy"], None);
        assert_eq!(labels.ids_of_text("joy").unwrap(), [1]);
        assert_eq!(labels.ids_of_text("sad").unwrap(), [0]);
        let message = labels.ids_of_text("1").unwrap_err();
        assert!(message.starts_with("the label `1` is a number, but"), "{message}");
        let labels = mapping_to(&["sad", "happy"], &[], None);
        assert_eq!(labels.ids_of_text("1").unwrap(), [1]);
        let message = labels.ids_of_text("sad").unwrap_err();
        assert!(message.starts_with("the label `sad` is a name, but"), "{message}");
        assert_eq!(labels.ids_of_text("0").unwrap(), [0]);
    }

    #[test]
    fn label_file_names_numeric_labels() {
        let names = Some("\u{feff}joy\r\nanger\r\nsad\r\n");
        let labels = mapping_to(&["sad", "happy, or so", "1"], &["joy=happy, or so"], names);
        assert_eq!(labels.ids_of_text("2,0").unwrap(), [0, 1]);
        let message = labels.ids_of_text("1").unwrap_err();
        assert!(message.starts_with("there is no label `anger` (number 1); "), "{message}");
        assert_eq!(
            labels.ids_of_text("7").unwrap_err(),
            "there is no label `7`; the labels are sad, happy, or so, 1: map it with --map '7=…'"
        );
    }

    #[test]
    fn unknown_numeric_label_is_reported_by_name() {
        let labels = mapping_to(&["sad", "happy, or so", "1"], &[], Some("joy\nanger\n"));
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
