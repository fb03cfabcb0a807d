//! The bytes of a table, from a file or standard input, with a count of lines and of bytes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Enough short texts to keep the engine at full speed, and little enough that memory stays small.
const BUFFER: usize = 128 << 10;

/// A row longer than this is a mistake in the file, such as a quote that nothing closes.
const LONGEST_ROW: usize = 64 << 20;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Stands for standard input or output in place of a file.
pub const STANDARD: &str = "-";

pub struct Input {
    path: PathBuf,
    reader: BufReader<Box<dyn Read>>,
    size: Option<u64>,
    /// Bytes taken so far.
    position: u64,
    /// The line that the next byte is on, counted from 1.
    line: u64,
    last: Option<u8>,
    /// How often the buffer was empty and more was read.
    refills: u64,
    /// The line and the position at which the row that is being read begins.
    row: (u64, u64),
}

impl Input {
    /// Opens a file, or standard input for `-`. A byte-order mark is taken off.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let fault = |source| Failure::File { path: path.into(), source };
        if path.as_os_str() == STANDARD {
            return Self::new(path, Box::new(io::stdin()), None);
        }
        let file = File::open(path).map_err(fault)?;
        let about = file.metadata().map_err(fault)?;
        Self::new(path, Box::new(file), about.is_file().then_some(about.len()))
    }

    pub fn new(path: &Path, mut bytes: Box<dyn Read>, size: Option<u64>) -> Result<Self, Failure> {
        let mut start = Vec::new();
        let read = bytes.by_ref().take(BYTE_ORDER_MARK.len() as u64).read_to_end(&mut start);
        read.map_err(|source| Failure::File { path: path.into(), source })?;
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
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Err(input.fault("UTF-16, not UTF-8")),
            _ => Ok(input),
        }
    }

    /// Takes the next bytes as far as they are at hand, waiting for some; none at the end.
    pub fn at_hand(&mut self) -> Result<&[u8], Failure> {
        if self.position - self.row.1 > LONGEST_ROW as u64 {
            let reason = format!("the row has no end in {} MB", LONGEST_ROW >> 20);
            return Err(self.fault(reason));
        }
        if self.reader.buffer().is_empty() {
            self.refills += 1;
        }
        loop {
            match self.reader.fill_buf() {
                Ok(_) => return Ok(self.reader.buffer()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(source) => return Err(Failure::File { path: self.path.clone(), source }),
            }
        }
    }

    pub fn consume(&mut self, bytes: usize) {
        let taken = &self.reader.buffer()[..bytes];
        self.line += taken.iter().filter(|&&byte| byte == b'\n').count() as u64;
        self.last = taken.last().copied().or(self.last);
        self.position += bytes as u64;
        self.reader.consume(bytes);
    }

    /// Appends a line to `line`, without its end; `false` at the end of the input.
    pub fn read_line(&mut self, line: &mut Vec<u8>) -> Result<bool, Failure> {
        let mut is_some = false;
        loop {
            let bytes = self.at_hand()?;
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

    /// Notes that a row begins here.
    pub fn begin_row(&mut self) {
        self.row = (self.line, self.position);
    }

    /// The line that the row begins on.
    pub fn row_line(&self) -> u64 {
        self.row.0
    }

    /// How many buffers have been taken whole.
    pub fn buffers(&self) -> u64 {
        self.refills - u64::from(!self.reader.buffer().is_empty())
    }

    /// The byte taken last.
    pub fn last_byte(&self) -> Option<u8> {
        self.last
    }

    /// Bytes taken so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Bytes of the file; not known of a stream.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// What is wrong with the row that is being read.
    pub fn fault(&self, reason: impl Into<String>) -> Failure {
        Failure::Line { path: self.path.clone(), line: self.row.0, reason: reason.into() }
    }
}
