//! Rows of a table, and their cells.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::column::{Place, not_utf8};
use super::delimited::Record;
use super::object::Object;

/// Row of a table.
pub struct Row {
    /// Number, counted from 1 without the header.
    pub number: u64,
    /// Line on which the row starts, counted from 1; `None` in a Parquet file.
    pub line: Option<u64>,
    /// Expected number of fields; `None` for objects.
    pub width: Option<usize>,
    pub content: Content,
}

/// Content of a row.
pub enum Content {
    Fields(Record),
    Object(Object),
    /// Cells of the requested columns of a Parquet file, or the reason why one has no value.
    #[cfg(feature = "parquet")]
    Cells(Vec<Result<Cell<'static>, String>>),
}

/// Value of a cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    Text(Cow<'a, str>),
    List(Vec<Cow<'a, str>>),
    /// No value, or null.
    Missing,
}

impl Row {
    /// Returns the fields of a delimited row.
    pub fn record(&self) -> Option<&Record> {
        match &self.content {
            Content::Fields(record) => Some(record),
            _ => None,
        }
    }

    /// Returns the value of a cell. Numbers are texts, as they are written.
    ///
    /// # Errors
    /// Returns the reason why the cell or its row is invalid.
    pub fn cell(&self, place: &Place) -> Result<Cell<'_>, String> {
        match (&self.content, place) {
            (_, Place::Absent) => Ok(Cell::Missing),
            (Content::Fields(record), Place::Index(index)) => {
                if let Some(width) = self.width.filter(|&width| width != record.len()) {
                    let (found, s) = (record.len(), if width == 1 { "" } else { "s" });
                    return Err(format!("expected {width} column{s}, found {found}"));
                }
                let Some(field) = record.field(*index) else {
                    return Err(format!("there is no {place}"));
                };
                let text = str::from_utf8(field).map_err(|error| not_utf8(place, error))?;
                Ok(Cell::Text(text.into()))
            }
            (Content::Object(object), Place::Key(key)) => cell(object.get(key)?, place),
            #[cfg(feature = "parquet")]
            (Content::Cells(cells), Place::Cell { index, .. }) => match &cells[*index] {
                Ok(cell) => Ok(cell.clone()),
                Err(reason) => Err(format!("{place} {reason}")),
            },
            // A table of fields has indices, a table of objects has keys.
            _ => Err(format!("there is no {place}")),
        }
    }

    /// Returns the text of a cell.
    ///
    /// # Errors
    /// Returns the reason if the cell has no text.
    pub fn text(&self, place: &Place) -> Result<Cow<'_, str>, String> {
        match self.cell(place)? {
            Cell::Text(text) => Ok(text),
            Cell::List(_) => Err(format!("{place} is a list, not text")),
            Cell::Missing => Err(format!("{place} is missing")),
        }
    }
}

/// Returns the value of a JSON cell.
fn cell<'a>(value: Option<&'a RawValue>, place: &Place) -> Result<Cell<'a>, String> {
    match value.map(RawValue::get) {
        None | Some("null") => Ok(Cell::Missing),
        Some(list) if list.starts_with('[') => {
            let items: Vec<&RawValue> =
                serde_json::from_str(list).map_err(|error| invalid(place, &error))?;
            let items = items.into_iter().map(|item| scalar(item.get(), place));
            Ok(Cell::List(items.collect::<Result<_, _>>()?))
        }
        Some(value) => Ok(Cell::Text(scalar(value, place)?)),
    }
}

/// Returns a string's text, or a number or truth value as it is written.
fn scalar<'a>(value: &'a str, place: &Place) -> Result<Cow<'a, str>, String> {
    match value.as_bytes().first() {
        Some(b'"') => {
            let text = serde_json::from_str::<String>(value);
            text.map(Cow::Owned).map_err(|error| invalid(place, &error))
        }
        Some(b'[' | b'{') => Err(format!("{place} contains a nested value")),
        _ if value == "null" => Err(format!("{place} contains null")),
        _ => Ok(value.into()),
    }
}

/// Returns the message for a value that cannot be decoded, such as half of a surrogate pair.
fn invalid(place: &Place, error: &serde_json::Error) -> String {
    format!("{place} is not valid JSON at character {}", error.column())
}
