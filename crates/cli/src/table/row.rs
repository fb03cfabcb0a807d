//! Rows of a table, and their cells.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::column::{Place, not_utf8};
use super::delimited::Record;

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
}

/// Object of a JSON Lines or Parquet file.
pub struct Object {
    /// Line as read; empty in a Parquet file.
    pub line: Vec<u8>,
    parsed: Result<Map<String, Value>, String>,
}

impl Object {
    /// Parses a line.
    pub fn from_line(line: Vec<u8>) -> Self {
        let parsed = match str::from_utf8(&line) {
            Err(error) => Err(format!("not valid UTF-8 at byte {}", error.valid_up_to() + 1)),
            Ok(text) => match serde_json::from_str(text) {
                Ok(Value::Object(object)) => Ok(object),
                Ok(_) => Err("not a JSON object".to_owned()),
                Err(error) => Err(format!("not valid JSON at column {}", error.column())),
            },
        };
        Self { line, parsed }
    }

    /// Wraps the values of a Parquet row.
    #[cfg(feature = "parquet")]
    pub fn from_values(values: Map<String, Value>) -> Self {
        Self { line: Vec::new(), parsed: Ok(values) }
    }

    /// Returns `true` if the object has the key.
    pub fn has(&self, key: &str) -> bool {
        self.parsed.as_ref().is_ok_and(|object| object.contains_key(key))
    }

    /// Returns `true` if the line is a JSON object.
    pub fn is_valid(&self) -> bool {
        self.parsed.is_ok()
    }

    /// Returns `true` if the object has no keys.
    pub fn is_empty(&self) -> bool {
        self.parsed.as_ref().is_ok_and(Map::is_empty)
    }
}

/// Value of a cell.
#[derive(Debug, PartialEq)]
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
            Content::Object(_) => None,
        }
    }

    /// Returns the value of a cell, with numbers as text.
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
            (Content::Object(object), Place::Key(key)) => {
                let object = object.parsed.as_ref().map_err(Clone::clone)?;
                cell(object.get(key), place)
            }
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
            Cell::List(_) => Err(format!("{place} is a list, not a text")),
            Cell::Missing => Err(format!("{place} is missing")),
        }
    }
}

fn cell<'a>(value: Option<&'a Value>, place: &Place) -> Result<Cell<'a>, String> {
    match value {
        None | Some(Value::Null) => Ok(Cell::Missing),
        Some(Value::Array(items)) => {
            let items = items.iter().map(|item| scalar(item, place));
            Ok(Cell::List(items.collect::<Result<_, _>>()?))
        }
        Some(value) => Ok(Cell::Text(scalar(value, place)?)),
    }
}

fn scalar<'a>(value: &'a Value, place: &Place) -> Result<Cow<'a, str>, String> {
    match value {
        Value::String(text) => Ok(text.into()),
        Value::Number(number) => Ok(number.to_string().into()),
        Value::Bool(truth) => Ok(truth.to_string().into()),
        Value::Null => Err(format!("{place} contains null")),
        Value::Array(_) | Value::Object(_) => Err(format!("{place} contains a nested value")),
    }
}
