//! Columns of a table: specifications given by the user, and where they are found.

use std::fmt;
use std::str::FromStr;

use super::delimited::Record;

/// Column as given on the command line.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    Named(String),
    /// Number counted from 1, or a name that looks like one.
    Numbered(usize),
}

impl FromStr for Column {
    type Err = &'static str;

    fn from_str(column: &str) -> Result<Self, Self::Err> {
        match column.parse::<usize>() {
            Ok(0) => Err("columns are numbered from 1"),
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

/// Specification of a column to find.
pub struct ColumnSpec<'a> {
    /// Flag that selects the column, for messages.
    pub option: &'static str,
    /// Column given by the user, if any.
    pub given: Option<&'a Column>,
    /// Names to look for if none is given, the preferred one first.
    pub default_names: &'static [&'static str],
    /// Number in a table without a header if none is given, counted from 1.
    pub default_number: usize,
    /// `true` if the table may lack the column, unless it is given.
    pub is_optional: bool,
}

/// Place of a column in a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// Index of a field, counted from 0.
    Index(usize),
    /// Key of an object.
    Key(String),
    /// Index among the requested columns of a Parquet file, and the column's name.
    #[cfg(feature = "parquet")]
    Cell { index: usize, name: String },
    /// The table lacks the column.
    Absent,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "column {}", index + 1),
            Self::Key(key) => write!(f, "`{key}`"),
            #[cfg(feature = "parquet")]
            Self::Cell { name, .. } => write!(f, "`{name}`"),
            Self::Absent => write!(f, "column"),
        }
    }
}

impl ColumnSpec<'_> {
    /// Lets the table lack the column.
    pub fn optional(self) -> Self {
        Self { is_optional: true, ..self }
    }

    /// Returns the names to look for, the preferred one first.
    fn names(&self) -> Vec<String> {
        match self.given {
            Some(given) => vec![given.to_string()],
            None => self.default_names.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    /// Returns the index of the first name that the header contains.
    fn find(&self, header: &[String]) -> Option<usize> {
        let names = self.names();
        names.iter().find_map(|name| header.iter().position(|column| column == name))
    }

    /// Returns the column's place in a table with a header.
    pub fn in_header(&self, header: &[String]) -> Result<Place, String> {
        if let Some(index) = self.find(header) {
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
            None if self.is_optional => Ok(Place::Absent),
            None => Err(format!(
                "no column is named {}; the columns are {columns}: pass {}",
                or(self.default_names),
                self.option
            )),
        }
    }

    /// Returns the column's place in a table without a header.
    pub fn without_header(&self) -> Result<Place, String> {
        match self.given {
            Some(Column::Named(name)) => Err(format!(
                "without a header, columns are selected by number, not by name, but `{name}` was given"
            )),
            Some(&Column::Numbered(number)) => Ok(Place::Index(number - 1)),
            None if self.is_optional => Ok(Place::Absent),
            None => Ok(Place::Index(self.default_number - 1)),
        }
    }

    /// Returns the column's key in objects; of several default names, the one that the first object has.
    pub fn key(&self, is_key: impl Fn(&str) -> bool) -> Place {
        let names = self.names();
        let found = names.iter().find(|name| is_key(name));
        if found.is_none() && self.is_optional && self.given.is_none() {
            return Place::Absent;
        }
        Place::Key(found.or(names.first()).cloned().unwrap_or_default())
    }
}

/// Returns `true` if the first row is a header, because it contains a name that is looked for.
///
/// # Errors
/// Fails if the row contains none of them and none was given, because it may or may not be a header.
pub fn is_header(first: &[String], specs: &[ColumnSpec<'_>]) -> Result<bool, String> {
    let is_named = |column: &ColumnSpec<'_>| {
        column.find(first).is_some()
            || column.default_names.iter().any(|known| first.iter().any(|name| name == known))
            // If it is missing, the error says so later.
            || matches!(column.given, Some(Column::Named(_)))
    };
    if specs.iter().any(is_named) {
        return Ok(true);
    }
    let names = specs.iter().flat_map(|column| column.names()).collect::<Vec<_>>();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Err(format!(
        "no column is named {}: pass --no-header if this line is data, or --header and the names of the \
         columns",
        or(&names)
    ))
}

fn or(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ")
}

/// Returns the fields of a header as names.
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

/// Returns the message for a field that is not valid UTF-8.
pub fn not_utf8(place: &Place, error: std::str::Utf8Error) -> String {
    format!("{place} is not valid UTF-8 at byte {}", error.valid_up_to() + 1)
}
