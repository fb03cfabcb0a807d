//! Texts of a file of tab-separated values. Quotes and backslashes are characters like any other.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::str::FromStr;

use crate::failure::Failure;

/// A header's name for the column of texts that needs no naming.
const TEXT: &str = "text";

/// The column that texts are in.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    Named(String),
    /// Counted from 0.
    Index(usize),
}

impl FromStr for Column {
    type Err = &'static str;

    fn from_str(column: &str) -> Result<Self, Self::Err> {
        match column.parse::<usize>() {
            Ok(0) => Err("columns are counted from 1"),
            Ok(number) => Ok(Self::Index(number - 1)),
            Err(_) => Ok(Self::Named(column.to_owned())),
        }
    }
}

/// The first texts of a file, at least one. Its first line is a header if it has the column that is named,
/// or one called `text`. Without a header and a column, texts are in the first.
pub fn texts(path: &Path, column: Option<&Column>, limit: usize) -> Result<Vec<String>, Failure> {
    let file = File::open(path).map_err(|source| Failure::File { path: path.into(), source })?;
    read(BufReader::new(file), path, column, limit)
}

fn read(
    mut input: impl BufRead,
    path: &Path,
    column: Option<&Column>,
    limit: usize,
) -> Result<Vec<String>, Failure> {
    let mut texts = Vec::new();
    let mut place = None;
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = input.read_until(b'\n', &mut line);
        let read = read.map_err(|source| Failure::File { path: path.into(), source })?;
        if read == 0 || texts.len() == limit {
            break;
        }
        let fault = |reason| Failure::Line { path: path.into(), line: number, reason };
        let row = str::from_utf8(trimmed(&line, number == 1)).map_err(|error| {
            fault(format!("not valid UTF-8 from byte {} on", error.valid_up_to() + 1))
        })?;
        let place = match place {
            Some(place) => place,
            None => {
                let (found, is_header) = find(row, column).map_err(fault)?;
                place = Some(found);
                if is_header {
                    continue;
                }
                found
            }
        };
        if row.is_empty() {
            continue;
        }
        let text = row.split('\t').nth(place).ok_or_else(|| {
            let columns = row.split('\t').count();
            let s = if columns == 1 { "" } else { "s" };
            fault(format!("{columns} column{s}, but texts are in column {}", place + 1))
        })?;
        texts.push(text.to_owned());
    }
    if texts.is_empty() {
        return Err(Failure::NoTexts { path: path.into() });
    }
    Ok(texts)
}

/// A line without its end, and the first one without a byte-order mark.
fn trimmed(line: &[u8], is_first: bool) -> &[u8] {
    let line = match line {
        [line @ .., b'\r', b'\n'] | [line @ .., b'\n'] | line => line,
    };
    match line.strip_prefix("\u{feff}".as_bytes()) {
        Some(rest) if is_first => rest,
        _ => line,
    }
}

/// The place of the texts by the first line, and whether that is a header.
fn find(first: &str, column: Option<&Column>) -> Result<(usize, bool), String> {
    let find = |name: &str| first.split('\t').position(|cell| cell == name);
    match column {
        Some(Column::Named(name)) => find(name).map(|place| (place, true)).ok_or_else(|| {
            let columns = first.split('\t').collect::<Vec<_>>().join(", ");
            format!("there is no column `{name}`; the columns are {columns}")
        }),
        Some(&Column::Index(place)) => Ok((place, find(TEXT).is_some())),
        None => Ok(find(TEXT).map_or((0, false), |place| (place, true))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts_of(file: &[u8], column: Option<&str>, limit: usize) -> Result<Vec<String>, String> {
        let column = column.map(|column| column.parse().unwrap());
        read(file, Path::new("data.tsv"), column.as_ref(), limit).map_err(|f| f.to_string())
    }

    #[test]
    fn the_column_is_found_named_or_numbered() {
        let plain = b"one\t1\ntwo\t2\n";
        assert_eq!(texts_of(plain, None, 9).unwrap(), ["one", "two"]);
        assert_eq!(texts_of(plain, Some("2"), 9).unwrap(), ["1", "2"]);
        let headed = b"id\ttext\tnote\n1\tone\tx\n2\ttwo\ty\n";
        assert_eq!(texts_of(headed, None, 9).unwrap(), ["one", "two"]);
        assert_eq!(texts_of(headed, Some("note"), 9).unwrap(), ["x", "y"]);
        assert_eq!(texts_of(headed, Some("1"), 9).unwrap(), ["1", "2"]);
    }

    #[test]
    fn lines_end_in_either_way_and_a_mark_before_them_goes() {
        let file = "\u{feff}text\r\none\r\n\r\ntwo\n\u{feff}three";
        assert_eq!(texts_of(file.as_bytes(), None, 9).unwrap(), ["one", "two", "\u{feff}three"]);
    }

    #[test]
    fn quotes_and_empty_fields_are_fields() {
        let file = b"1\t\"a\n2\t\n3\tb\" \\t\n";
        assert_eq!(texts_of(file, Some("2"), 9).unwrap(), ["\"a", "", "b\" \\t"]);
    }

    #[test]
    fn no_more_is_read_than_wanted() {
        assert_eq!(texts_of(b"one\ntwo\n\xff\n", None, 2).unwrap(), ["one", "two"]);
    }

    #[test]
    fn faults_name_the_file_and_the_line() {
        let fault = |file: &[u8], column| texts_of(file, column, 9).unwrap_err();
        assert_eq!(
            fault(b"id\tbody\n1\tone\n", Some("text")),
            "data.tsv, line 1: there is no column `text`; the columns are id, body"
        );
        assert_eq!(
            fault(b"text\tid\n\none\t1\ntwo\n", Some("id")),
            "data.tsv, line 4: 1 column, but texts are in column 2"
        );
        assert_eq!(
            fault(b"one\ntw\xf6\n", None),
            "data.tsv, line 2: not valid UTF-8 from byte 3 on"
        );
        assert_eq!(fault(b"", None), "data.tsv has no texts");
        assert_eq!(fault(b"text\n", None), "data.tsv has no texts");
        assert_eq!("0".parse::<Column>(), Err("columns are counted from 1"));
    }
}
