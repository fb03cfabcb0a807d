//! Comma-separated values (RFC 4180) and tab-separated values, row by row.
//!
//! CSV fields may be quoted and contain line breaks. In TSV, quotes and backslashes are ordinary characters, and each
//! line is a row.

use std::io::{self, Write};

use csv_core::{ReadRecordResult, ReaderBuilder, Terminator, WriteResult, WriterBuilder};

use super::input::Input;
use crate::failure::Failure;

/// Maximum number of fields of a row: each takes memory, even an empty one.
const MAX_FIELDS: usize = 1 << 20;

/// Fields of a row, as bytes that may be invalid UTF-8.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    bytes: Vec<u8>,
    /// End of each field in `bytes`.
    ends: Vec<usize>,
}

impl Record {
    /// Returns the number of fields.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns `true` for an empty line.
    pub fn is_blank(&self) -> bool {
        self.len() == 1 && self.bytes.is_empty()
    }

    /// Returns a field, if the row has it.
    pub fn field(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(&self.bytes[start..end])
    }

    /// Returns the fields in order.
    pub fn fields(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).filter_map(|index| self.field(index))
    }

    /// Appends a field.
    pub fn push(&mut self, field: &[u8]) {
        self.bytes.extend_from_slice(field);
        self.ends.push(self.bytes.len());
    }

    /// Splits a line of tab-separated values.
    fn from_tsv(line: Vec<u8>) -> Self {
        let mut record = Self::default();
        line.split(|&byte| byte == b'\t').for_each(|field| record.push(field));
        record
    }
}

/// Syntax of delimited fields.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Syntax {
    Csv { delimiter: u8 },
    Tsv,
}

/// Reader of delimited rows.
pub struct Reader {
    input: Input,
    syntax: Syntax,
    csv: csv_core::Reader,
    /// Buffer for the fields of the current row.
    bytes: Vec<u8>,
    /// Buffer for the ends of the fields.
    ends: Vec<usize>,
}

impl Reader {
    pub fn new(input: Input, syntax: Syntax) -> Self {
        let mut builder = ReaderBuilder::new();
        if let Syntax::Csv { delimiter } = syntax {
            builder.delimiter(delimiter);
        }
        Self { input, syntax, csv: builder.build(), bytes: vec![0; 1 << 10], ends: vec![0; 32] }
    }

    pub fn input(&self) -> &Input {
        &self.input
    }

    /// Reads the next row; `None` at the end. An empty line is skipped in CSV, and a row with one empty field in TSV.
    pub fn next_record(&mut self) -> Result<Option<Record>, Failure> {
        match self.syntax {
            Syntax::Csv { .. } => self.next_csv(),
            Syntax::Tsv => {
                self.input.start_row();
                let mut line = Vec::new();
                let is_row = self.input.read_line(&mut line)?;
                if line.iter().filter(|&&byte| byte == b'\t').count() >= MAX_FIELDS {
                    return Err(self.too_many_fields());
                }
                Ok(is_row.then(|| Record::from_tsv(line)))
            }
        }
    }

    fn next_csv(&mut self) -> Result<Option<Record>, Failure> {
        self.skip_empty_lines()?;
        self.input.start_row();
        let (mut len, mut fields) = (0, 0);
        loop {
            let mut bytes = self.input.fill()?;
            let is_cut = bytes.is_empty() && fields + len > 0;
            if is_cut {
                // The last row may lack a line break, unless it ends within quotes.
                bytes = b"\n";
            }
            let (out, ends) = (&mut self.bytes[len..], &mut self.ends[fields..]);
            let (result, taken, written, ended) = self.csv.read_record(bytes, out, ends);
            if !is_cut {
                self.input.consume(taken);
            }
            (len, fields) = (len + written, fields + ended);
            match result {
                ReadRecordResult::InputEmpty if is_cut => {
                    return Err(self.input.invalid_row("a quoted field is not closed"));
                }
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.bytes.resize(self.bytes.len() * 2, 0),
                ReadRecordResult::OutputEndsFull if fields >= MAX_FIELDS => {
                    return Err(self.too_many_fields());
                }
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::Record => {
                    let (bytes, ends) = (self.bytes[..len].into(), self.ends[..fields].into());
                    return Ok(Some(Record { bytes, ends }));
                }
                ReadRecordResult::End => return Ok(None),
            }
        }
    }

    fn too_many_fields(&self) -> Failure {
        self.input.invalid_row(format!("the row has more than {MAX_FIELDS} columns"))
    }

    fn skip_empty_lines(&mut self) -> Result<(), Failure> {
        loop {
            self.input.start_row();
            let bytes = self.input.fill()?;
            let empty = bytes.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
            if empty == 0 {
                return Ok(());
            }
            self.input.consume(empty);
        }
    }
}

/// Writes a row, with quotes only where needed.
pub fn write<'f>(
    out: &mut impl Write,
    syntax: Syntax,
    fields: impl Iterator<Item = &'f [u8]>,
) -> io::Result<()> {
    match syntax {
        Syntax::Csv { delimiter } => write_csv(out, delimiter, fields),
        Syntax::Tsv => {
            for (index, field) in fields.enumerate() {
                if index > 0 {
                    out.write_all(b"\t")?;
                }
                out.write_all(field)?;
            }
            out.write_all(b"\n")
        }
    }
}

fn write_csv<'f>(
    out: &mut impl Write,
    delimiter: u8,
    fields: impl Iterator<Item = &'f [u8]>,
) -> io::Result<()> {
    let terminator = Terminator::Any(b'\n');
    let mut csv = WriterBuilder::new().delimiter(delimiter).terminator(terminator).build();
    let mut buffer = [0; 1 << 10];
    for (index, mut field) in fields.enumerate() {
        if index > 0 {
            let (_, written) = csv.delimiter(&mut buffer);
            out.write_all(&buffer[..written])?;
        }
        loop {
            let (result, taken, written) = csv.field(field, &mut buffer);
            out.write_all(&buffer[..written])?;
            field = &field[taken..];
            if result == WriteResult::InputEmpty {
                break;
            }
        }
    }
    let (_, written) = csv.terminator(&mut buffer);
    out.write_all(&buffer[..written])
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const CSV: Syntax = Syntax::Csv { delimiter: b',' };

    type Rows = Vec<(u64, Vec<String>)>;

    fn rows(file: impl Into<Vec<u8>>, syntax: Syntax) -> Result<Rows, String> {
        let bytes = Box::new(io::Cursor::new(file.into()));
        let input =
            Input::new(Path::new("data"), bytes, None).map_err(|failure| failure.to_string())?;
        let mut reader = Reader::new(input, syntax);
        let mut rows = Vec::new();
        while let Some(record) = reader.next_record().map_err(|failure| failure.to_string())? {
            let fields = record.fields().map(|field| String::from_utf8_lossy(field).into_owned());
            rows.push((reader.input().row_line(), fields.collect()));
        }
        Ok(rows)
    }

    fn expected(rows: &[(u64, &[&str])]) -> Rows {
        rows.iter()
            .map(|(line, fields)| (*line, fields.iter().map(|&field| field.to_owned()).collect()))
            .collect()
    }

    #[test]
    fn reads_quoted_commas_quotes_and_line_breaks() {
        let file = "\u{feff}id,text\r\n1,\"a, \"\"b\"\"\r\nc\"\r\n\r\n\n2,\n3,last";
        let found = expected(&[
            (1, &["id", "text"]),
            (2, &["1", "a, \"b\"\r\nc"]),
            (6, &["2", ""]),
            (7, &["3", "last"]),
        ]);
        assert_eq!(rows(file, CSV).unwrap(), found);
        let semicolons = Syntax::Csv { delimiter: b';' };
        assert_eq!(rows("a;\"b;c\"\n", semicolons).unwrap(), expected(&[(1, &["a", "b;c"])]));
    }

    #[test]
    fn quotes_in_tsv_are_ordinary_characters() {
        let file = "\"a\tb\\t\r\n\nc\"\t";
        let found = expected(&[(1, &["\"a", "b\\t"]), (2, &[""]), (3, &["c\"", ""])]);
        assert_eq!(rows(file, Syntax::Tsv).unwrap(), found);
    }

    #[test]
    fn reports_line_of_unclosed_quote() {
        let message = "data, line 2: a quoted field is not closed";
        assert_eq!(rows("a,b\n1,\"x\n2,y\n", CSV).unwrap_err(), message);
        assert_eq!(rows("a,b\n1,\"", CSV).unwrap_err(), message);
        // A quote within a field is an ordinary character.
        assert_eq!(rows("5\" pipe,b", CSV).unwrap(), expected(&[(1, &["5\" pipe", "b"])]));
        assert_eq!(rows("a,\"b\"", CSV).unwrap(), expected(&[(1, &["a", "b"])]));
    }

    #[test]
    fn limits_row_length() {
        let long = "x\n".repeat(1 << 20);
        let found = rows(format!("\"{long}\",b\nc,d"), CSV).unwrap();
        assert_eq!(found[0].1[0], long);
        assert_eq!((found[1].0, found[1].1.len()), ((1 << 20) + 2, 2));
        let overlong = format!("a,b\n\"{}", "x".repeat(LIMIT + 1));
        let message = "data, line 2: the row exceeds 64 MiB";
        assert_eq!(rows(overlong.as_str(), CSV).unwrap_err(), message);
        let overlong = format!("a\tb\n{}", "x".repeat(LIMIT + 1));
        assert_eq!(rows(overlong, Syntax::Tsv).unwrap_err(), message);
    }

    #[test]
    fn limits_number_of_fields() {
        for (delimiter, syntax) in [(",", CSV), ("\t", Syntax::Tsv)] {
            let row = |fields: usize| rows(delimiter.repeat(fields - 1), syntax);
            assert_eq!(row(MAX_FIELDS).unwrap()[0].1.len(), MAX_FIELDS);
            let message = "data, line 1: the row has more than 1048576 columns";
            assert_eq!(row(2 * MAX_FIELDS).unwrap_err(), message);
        }
    }

    /// Row length above the limit by several buffers.
    const LIMIT: usize = (64 << 20) + (1 << 20);

    #[test]
    fn rejects_utf16() {
        for file in [&[0xff, 0xfe, b'a', 0][..], &[0xfe, 0xff, 0, b'a']] {
            assert_eq!(
                rows(file, CSV).unwrap_err(),
                "data, line 1: the file is UTF-16, but UTF-8 is expected"
            );
        }
        assert_eq!(rows(&b""[..], CSV).unwrap(), []);
        assert_eq!(rows(&b"\xef"[..], Syntax::Tsv).unwrap(), expected(&[(1, &["\u{fffd}"])]));
    }

    #[test]
    fn round_trips_fields() {
        let long = "\"".repeat(3000);
        let fields = ["a", "", "b,c", "\"d\"", "e\r\nf", " g ", &long];
        for delimiter in *b",;|" {
            let syntax = Syntax::Csv { delimiter };
            let mut file = Vec::new();
            write(&mut file, syntax, fields.iter().map(|field| field.as_bytes())).unwrap();
            write(&mut file, syntax, [&b""[..]].into_iter()).unwrap();
            let found = expected(&[(1, &fields), (3, &[""])]);
            assert_eq!(rows(file, syntax).unwrap(), found, "{delimiter}");
        }
        let mut file = Vec::new();
        write(&mut file, Syntax::Tsv, [&b"\"a"[..], b"", b"b"].into_iter()).unwrap();
        assert_eq!(file, b"\"a\t\tb\n");
    }
}
