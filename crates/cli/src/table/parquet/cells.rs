//! Texts, and lists of texts, in the columns of a Parquet file.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, OffsetSizeTrait, StringArray};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::DataType;
use distilbert::boundary::guarded;

use crate::table::column::Place;
use crate::table::row::Cell;

/// Column of texts. Numbers and truth values are read as text, as in JSON Lines.
#[derive(Clone)]
pub enum Texts {
    Text(StringArray),
    /// Bytes that may be invalid UTF-8.
    Bytes(BinaryArray),
}

impl Texts {
    /// Checks that a column of this type has texts.
    ///
    /// # Errors
    /// Returns the reason if it doesn't.
    pub fn check(data_type: &DataType, place: &Place) -> Result<(), String> {
        use DataType as D;
        match data_type {
            D::List(_)
            | D::LargeList(_)
            | D::FixedSizeList(..)
            | D::ListView(_)
            | D::LargeListView(_) => Err(format!("{place} is a list, not text")),
            _ if is_scalar(data_type) => Ok(()),
            other => Err(format!("{place} has the type {other}, not text or numbers")),
        }
    }

    /// Reads a column.
    pub fn new(column: &ArrayRef) -> Result<Self, String> {
        let is_bytes = matches!(
            column.data_type(),
            DataType::Binary
                | DataType::LargeBinary
                | DataType::BinaryView
                | DataType::FixedSizeBinary(_)
        );
        let data_type = if is_bytes { DataType::Binary } else { DataType::Utf8 };
        // A value that can't be cast is an error, not null.
        let options = CastOptions { safe: false, ..CastOptions::default() };
        let texts = guarded("arrow-cast", || cast_with_options(column, &data_type, &options))?;
        Ok(if is_bytes {
            Self::Bytes(texts.as_binary::<i32>().clone())
        } else {
            Self::Text(texts.as_string::<i32>().clone())
        })
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(texts) => texts.len(),
            Self::Bytes(texts) => texts.len(),
        }
    }

    /// Returns the text of a row; `None` if it is null.
    ///
    /// # Errors
    /// Returns the reason if the row is not valid UTF-8.
    pub fn get(&self, row: usize) -> Result<Option<&str>, String> {
        match self {
            Self::Text(texts) => Ok(texts.is_valid(row).then(|| texts.value(row))),
            Self::Bytes(texts) if texts.is_null(row) => Ok(None),
            Self::Bytes(texts) => match str::from_utf8(texts.value(row)) {
                Ok(text) => Ok(Some(text)),
                Err(error) => {
                    Err(format!("is not valid UTF-8 at byte {}", error.valid_up_to() + 1))
                }
            },
        }
    }
}

/// Returns `true` for a type whose values have one usual notation.
fn is_scalar(data_type: &DataType) -> bool {
    use DataType as D;
    data_type.is_numeric()
        || matches!(data_type, D::Null | D::Boolean | D::Utf8 | D::LargeUtf8 | D::Utf8View)
        || matches!(data_type, D::Binary | D::LargeBinary | D::BinaryView | D::FixedSizeBinary(_))
}

/// Column of texts or of lists of texts.
pub enum Items {
    Texts(Texts),
    Lists {
        texts: Texts,
        /// Range of each row in `texts`; `None` for null.
        rows: Vec<Option<std::ops::Range<usize>>>,
    },
}

impl Items {
    /// Checks that a column of this type has texts or lists of texts.
    ///
    /// # Errors
    /// Returns the reason if it doesn't.
    pub fn check(data_type: &DataType, place: &Place) -> Result<(), String> {
        match data_type {
            DataType::List(item) | DataType::LargeList(item) if is_scalar(item.data_type()) => {
                Ok(())
            }
            DataType::List(_) | DataType::LargeList(_) => {
                Err(format!("{place} has the type {data_type}, not text, numbers or lists of them"))
            }
            _ => Texts::check(data_type, place),
        }
    }

    /// Reads a column.
    pub fn new(column: &ArrayRef) -> Result<Self, String> {
        match column.data_type() {
            DataType::List(_) => lists::<i32>(column),
            DataType::LargeList(_) => lists::<i64>(column),
            _ => Texts::new(column).map(Self::Texts),
        }
    }

    /// Returns the value of a row.
    ///
    /// # Errors
    /// Returns the reason if it has none.
    pub fn cell(&self, row: usize) -> Result<Cell<'static>, String> {
        let owned = |text: &str| Cow::Owned(text.to_owned());
        match self {
            Self::Texts(texts) => {
                Ok(texts.get(row)?.map_or(Cell::Missing, |text| Cell::Text(owned(text))))
            }
            Self::Lists { texts, rows } => {
                let Some(range) = rows[row].clone() else { return Ok(Cell::Missing) };
                let items = range.map(|item| match texts.get(item)? {
                    Some(text) => Ok(owned(text)),
                    None => Err("contains null".to_owned()),
                });
                items.collect::<Result<_, _>>().map(Cell::List)
            }
        }
    }
}

/// Reads a column of lists.
fn lists<O: OffsetSizeTrait>(column: &ArrayRef) -> Result<Items, String> {
    let lists = column.as_list::<O>();
    let offsets = lists.value_offsets();
    let range = |row: usize| offsets[row].as_usize()..offsets[row + 1].as_usize();
    let rows = (0..lists.len()).map(|row| lists.is_valid(row).then(|| range(row)));
    Ok(Items::Lists { rows: rows.collect(), texts: Texts::new(lists.values())? })
}
