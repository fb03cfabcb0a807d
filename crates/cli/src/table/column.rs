//! Columns of a table: how they are named, and where they are.

use std::fmt;
use std::str::FromStr;

use super::delimited::Record;

/// A column as the user names it.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    Named(String),
    /// A number counted from 1, or a name that looks like one.
    Numbered(usize),
}

impl FromStr for Column {
    type Err = &'static str;

    fn from_str(column: &str) -> Result<Self, Self::Err> {
        match column.parse::<usize>() {
            Ok(0) => Err("columns are counted from 1"),
            Ok(number) => Ok(Self::Numbered(number)),
            Err(_) => Ok(Self::Named(column.to_owned())),
        }
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => write!(f, "{name}"),
            Self::Numbered(number) => write!(f, "{number}"),
        }
    }
}

/// A column that is looked for.
pub struct Wanted<'a> {
    /// What it holds, for messages.
    pub what: &'static str,
    /// The option that names it.
    pub option: &'static str,
    pub given: Option<&'a Column>,
    /// Names that need no naming, the likeliest first.
    pub known: &'static [&'static str],
    /// Where it is in a table without a header unless the user names it, counted from 1.
    pub number: usize,
    /// Whether the table may do without it, unless it is named.
    pub is_optional: bool,
}

/// Where a column is.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// Counted from 0.
    Index(usize),
    Key(String),
    /// The table does without it.
    Nowhere,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "column {}", index + 1),
            Self::Key(key) => write!(f, "`{key}`"),
            Self::Nowhere => write!(f, "column"),
        }
    }
}

impl Wanted<'_> {
    /// The same, of a table that may do without it.
    pub fn optional(self) -> Self {
        Self { is_optional: true, ..self }
    }

    /// The names that it may have, the likeliest first.
    fn names(&self) -> Vec<String> {
        match self.given {
            Some(given) => vec![given.to_string()],
            None => self.known.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    fn found_in(&self, header: &[String]) -> Option<usize> {
        let names = self.names();
        names.iter().find_map(|name| header.iter().position(|column| column == name))
    }

    /// Its place under a header.
    pub fn under(&self, header: &[String]) -> Result<Place, String> {
        if let Some(index) = self.found_in(header) {
            return Ok(Place::Index(index));
        }
        let columns = header.join(", ");
        match self.given {
            Some(&Column::Numbered(number)) if number <= header.len() => {
                Ok(Place::Index(number - 1))
            }
            Some(column) => {
                Err(format!("there is no column `{column}`; the columns are {columns}"))
            }
            None if self.is_optional => Ok(Place::Nowhere),
            None => Err(format!(
                "no column is called {}; the columns are {columns}: name that of the {} with {}",
                or(self.known),
                self.what,
                self.option
            )),
        }
    }

    /// Its place among fields without names.
    pub fn without_header(&self) -> Result<Place, String> {
        match self.given {
            Some(Column::Named(name)) => {
                Err(format!("without a header, columns have numbers, not names such as `{name}`"))
            }
            Some(&Column::Numbered(number)) => Ok(Place::Index(number - 1)),
            None if self.is_optional => Ok(Place::Nowhere),
            None => Ok(Place::Index(self.number - 1)),
        }
    }

    /// Its key in an object; the first object of the file tells which of the known ones.
    pub fn key(&self, is_key: impl Fn(&str) -> bool) -> Place {
        let names = self.names();
        let found = names.iter().find(|name| is_key(name));
        if found.is_none() && self.is_optional && self.given.is_none() {
            return Place::Nowhere;
        }
        Place::Key(found.or(names.first()).cloned().unwrap_or_default())
    }
}

/// Whether a file's first row is its header; an error if that cannot be told.
pub fn is_header(first: &[String], wanted: &[Wanted<'_>]) -> Result<bool, String> {
    let is_named = |column: &Wanted<'_>| {
        column.found_in(first).is_some()
            || column.known.iter().any(|known| first.iter().any(|name| name == known))
            // One that is missing will be named as such.
            || matches!(column.given, Some(Column::Named(_)))
    };
    if wanted.iter().any(is_named) {
        return Ok(true);
    }
    let names = wanted.iter().flat_map(|column| column.names()).collect::<Vec<_>>();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Err(format!(
        "no column is called {}: if this line is a header, say --header and name the columns; if it is \
         not, say --no-header",
        or(&names)
    ))
}

fn or(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ")
}

/// A record's fields as names.
pub fn names(record: &Record) -> Result<Vec<String>, String> {
    record
        .fields()
        .enumerate()
        .map(|(index, field)| match str::from_utf8(field) {
            Ok(name) => Ok(name.to_owned()),
            Err(error) => Err(not_utf8(&Place::Index(index), error)),
        })
        .collect()
}

pub fn not_utf8(place: &Place, error: std::str::Utf8Error) -> String {
    format!("{place} is not valid UTF-8 from byte {} on", error.valid_up_to() + 1)
}
