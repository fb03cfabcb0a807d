//! Tables of texts, read row by row in constant memory: CSV, TSV, JSON Lines and Parquet.

pub mod column;
pub mod delimited;
pub mod input;
pub mod json_lines;
pub mod lines;
mod object;
#[cfg(feature = "parquet")]
pub mod parquet;
mod row;

use std::fmt;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use self::column::{Column, ColumnSpec, Place};
use self::delimited::{Record, Syntax};
use self::input::Input;
#[cfg(feature = "parquet")]
use self::input::STANDARD;
pub use self::object::Object;
pub use self::row::{Cell, Content, Row};
use crate::failure::Failure;

/// File format of a table.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum Format {
    /// comma-separated values
    Csv,
    /// tab-separated values, without quoting
    Tsv,
    /// JSON Lines: one object per line
    Jsonl,
    /// Apache Parquet, if the program was built with the feature `parquet`
    Parquet,
}

/// Format and columns of a table.
#[derive(Args)]
pub struct TableOptions {
    /// Text column, by name or 1-based number [default: text, or column 1 without a header]
    #[arg(long, value_name = "COLUMN")]
    text_column: Option<Column>,

    /// File format [default: from the file extension]
    #[arg(long, value_name = "FORMAT", value_enum)]
    format: Option<Format>,

    /// Delimiter of CSV fields [default: ,]
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    delimiter: Option<u8>,

    /// Treat the first line as a header [default: if it contains an expected column; otherwise, pass this or --no-header]
    #[arg(long, conflicts_with = "no_header")]
    header: bool,

    /// Treat the first line as data
    #[arg(long)]
    no_header: bool,
}

/// Parses a delimiter.
fn delimiter(text: &str) -> Result<u8, &'static str> {
    match text.as_bytes() {
        b"\\t" => Ok(b'\t'),
        [b'"' | b'\n' | b'\r'] => Err("quotes and line breaks cannot be delimiters"),
        &[byte] if byte.is_ascii() => Ok(byte),
        _ => Err("expected one ASCII character, such as ; or \\t"),
    }
}

impl TableOptions {
    /// Returns `true` if any option was given.
    pub fn is_given(&self) -> bool {
        let Self { text_column, format, delimiter, header, no_header } = self;
        text_column.is_some() || format.is_some() || delimiter.is_some() || *header || *no_header
    }

    /// Returns the format of a file.
    ///
    /// # Errors
    /// [`Failure::UnknownFormat`] if none was given and the extension is unknown.
    pub fn format(&self, path: &Path) -> Result<Format, Failure> {
        if let Some(format) = self.format {
            return Ok(format);
        }
        let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
        match extension.as_ref().and_then(|extension| extension.to_str()) {
            Some("csv") => Ok(Format::Csv),
            Some("tsv" | "tab") => Ok(Format::Tsv),
            Some("jsonl" | "ndjson") => Ok(Format::Jsonl),
            Some("parquet") => Ok(Format::Parquet),
            _ => Err(Failure::UnknownFormat { path: path.into() }),
        }
    }

    /// Returns the specification of the text column.
    pub fn text_column(&self) -> ColumnSpec<'_> {
        ColumnSpec {
            option: "--text-column",
            given: self.text_column.as_ref(),
            default_names: &["text"],
            default_number: 1,
            is_optional: false,
        }
    }

    /// Returns `true` if the first line is given as a header, `false` if it is given as data, and `None` otherwise.
    fn has_header(&self) -> Option<bool> {
        match (self.header, self.no_header) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        }
    }
}

/// Open table.
pub struct Table {
    path: PathBuf,
    reader: Reader,
    /// First row, read ahead to find the columns.
    first: Option<Row>,
    header: Option<Vec<String>>,
    /// Number of fields of each row; `None` for objects and in an empty table.
    width: Option<usize>,
    /// Places of the requested columns.
    places: Vec<Place>,
    /// Number of rows read.
    rows: u64,
    /// Number of rows left before the limit.
    left: u64,
}

/// Reader of a file format.
enum Reader {
    Delimited(Box<delimited::Reader>, Syntax),
    JsonLines(json_lines::Reader),
    #[cfg(feature = "parquet")]
    Parquet(Box<parquet::Reader>),
}

impl Table {
    /// Opens a file, or standard input for `-`, and finds the columns.
    pub fn open(
        path: &Path,
        options: &TableOptions,
        specs: &[ColumnSpec<'_>],
    ) -> Result<Self, Failure> {
        let delimited = |syntax| {
            let reader = delimited::Reader::new(Input::open(path)?, syntax);
            Ok::<_, Failure>(Reader::Delimited(reader.into(), syntax))
        };
        let reader = match options.format(path)? {
            Format::Csv => delimited(Syntax::Csv { delimiter: options.delimiter.unwrap_or(b',') })?,
            Format::Tsv => delimited(Syntax::Tsv)?,
            Format::Jsonl => Reader::JsonLines(json_lines::Reader::new(Input::open(path)?)),
            Format::Parquet => return Self::open_parquet(path, specs),
        };
        let mut table = Self::new(path, reader);
        table.find_columns(options.has_header(), specs)?;
        Ok(table)
    }

    #[cfg(feature = "parquet")]
    fn open_parquet(path: &Path, specs: &[ColumnSpec<'_>]) -> Result<Self, Failure> {
        if path.as_os_str() == STANDARD {
            return Err(Failure::ParquetStream);
        }
        let (reader, places) = parquet::Reader::open(path, specs)?;
        Ok(Self { places, ..Self::new(path, Reader::Parquet(reader.into())) })
    }

    #[cfg(not(feature = "parquet"))]
    fn open_parquet(path: &Path, _: &[ColumnSpec<'_>]) -> Result<Self, Failure> {
        Err(Failure::NoParquet { path: path.into() })
    }

    fn new(path: &Path, reader: Reader) -> Self {
        Self {
            path: path.into(),
            reader,
            first: None,
            header: None,
            width: None,
            places: Vec::new(),
            rows: 0,
            left: u64::MAX,
        }
    }

    /// Reads the first row, decides whether it is a header, and finds the columns.
    fn find_columns(
        &mut self,
        has_header: Option<bool>,
        specs: &[ColumnSpec<'_>],
    ) -> Result<(), Failure> {
        let Some(first) = self.read()? else { return Ok(()) };
        let path = self.path.clone();
        let failure =
            |reason| Failure::Line { path: path.clone(), line: first.line.unwrap_or(1), reason };
        let header = match &first.content {
            Content::Object(object) => {
                let is_key = |name: &str| object.has(name);
                self.places = specs.iter().map(|spec| spec.key(is_key)).collect();
                self.first = Some(first);
                return Ok(());
            }
            #[cfg(feature = "parquet")]
            // A Parquet file names its columns itself.
            Content::Cells(_) => return Ok(()),
            Content::Fields(record) => match has_header {
                Some(false) => None,
                Some(true) => Some(column::names(record).map_err(failure)?),
                None => {
                    let names = column::names(record).map_err(failure)?;
                    column::is_header(&names, specs).map_err(failure)?.then_some(names)
                }
            },
        };
        let places = specs.iter().map(|spec| match &header {
            Some(names) => spec.in_header(names),
            None => spec.without_header(),
        });
        self.places = places.collect::<Result<_, _>>().map_err(failure)?;
        self.width = first.record().map(Record::len);
        if header.is_none() {
            self.first = Some(first);
        } else {
            self.rows = 0;
        }
        self.header = header;
        Ok(())
    }

    /// Limits the number of rows.
    pub fn limit(self, rows: u64) -> Self {
        Self { left: rows, ..self }
    }

    /// Reads the next row; `None` at the end or at the limit.
    pub fn next_row(&mut self) -> Result<Option<Row>, Failure> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        match self.first.take() {
            Some(first) => Ok(Some(first)),
            None => self.read(),
        }
    }

    /// Reads a row from the file.
    fn read(&mut self) -> Result<Option<Row>, Failure> {
        let content = match &mut self.reader {
            Reader::Delimited(reader, _) => {
                let mut record = reader.next_record()?;
                // In a table with one column, an empty line is an empty text.
                while self.width.is_some_and(|width| width > 1)
                    && record.as_ref().is_some_and(Record::is_blank)
                {
                    record = reader.next_record()?;
                }
                record.map(Content::Fields)
            }
            Reader::JsonLines(reader) => {
                reader.next_line()?.map(|line| Content::Object(Object::from_line(line)))
            }
            #[cfg(feature = "parquet")]
            Reader::Parquet(reader) => reader.next_cells(&self.path)?.map(Content::Cells),
        };
        let Some(content) = content else { return Ok(None) };
        self.rows += 1;
        Ok(Some(Row {
            number: self.rows,
            line: self.input().map(Input::row_line),
            width: self.width,
            content,
        }))
    }

    /// Returns the error that a row is invalid.
    pub fn invalid_row(&self, row: &Row, reason: &dyn fmt::Display) -> Failure {
        Failure::Row {
            path: self.path.clone(),
            line: row.line,
            row: row.number,
            reason: reason.to_string(),
        }
    }

    /// Replaces `rows` with the next rows: at least one, and at most about one buffer. Returns `false` at the end.
    ///
    /// A typed row is returned at once, a file is read in large chunks, and memory stays small.
    pub fn read_chunk(&mut self, rows: &mut Vec<Row>) -> Result<bool, Failure> {
        rows.clear();
        let buffers = self.buffers();
        while let Some(row) = self.next_row()? {
            rows.push(row);
            if self.buffers() > buffers {
                break;
            }
        }
        Ok(!rows.is_empty())
    }

    /// Returns the places of the requested columns, in the order of the request; empty in a table without rows.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// Returns the names in the header, if the table has one.
    pub fn header(&self) -> Option<&[String]> {
        self.header.as_deref()
    }

    /// Returns the syntax of delimited fields; `None` if rows are objects.
    pub fn syntax(&self) -> Option<Syntax> {
        match self.reader {
            Reader::Delimited(_, syntax) => Some(syntax),
            _ => None,
        }
    }

    /// Returns the position in the table, in bytes, or in rows of a Parquet file.
    pub fn position(&self) -> u64 {
        self.input().map_or(self.rows, Input::position)
    }

    /// Returns the position of the end, if known.
    pub fn size(&self) -> Option<u64> {
        match &self.reader {
            #[cfg(feature = "parquet")]
            Reader::Parquet(reader) => Some(reader.rows()),
            _ => self.input()?.size(),
        }
    }

    /// Returns the number of buffers consumed completely.
    fn buffers(&self) -> u64 {
        match &self.reader {
            #[cfg(feature = "parquet")]
            Reader::Parquet(reader) => reader.buffers(),
            _ => self.input().map_or(0, Input::buffers),
        }
    }

    fn input(&self) -> Option<&Input> {
        match &self.reader {
            Reader::Delimited(reader, _) => Some(reader.input()),
            Reader::JsonLines(reader) => Some(reader.input()),
            #[cfg(feature = "parquet")]
            Reader::Parquet(_) => None,
        }
    }
}
