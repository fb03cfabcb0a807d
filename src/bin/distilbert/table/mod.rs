//! Tables of texts, row by row in constant memory: comma- and tab-separated values and JSON lines.

pub mod column;
pub mod delimited;
pub mod input;
mod json_lines;
mod row;

use std::fmt;
use std::path::Path;

use clap::{Args, ValueEnum};

use self::column::{Column, Place, Wanted};
use self::delimited::{Record, Syntax};
use self::input::Input;
pub use self::row::{Content, Object, Row};
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
        }
    }

    fn syntax(&self, format: Format) -> Option<Syntax> {
        match format {
            Format::Csv => Some(Syntax::Csv { delimiter: self.delimiter.unwrap_or(b',') }),
            Format::Tsv => Some(Syntax::Tsv),
            Format::Jsonl => None,
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
    reader: Reader,
    /// A row that has been read to find the columns.
    first: Option<Row>,
    header: Option<Vec<String>>,
    /// Fields of each row; not known without rows, nor of objects.
    width: Option<usize>,
    places: Vec<Place>,
    rows: u64,
}

enum Reader {
    Delimited(Box<delimited::Reader>, Syntax),
    JsonLines(json_lines::Reader),
}

impl Table {
    /// Opens a file, or standard input for `-`, and finds the columns that are wanted.
    pub fn open(
        path: &Path,
        options: &TableOptions,
        wanted: &[Wanted<'_>],
    ) -> Result<Self, Failure> {
        let format = options.format(path)?;
        let input = Input::open(path)?;
        let reader = match options.syntax(format) {
            Some(syntax) => Reader::Delimited(delimited::Reader::new(input, syntax).into(), syntax),
            None => Reader::JsonLines(json_lines::Reader::new(input)),
        };
        let mut table =
            Self { reader, first: None, header: None, width: None, places: Vec::new(), rows: 0 };
        table.find_columns(options.has_header(), wanted)?;
        Ok(table)
    }

    fn find_columns(
        &mut self,
        has_header: Option<bool>,
        wanted: &[Wanted<'_>],
    ) -> Result<(), Failure> {
        let Some(first) = self.read()? else { return Ok(()) };
        let fault = |reason| self.input().fault(reason);
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

    /// The next row; none at the end.
    pub fn next_row(&mut self) -> Result<Option<Row>, Failure> {
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
        };
        let Some(content) = content else { return Ok(None) };
        self.rows += 1;
        Ok(Some(Row {
            number: self.rows,
            line: self.input().row_line(),
            width: self.width,
            content,
        }))
    }

    /// What is wrong with a row.
    pub fn fault(&self, row: &Row, reason: &dyn fmt::Display) -> Failure {
        let reason = format!("row {}: {reason}", row.number);
        Failure::Line { path: self.input().path().into(), line: row.line, reason }
    }

    /// Reads the rows that have come so far, at least one, and about a buffer of them at most; `false` at the
    /// end. So a row typed is there at once, a file is read in large pieces, and memory stays small.
    pub fn read_chunk(&mut self, rows: &mut Vec<Row>) -> Result<bool, Failure> {
        let buffers = self.input().buffers();
        while let Some(row) = self.next_row()? {
            rows.push(row);
            if self.input().buffers() > buffers {
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
            Reader::JsonLines(_) => None,
        }
    }

    pub fn input(&self) -> &Input {
        match &self.reader {
            Reader::Delimited(reader, _) => reader.input(),
            Reader::JsonLines(reader) => reader.input(),
        }
    }
}
