//! [`Column`]: the texts of a column, without copies.

use arrow_array::cast::AsArray;
use arrow_array::{AnyDictionaryArray, Array, ArrayRef};
use arrow_schema::{ArrowError, DataType};

/// Texts of a column, and the text of each row.
pub struct Column<'a> {
    texts: Vec<&'a str>,
    /// Index of each row's text; `None` for a null.
    places: Vec<Option<usize>>,
}

impl<'a> Column<'a> {
    /// Borrows the texts of a column. A dictionary's texts are listed once each.
    ///
    /// # Errors
    /// If the column isn't of texts, or if they aren't valid UTF-8, which the other side of the interface may not have
    /// checked.
    pub fn of(array: &'a ArrayRef, name: &str) -> Result<Self, ArrowError> {
        array.to_data().validate_full()?;
        match array.as_any_dictionary_opt() {
            Some(dictionary) => Self::of_dictionary(dictionary, name),
            None => Ok(Self::of_strings(strings(array, name)?)),
        }
    }

    fn of_strings(strings: impl Iterator<Item = Option<&'a str>>) -> Self {
        let mut column =
            Self { texts: Vec::new(), places: Vec::with_capacity(strings.size_hint().0) };
        for text in strings {
            column.places.push(text.map(|_| column.texts.len()));
            column.texts.extend(text);
        }
        column
    }

    fn of_dictionary(
        dictionary: &'a dyn AnyDictionaryArray,
        name: &str,
    ) -> Result<Self, ArrowError> {
        let values: Vec<Option<&str>> = strings(dictionary.values(), name)?.collect();
        let mut column = Self { texts: Vec::new(), places: Vec::with_capacity(dictionary.len()) };
        if values.is_empty() {
            column.places.resize(dictionary.len(), None);
            return Ok(column);
        }
        let mut listed = vec![None; values.len()];
        for (row, key) in dictionary.normalized_keys().into_iter().enumerate() {
            let text = values[key].filter(|_| dictionary.keys().is_valid(row));
            let place = text.map(|text| {
                *listed[key].get_or_insert_with(|| {
                    column.texts.push(text);
                    column.texts.len() - 1
                })
            });
            column.places.push(place);
        }
        Ok(column)
    }

    pub fn texts(&self) -> &[&'a str] {
        &self.texts
    }

    pub fn rows(&self) -> usize {
        self.places.len()
    }

    /// Returns the index of each row's text.
    pub fn places(&self) -> impl Iterator<Item = Option<usize>> {
        self.places.iter().copied()
    }
}

/// Returns the strings of an array.
fn strings<'a>(
    array: &'a dyn Array,
    name: &str,
) -> Result<Box<dyn Iterator<Item = Option<&'a str>> + 'a>, ArrowError> {
    Ok(match array.data_type() {
        DataType::Utf8 => Box::new(array.as_string::<i32>().iter()),
        DataType::LargeUtf8 => Box::new(array.as_string::<i64>().iter()),
        DataType::Utf8View => Box::new(array.as_string_view().iter()),
        DataType::Null => Box::new(std::iter::repeat_n(None, array.len())),
        other => {
            let message = format!("the column `{name}` should be of strings, found {other}");
            return Err(ArrowError::SchemaError(message));
        }
    })
}
