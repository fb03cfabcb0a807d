//! [`Column`]: the texts of a column, read where they are.

use arrow_array::cast::AsArray;
use arrow_array::{
    AnyDictionaryArray, Array, ArrayRef, LargeStringArray, StringArray, StringViewArray,
};
use arrow_schema::{ArrowError, DataType};

/// Texts of a column, and the text of each row.
pub struct Column<'a> {
    strings: Strings<'a>,
    rows: Rows,
}

/// Strings of an array.
enum Strings<'a> {
    Small(&'a StringArray),
    Large(&'a LargeStringArray),
    View(&'a StringViewArray),
    /// None: all rows are null.
    Null,
}

/// The text of each row.
enum Rows {
    /// Each row has its own, the string at its index. The number of rows.
    All(usize),
    /// Some have none. The number of rows, and those that have one.
    Valid(usize, Vec<usize>),
    /// Rows share them: the strings that are in use, and the index of each row's text among them.
    Shared(Vec<usize>, Vec<Option<usize>>),
}

impl<'a> Column<'a> {
    /// Borrows the texts of a column. A dictionary's texts are listed once each.
    ///
    /// # Errors
    /// If the column doesn't contain texts, or if they aren't valid UTF-8, which the other side of the interface may
    /// not have checked.
    pub fn of(array: &'a ArrayRef, name: &str) -> Result<Self, ArrowError> {
        array.to_data().validate_full()?;
        if let Some(dictionary) = array.as_any_dictionary_opt() {
            let strings = Strings::of(dictionary.values(), name)?;
            return Ok(Self { rows: Rows::of_dictionary(dictionary, &strings), strings });
        }
        let strings = Strings::of(array, name)?;
        let rows = match array.logical_null_count() {
            0 => Rows::All(array.len()),
            _ => {
                Rows::Valid(array.len(), (0..array.len()).filter(|&row| strings.has(row)).collect())
            }
        };
        Ok(Self { strings, rows })
    }

    /// Returns the number of texts.
    pub fn texts(&self) -> usize {
        match &self.rows {
            Rows::All(rows) => *rows,
            Rows::Valid(_, strings) | Rows::Shared(strings, _) => strings.len(),
        }
    }

    /// Returns a text.
    pub fn text(&self, text: usize) -> &'a str {
        match &self.rows {
            Rows::All(_) => self.strings.get(text),
            Rows::Valid(_, strings) | Rows::Shared(strings, _) => self.strings.get(strings[text]),
        }
    }

    pub fn rows(&self) -> usize {
        match &self.rows {
            Rows::All(rows) | Rows::Valid(rows, _) => *rows,
            Rows::Shared(_, texts) => texts.len(),
        }
    }

    /// Returns the first row that has a text.
    pub fn first_row(&self, text: usize) -> usize {
        match &self.rows {
            Rows::All(_) => text,
            Rows::Valid(_, rows) => rows[text],
            // Texts are listed in the order of the rows, so that row `text` is the first that can have it.
            Rows::Shared(_, texts) => {
                texts.iter().position(|&other| other == Some(text)).unwrap_or(text)
            }
        }
    }

    /// Returns the index of each row's text.
    pub fn places(&self) -> impl Iterator<Item = Option<usize>> {
        let mut valid = 0;
        (0..self.rows()).map(move |row| match &self.rows {
            Rows::All(_) => Some(row),
            Rows::Valid(_, rows) => (rows.get(valid) == Some(&row)).then(|| {
                valid += 1;
                valid - 1
            }),
            Rows::Shared(_, texts) => texts[row],
        })
    }
}

impl<'a> Strings<'a> {
    /// Returns the strings of an array.
    fn of(array: &'a dyn Array, name: &str) -> Result<Self, ArrowError> {
        Ok(match array.data_type() {
            DataType::Utf8 => Self::Small(array.as_string()),
            DataType::LargeUtf8 => Self::Large(array.as_string()),
            DataType::Utf8View => Self::View(array.as_string_view()),
            DataType::Null => Self::Null,
            other => {
                let message = format!("the column `{name}` should contain strings, found {other}");
                return Err(ArrowError::SchemaError(message));
            }
        })
    }

    /// Returns `true` unless the string at an index is null.
    fn has(&self, index: usize) -> bool {
        match self {
            Self::Small(strings) => strings.is_valid(index),
            Self::Large(strings) => strings.is_valid(index),
            Self::View(strings) => strings.is_valid(index),
            Self::Null => false,
        }
    }

    fn get(&self, index: usize) -> &'a str {
        match self {
            Self::Small(strings) => strings.value(index),
            Self::Large(strings) => strings.value(index),
            Self::View(strings) => strings.value(index),
            Self::Null => "",
        }
    }
}

impl Rows {
    /// Lists the strings that the keys of a dictionary name, in the order of the rows.
    fn of_dictionary(dictionary: &dyn AnyDictionaryArray, strings: &Strings<'_>) -> Self {
        let values = dictionary.values().len();
        if values == 0 {
            return Self::Shared(Vec::new(), vec![None; dictionary.len()]);
        }
        let (mut used, mut listed) = (Vec::new(), vec![None; values]);
        let mut place = |(row, key): (usize, usize)| {
            let has = dictionary.keys().is_valid(row) && strings.has(key);
            has.then(|| {
                *listed[key].get_or_insert_with(|| {
                    used.push(key);
                    used.len() - 1
                })
            })
        };
        let texts = dictionary.normalized_keys().into_iter().enumerate().map(&mut place).collect();
        Self::Shared(used, texts)
    }
}
