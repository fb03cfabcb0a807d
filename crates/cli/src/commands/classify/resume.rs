//! What is there of an output that was interrupted.
//!
//! A text's prediction is the same in whatever batch it is, so the output itself says where to go on: after
//! its last whole row.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::rows::{RowWriter, Written};
use crate::failure::Failure;
use crate::table::delimited::{Reader, Syntax};
use crate::table::input::Input;
use crate::table::json_lines;

/// The whole rows of an output.
#[derive(Default)]
pub struct Found {
    pub rows: u64,
    /// Rows that have no prediction.
    pub failed: u64,
    /// Bytes up to the end of the last.
    pub end: u64,
    /// The last one.
    pub last: Vec<u8>,
}

/// Reads an output as far as it is whole.
pub fn read(path: &Path, syntax: Option<Syntax>, writer: &RowWriter) -> Result<Found, Failure> {
    let fault = |source| Failure::File { path: path.into(), source };
    let mut header = Vec::new();
    writer.write_header(&mut header);
    let mut file = File::open(path).map_err(fault)?;
    let mut start = Vec::new();
    (&mut file).take(header.len() as u64).read_to_end(&mut start).map_err(fault)?;
    if start != header {
        if header.starts_with(&start) {
            return Ok(Found::default());
        }
        let reason = "its first line names other columns".to_owned();
        return Err(Failure::OtherOutput { path: path.into(), reason });
    }

    let mut found = Found { end: header.len() as u64, ..Found::default() };
    let size = file.seek(SeekFrom::End(0)).map_err(fault)?;
    file.seek(SeekFrom::Start(found.end)).map_err(fault)?;
    let input = Input::new(path, Box::new(file.try_clone().map_err(fault)?), Some(size))?;
    let rows_start = found.end;
    let mut last = rows_start;
    let mut count = |row: Written<'_>, position: u64| {
        last = found.end;
        found.end = rows_start + position;
        found.rows += 1;
        found.failed += u64::from(writer.is_without_prediction(&row));
    };
    match syntax {
        Some(syntax) => {
            let mut reader = Reader::new(input, syntax);
            // A fault is a row that is cut within quotes.
            while let Ok(Some(record)) = reader.next_record() {
                if reader.input().last_byte() == Some(b'\n') {
                    count(Written::Record(&record), reader.input().position());
                }
            }
        }
        None => {
            let mut reader = json_lines::Reader::new(input);
            while let Some(line) = reader.next_line()? {
                if reader.input().last_byte() == Some(b'\n') {
                    count(Written::Line(&line), reader.input().position());
                }
            }
        }
    }
    if found.rows > 0 {
        file.seek(SeekFrom::Start(last)).map_err(fault)?;
        file.take(found.end - last).read_to_end(&mut found.last).map_err(fault)?;
    }
    Ok(found)
}
