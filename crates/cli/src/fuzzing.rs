//! Readers of tables, for the fuzz targets; not part of the API.

use std::borrow::Cow;
use std::io::Cursor;
use std::path::Path;

use clap::Parser;

use crate::failure::Failure;
use crate::table::column::ColumnSpec;
use crate::table::delimited::{self, Syntax};
use crate::table::input::Input;
use crate::table::{Cell, Object, Table, TableOptions};

/// Options of a table on a command line.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    table: TableOptions,
}

/// Texts of a cell: one, those of a list, or none; or the reason why the cell is invalid.
pub type Texts = Result<Vec<String>, String>;

/// Reads the columns `text` and, if there is one, `label` of every row of a table; `options` are those of a command line.
///
/// # Errors
/// Returns the message if the options or the table are invalid.
pub fn read_table(path: &Path, options: &[&str]) -> Result<Vec<[Texts; 2]>, String> {
    let name = std::iter::once("distilbert");
    let options = Options::try_parse_from(name.chain(options.iter().copied()));
    let options = options.map_err(|error| error.to_string())?.table;
    read(path, &options).map_err(|failure| failure.message())
}

fn read(path: &Path, options: &TableOptions) -> Result<Vec<[Texts; 2]>, Failure> {
    let label = ColumnSpec {
        option: "--label-column",
        given: None,
        default_names: &["label"],
        default_number: 2,
        is_optional: true,
    };
    let mut table = Table::open(path, options, &[options.text_column(), label])?;
    let (mut rows, mut chunk) = (Vec::new(), Vec::new());
    while table.read_chunk(&mut chunk)? {
        let [text, label] = table.places() else { return Ok(rows) };
        for row in &chunk {
            let text_alone = row.text(text);
            let cells = [text, label].map(|place| row.cell(place).map(texts));
            if let (Ok(text), Ok(cell)) = (&text_alone, &cells[0]) {
                assert_eq!(cell, &[text.as_ref()], "a row has two texts");
            }
            rows.push(cells);
        }
    }
    Ok(rows)
}

fn texts(cell: Cell<'_>) -> Vec<String> {
    match cell {
        Cell::Text(text) => vec![text.into_owned()],
        Cell::List(texts) => texts.into_iter().map(Cow::into_owned).collect(),
        Cell::Missing => Vec::new(),
    }
}

/// Fields of the rows of a file.
pub type Rows = Vec<Vec<Vec<u8>>>;

/// Reads rows of delimited fields; without a delimiter, tab-separated ones.
///
/// # Errors
/// Returns the message if a row is invalid.
pub fn read_fields(bytes: &[u8], delimiter: Option<u8>) -> Result<Rows, String> {
    let failed = |failure: Failure| failure.message();
    let input = Input::new(Path::new("table"), Box::new(Cursor::new(bytes.to_vec())), None);
    let mut reader = delimited::Reader::new(input.map_err(failed)?, syntax(delimiter));
    let mut rows = Vec::new();
    while let Some(record) = reader.next_record().map_err(failed)? {
        rows.push(record.fields().map(<[u8]>::to_vec).collect());
    }
    Ok(rows)
}

/// Writes rows of delimited fields.
#[must_use]
pub fn write_fields(rows: &Rows, delimiter: Option<u8>) -> Vec<u8> {
    let mut out = Vec::new();
    for row in rows {
        let fields = row.iter().map(Vec::as_slice);
        // Writing to memory can't fail.
        let _ = delimited::write(&mut out, syntax(delimiter), fields);
    }
    out
}

fn syntax(delimiter: Option<u8>) -> Syntax {
    delimiter.map_or(Syntax::Tsv, |delimiter| Syntax::Csv { delimiter })
}

/// Adds columns to the Arrow schema that a Parquet file stores, in base64.
///
/// # Errors
/// Returns the message if it is invalid.
#[cfg(feature = "parquet")]
pub fn extended_arrow_schema(encoded: &str) -> Result<String, String> {
    crate::commands::classify::with_added(encoded, &["label".to_owned()])
}

/// Returns the value of a key of a JSON object, as it is written.
///
/// # Errors
/// Returns the reason if the line is not an object.
pub fn json_value(line: &[u8], key: &str) -> Result<Option<String>, String> {
    let object = Object::from_line(line.to_vec());
    Ok(object.get(key)?.map(|value| value.get().to_owned()))
}
