//! A row of a table, and what its cells hold.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::column::{Place, not_utf8};
use super::delimited::Record;

pub struct Row {
    /// Counted from 1; a header is no row.
    pub number: u64,
    /// The line that it begins on, counted from 1; none where rows are not lines.
    pub line: Option<u64>,
    /// Fields that it should have.
    pub width: Option<usize>,
    pub content: Content,
}

pub enum Content {
    Fields(Record),
    Object(Object),
}

/// A line of JSON.
pub struct Object {
    pub line: Vec<u8>,
    parsed: Result<Map<String, Value>, String>,
}

impl Object {
    pub fn of_line(line: Vec<u8>) -> Self {
        let parsed = match str::from_utf8(&line) {
            Err(error) => Err(format!("not valid UTF-8 from byte {} on", error.valid_up_to() + 1)),
            Ok(text) => match serde_json::from_str(text) {
                Ok(Value::Object(object)) => Ok(object),
                Ok(_) => Err("no JSON object".to_owned()),
                Err(error) => Err(format!("not valid JSON from column {} on", error.column())),
            },
        };
        Self { line, parsed }
    }

    /// Values that were no line.
    #[cfg(feature = "parquet")]
    pub fn of_values(values: Map<String, Value>) -> Self {
        Self { line: Vec::new(), parsed: Ok(values) }
    }

    pub fn has(&self, key: &str) -> bool {
        self.parsed.as_ref().is_ok_and(|object| object.contains_key(key))
    }

    pub fn is_valid(&self) -> bool {
        self.parsed.is_ok()
    }

    pub fn is_empty(&self) -> bool {
        self.parsed.as_ref().is_ok_and(Map::is_empty)
    }
}

/// What a cell holds.
#[derive(Debug, PartialEq)]
pub enum Cell<'a> {
    Text(Cow<'a, str>),
    List(Vec<Cow<'a, str>>),
    /// Nothing, or null.
    Missing,
}

impl Row {
    pub fn record(&self) -> Option<&Record> {
        match &self.content {
            Content::Fields(record) => Some(record),
            Content::Object(_) => None,
        }
    }

    /// What a cell holds, or what is wrong with it or its row. Numbers are given as they are written.
    pub fn cell(&self, place: &Place) -> Result<Cell<'_>, String> {
        match (&self.content, place) {
            (_, Place::Nowhere) => Ok(Cell::Missing),
            (Content::Fields(record), Place::Index(index)) => {
                if let Some(width) = self.width.filter(|&width| width != record.len()) {
                    let (found, s) = (record.len(), if record.len() == 1 { "" } else { "s" });
                    return Err(format!("{found} column{s}, not {width}"));
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
            // A table's places are of its own kind.
            _ => Err(format!("there is no {place}")),
        }
    }

    /// The text in a cell.
    pub fn text(&self, place: &Place) -> Result<Cow<'_, str>, String> {
        match self.cell(place)? {
            Cell::Text(text) => Ok(text),
            Cell::List(_) => Err(format!("{place} is a list, not a text")),
            Cell::Missing => Err(format!("no {place}")),
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
        Value::Null => Err(format!("{place} has a null in it")),
        Value::Array(_) | Value::Object(_) => Err(format!("{place} has parts of its own")),
    }
}
