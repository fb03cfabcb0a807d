//! Complete rows of an interrupted output.
//!
//! A prediction does not depend on the batch, so that a run can continue after the last complete row.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::rows::{RowWriter, Written};
use crate::failure::Failure;
use crate::table::delimited::{Reader, Syntax};
use crate::table::input::Input;
use crate::table::json_lines;

/// Complete rows of an output.
#[derive(Default)]
pub struct Found {
    /// Number of rows.
    pub rows: u64,
    /// Number of rows without a prediction.
    pub failed: u64,
    /// Position of the end of the last row.
    pub end: u64,
    /// Bytes of the last row.
    pub last: Vec<u8>,
}

/// Reads the complete rows of an output.
///
/// # Errors
/// [`Failure::OtherOutput`] if the header differs; [`Failure::Read`] if the file cannot be read.
pub fn read(path: &Path, syntax: Option<Syntax>, writer: &RowWriter) -> Result<Found, Failure> {
    let failure = |source| Failure::Read { path: path.into(), source };
    let mut header = Vec::new();
    writer.write_header(&mut header);
    let mut file = File::open(path).map_err(failure)?;
    let mut start = Vec::new();
    (&mut file).take(header.len() as u64).read_to_end(&mut start).map_err(failure)?;
    if start != header {
        if header.starts_with(&start) {
            return Ok(Found::default());
        }
        let reason = "its columns differ".to_owned();
        return Err(Failure::OtherOutput { path: path.into(), reason });
    }

    let mut found = Found { end: header.len() as u64, ..Found::default() };
    let size = file.seek(SeekFrom::End(0)).map_err(failure)?;
    file.seek(SeekFrom::Start(found.end)).map_err(failure)?;
    let input = Input::new(path, Box::new(file.try_clone().map_err(failure)?), Some(size))?;
    let rows_start = found.end;
    let mut last = rows_start;
    let mut count = |row: Written<'_>, position: u64| {
        last = found.end;
        found.end = rows_start + position;
        found.rows += 1;
        found.failed += u64::from(writer.lacks_prediction(&row));
    };
    match syntax {
        Some(syntax) => {
            let mut reader = Reader::new(input, syntax);
            // An error is a row that is cut off within quotes.
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
        file.seek(SeekFrom::Start(last)).map_err(failure)?;
        file.take(found.end - last).read_to_end(&mut found.last).map_err(failure)?;
    }
    Ok(found)
}
