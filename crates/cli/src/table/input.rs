//! Bytes of a table from a file or standard input, with their line and position.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Buffer size: enough short texts to keep the engine busy, and small enough to keep memory low.
const BUFFER: usize = 128 << 10;

/// Maximum length of a row. A longer one is a mistake in the file, such as a quote that is not closed.
pub const MAX_ROW: usize = 64 << 20;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Path that stands for standard input or output.
pub const STANDARD: &str = "-";

/// Returns the message for a row that exceeds [`MAX_ROW`].
pub fn overlong() -> String {
    format!("the row exceeds {} MiB", MAX_ROW >> 20)
}

/// Input of a table.
pub struct Input {
    path: PathBuf,
    reader: BufReader<Box<dyn Read>>,
    size: Option<u64>,
    /// Number of bytes consumed.
    position: u64,
    /// Line of the next byte, counted from 1.
    line: u64,
    /// Last byte consumed.
    last: Option<u8>,
    /// Number of times that the buffer was filled.
    refills: u64,
    /// Line and position of the start of the current row.
    row: (u64, u64),
}

impl Input {
    /// Opens a file, or standard input for `-`, and skips a byte-order mark.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let failure = |source| Failure::Read { path: path.into(), source };
        if path.as_os_str() == STANDARD {
            return Self::new(path, Box::new(io::stdin()), None);
        }
        let file = File::open(path).map_err(failure)?;
        let about = file.metadata().map_err(failure)?;
        Self::new(path, Box::new(file), about.is_file().then_some(about.len()))
    }

    /// Wraps a reader of `size` bytes; `path` is its name in messages.
    pub fn new(path: &Path, mut bytes: Box<dyn Read>, size: Option<u64>) -> Result<Self, Failure> {
        let mut start = Vec::new();
        let read = bytes.by_ref().take(BYTE_ORDER_MARK.len() as u64).read_to_end(&mut start);
        read.map_err(|source| Failure::Read { path: path.into(), source })?;
        let marked = start.starts_with(BYTE_ORDER_MARK);
        let position = if marked { start.len() as u64 } else { 0 };
        let rest = Cursor::new(if marked { Vec::new() } else { start.clone() });
        let reader = BufReader::with_capacity(BUFFER, Box::new(rest.chain(bytes)) as Box<dyn Read>);
        let input = Self {
            path: path.into(),
            reader,
            size,
            position,
            line: 1,
            last: None,
            refills: 0,
            row: (1, position),
        };
        match start[..] {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
                Err(input.invalid_row("the file is UTF-16, but UTF-8 is expected"))
            }
            _ => Ok(input),
        }
    }

    /// Returns the buffered bytes, after filling an empty buffer; none at the end.
    pub fn fill(&mut self) -> Result<&[u8], Failure> {
        if self.position - self.row.1 > MAX_ROW as u64 {
            return Err(self.invalid_row(overlong()));
        }
        if self.reader.buffer().is_empty() {
            self.refills += 1;
        }
        loop {
            match self.reader.fill_buf() {
                Ok(_) => return Ok(self.reader.buffer()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(source) => return Err(Failure::Read { path: self.path.clone(), source }),
            }
        }
    }

    /// Marks buffered bytes as consumed.
    pub fn consume(&mut self, bytes: usize) {
        let taken = &self.reader.buffer()[..bytes];
        self.line += taken.iter().filter(|&&byte| byte == b'\n').count() as u64;
        self.last = taken.last().copied().or(self.last);
        self.position += bytes as u64;
        self.reader.consume(bytes);
    }

    /// Appends the next line to `line`, without its line break; returns `false` at the end of the input.
    pub fn read_line(&mut self, line: &mut Vec<u8>) -> Result<bool, Failure> {
        let mut is_some = false;
        loop {
            let bytes = self.fill()?;
            let end = bytes.iter().position(|&byte| byte == b'\n');
            let taken = end.map_or(bytes.len(), |end| end + 1);
            line.extend_from_slice(&bytes[..end.unwrap_or(taken)]);
            self.consume(taken);
            is_some |= taken > 0;
            if end.is_some() || taken == 0 {
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(is_some);
            }
        }
    }

    /// Marks the start of a row.
    pub fn start_row(&mut self) {
        self.row = (self.line, self.position);
    }

    /// Returns the line on which the current row starts.
    pub fn row_line(&self) -> u64 {
        self.row.0
    }

    /// Returns the number of buffers consumed completely.
    pub fn buffers(&self) -> u64 {
        self.refills - u64::from(!self.reader.buffer().is_empty())
    }

    /// Returns the last byte consumed.
    pub fn last_byte(&self) -> Option<u8> {
        self.last
    }

    /// Returns the number of bytes consumed.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Returns the size of the file; `None` for a stream.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// Returns the error that the current row is invalid.
    pub fn invalid_row(&self, reason: impl Into<String>) -> Failure {
        Failure::Line { path: self.path.clone(), line: self.row.0, reason: reason.into() }
    }
}
