//! Tables of texts, row by row in constant memory: comma- and tab-separated values, JSON lines and
//! Parquet.

pub mod column;
pub mod delimited;
pub mod input;
pub mod json_lines;
pub mod lines;
#[cfg(feature = "parquet")]
pub mod parquet;
mod row;

use std::fmt;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use self::column::{Column, Place, Wanted};
use self::delimited::{Record, Syntax};
use self::input::Input;
#[cfg(feature = "parquet")]
use self::input::STANDARD;
pub use self::row::{Cell, Content, Object, Row};
use crate::failure::Failure;

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum Format {
    /// Comma-separated values, with quotes where needed
    Csv,
    /// Tab-separated values, without quotes
    Tsv,
    /// A JSON object a line
    Jsonl,
    /// Apache Parquet
    Parquet,
}

/// How a table is to be read.
#[derive(Args)]
pub struct TableOptions {
    /// The column of the texts, by name or counted from 1 [default: text, or the first without a header]
    #[arg(long, value_name = "COLUMN")]
    text_column: Option<Column>,

    /// How the table is written [default: what the file's name ends in]
    #[arg(long, value_name = "FORMAT", value_enum)]
    format: Option<Format>,

    /// What stands between the fields of CSV [default: ,]
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    delimiter: Option<u8>,

    /// The first line names the columns [default: if it has the names that are looked for]
    #[arg(long, conflicts_with = "no_header")]
    header: bool,

    /// The first line is a row like the others
    #[arg(long)]
    no_header: bool,
}

fn delimiter(text: &str) -> Result<u8, &'static str> {
    match text.as_bytes() {
        b"\\t" => Ok(b'\t'),
        [b'"' | b'\n' | b'\r'] => Err("quotes and line breaks have a meaning of their own"),
        &[byte] if byte.is_ascii() => Ok(byte),
        _ => Err("one ASCII character, such as ; or \\t"),
    }
}

impl TableOptions {
    /// Whether any of them is.
    pub fn is_given(&self) -> bool {
        let Self { text_column, format, delimiter, header, no_header } = self;
        text_column.is_some() || format.is_some() || delimiter.is_some() || *header || *no_header
    }

    /// The format of a file.
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

    /// The column of the texts.
    pub fn texts(&self) -> Wanted<'_> {
        Wanted {
            what: "texts",
            option: "--text-column",
            given: self.text_column.as_ref(),
            known: &["text"],
            number: 1,
            is_optional: false,
        }
    }

    fn has_header(&self) -> Option<bool> {
        match (self.header, self.no_header) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        }
    }
}

/// A table that is open for reading.
pub struct Table {
    path: PathBuf,
    reader: Reader,
    /// A row that has been read to find the columns.
    first: Option<Row>,
    header: Option<Vec<String>>,
    /// Fields of each row; not known without rows, nor of objects.
    width: Option<usize>,
    places: Vec<Place>,
    /// Rows that have been read.
    rows: u64,
    /// Rows that are still to be given.
    left: u64,
}

enum Reader {
    Delimited(Box<delimited::Reader>, Syntax),
    JsonLines(json_lines::Reader),
    #[cfg(feature = "parquet")]
    Parquet(Box<parquet::Reader>),
}

impl Table {
    /// Opens a file, or standard input for `-`, and finds the columns that are wanted.
    pub fn open(
        path: &Path,
        options: &TableOptions,
        wanted: &[Wanted<'_>],
    ) -> Result<Self, Failure> {
        let delimited = |syntax| {
            let reader = delimited::Reader::new(Input::open(path)?, syntax);
            Ok::<_, Failure>(Reader::Delimited(reader.into(), syntax))
        };
        let reader = match options.format(path)? {
            Format::Csv => delimited(Syntax::Csv { delimiter: options.delimiter.unwrap_or(b',') })?,
            Format::Tsv => delimited(Syntax::Tsv)?,
            Format::Jsonl => Reader::JsonLines(json_lines::Reader::new(Input::open(path)?)),
            Format::Parquet => return Self::open_parquet(path, wanted),
        };
        let mut table = Self::new(path, reader);
        table.find_columns(options.has_header(), wanted)?;
        Ok(table)
    }

    #[cfg(feature = "parquet")]
    fn open_parquet(path: &Path, wanted: &[Wanted<'_>]) -> Result<Self, Failure> {
        if path.as_os_str() == STANDARD {
            return Err(Failure::ParquetStream);
        }
        let (reader, places) = parquet::Reader::open(path, wanted)?;
        Ok(Self { places, ..Self::new(path, Reader::Parquet(reader.into())) })
    }

    #[cfg(not(feature = "parquet"))]
    fn open_parquet(path: &Path, _: &[Wanted<'_>]) -> Result<Self, Failure> {
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

    fn find_columns(
        &mut self,
        has_header: Option<bool>,
        wanted: &[Wanted<'_>],
    ) -> Result<(), Failure> {
        let Some(first) = self.read()? else { return Ok(()) };
        let path = self.path.clone();
        let fault =
            |reason| Failure::Line { path: path.clone(), line: first.line.unwrap_or(1), reason };
        let header = match &first.content {
            Content::Object(object) => {
                let is_key = |name: &str| object.has(name);
                self.places = wanted.iter().map(|column| column.key(is_key)).collect();
                self.first = Some(first);
                return Ok(());
            }
            Content::Fields(record) => match has_header {
                Some(false) => None,
                Some(true) => Some(column::names(record).map_err(fault)?),
                None => {
                    let names = column::names(record).map_err(fault)?;
                    column::is_header(&names, wanted).map_err(fault)?.then_some(names)
                }
            },
        };
        let places = wanted.iter().map(|column| match &header {
            Some(names) => column.under(names),
            None => column.without_header(),
        });
        self.places = places.collect::<Result<_, _>>().map_err(fault)?;
        self.width = first.record().map(Record::len);
        if header.is_none() {
            self.first = Some(first);
        } else {
            self.rows = 0;
        }
        self.header = header;
        Ok(())
    }

    /// The first rows of it alone.
    pub fn limit(self, rows: u64) -> Self {
        Self { left: rows, ..self }
    }

    /// The next row; none at the end.
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

    fn read(&mut self) -> Result<Option<Row>, Failure> {
        let content = match &mut self.reader {
            Reader::Delimited(reader, _) => {
                let mut record = reader.next_record()?;
                // In a table of one column, an empty line is an empty text.
                while self.width.is_some_and(|width| width > 1)
                    && record.as_ref().is_some_and(Record::is_blank)
                {
                    record = reader.next_record()?;
                }
                record.map(Content::Fields)
            }
            Reader::JsonLines(reader) => {
                reader.next_line()?.map(|line| Content::Object(Object::of_line(line)))
            }
            #[cfg(feature = "parquet")]
            Reader::Parquet(reader) => {
                let values = reader.next_object(&self.path)?;
                values.map(|values| Content::Object(Object::of_values(values)))
            }
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

    /// What is wrong with a row.
    pub fn fault(&self, row: &Row, reason: &dyn fmt::Display) -> Failure {
        Failure::Row {
            path: self.path.clone(),
            line: row.line,
            row: row.number,
            reason: reason.to_string(),
        }
    }

    /// Replaces `rows` by those that have come so far, at least one, and about a buffer of them at most; `false` at the
    /// end. So a row typed is there at once, a file is read in large pieces, and memory stays small.
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

    /// Where the columns are that were wanted, in their order.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    pub fn header(&self) -> Option<&[String]> {
        self.header.as_deref()
    }

    /// How fields are told apart; none where rows are objects.
    pub fn syntax(&self) -> Option<Syntax> {
        match self.reader {
            Reader::Delimited(_, syntax) => Some(syntax),
            _ => None,
        }
    }

    /// How far the table is read, in bytes or in rows.
    pub fn position(&self) -> u64 {
        self.input().map_or(self.rows, Input::position)
    }

    /// Where its end is, if that is known.
    pub fn size(&self) -> Option<u64> {
        match &self.reader {
            #[cfg(feature = "parquet")]
            Reader::Parquet(reader) => Some(reader.rows()),
            _ => self.input()?.size(),
        }
    }

    /// How many buffers have been taken whole.
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
