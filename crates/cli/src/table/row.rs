//! Rows of a table, and their cells.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::column::{Place, not_utf8};
use super::delimited::Record;
use super::object::Object;

/// Maximum number of items of a list: each takes memory, even an empty one.
const MAX_ITEMS: usize = 1 << 20;

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
            let mut json = serde_json::Deserializer::from_str(list);
            let items = (&mut json).deserialize_seq(List { place });
            Ok(Cell::List(items.map_err(|error| invalid(place, &error))??))
        }
        Some(value) => Ok(Cell::Text(scalar(value, place)?)),
    }
}

/// Reads a JSON list; a list that is invalid in itself is an inner error.
struct List<'p> {
    place: &'p Place,
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = Result<Vec<Cow<'de, str>>, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let (mut texts, mut failure) = (Vec::new(), None);
        while let Some(item) = items.next_element::<&RawValue>()? {
            match scalar(item.get(), self.place) {
                _ if failure.is_some() => {}
                Ok(_) if texts.len() == MAX_ITEMS => {
                    failure = Some(format!("{} has more than {MAX_ITEMS} items", self.place));
                }
                Ok(text) => texts.push(text),
                Err(reason) => failure = Some(reason),
            }
        }
        Ok(failure.map_or(Ok(texts), Err))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn list(line: &str) -> Result<usize, String> {
        let content = Content::Object(Object::from_line(line.into()));
        let row = Row { number: 1, line: None, width: None, content };
        match row.cell(&Place::Key("a".to_owned()))? {
            Cell::List(texts) => Ok(texts.len()),
            _ => Err("not a list".to_owned()),
        }
    }

    #[test]
    fn lists_have_a_limit() {
        let ones = |count: usize| format!("{{\"a\": [1{}]}}", ",1".repeat(count - 1));
        assert_eq!(list(&ones(MAX_ITEMS)), Ok(MAX_ITEMS));
        assert_eq!(
            list(&ones(MAX_ITEMS + 1)).unwrap_err(),
            format!("`a` has more than {MAX_ITEMS} items")
        );
    }

    #[test]
    fn lists_hold_texts_and_numbers() {
        assert_eq!(list(r#"{"a": ["x", 1.50, true]}"#), Ok(3));
        assert_eq!(list(r#"{"a": []}"#), Ok(0));
        assert_eq!(list(r#"{"a": [1, null]}"#).unwrap_err(), "`a` contains null");
        assert_eq!(list(r#"{"a": [[1], 2]}"#).unwrap_err(), "`a` contains a nested value");
        let broken = list(r#"{"a": ["\ud800"]}"#).unwrap_err();
        assert!(broken.starts_with("`a` is not valid JSON at character"), "{broken}");
    }
}
