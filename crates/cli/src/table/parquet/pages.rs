//! [`Pages`]: a file whose pages are refused if they claim more memory than they can need.

use std::fs::File;
use std::io::{self, BufReader, Read};

use bytes::Bytes;
use parquet::basic::Compression;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

/// Largest size of a page before it was compressed, in bytes. Writers start a new page after about a mebibyte.
const LARGEST_PAGE: u64 = 256 << 20;

/// Bytes that a compressed page may have beyond the codec's ratio.
const SLACK: u64 = 1 << 10;

/// Largest number of bytes of a header up to and including the sizes: three fields with their numbers, each in its longest form.
const LONGEST_SIZES: usize = 3 * (1 + 10 + 10);

/// Returns the largest number of bytes that one compressed byte can stand for.
pub fn largest_ratio(codec: Compression) -> u64 {
    match codec {
        Compression::UNCOMPRESSED => 1,
        // An element of three bytes copies 64.
        Compression::SNAPPY => 22,
        // A byte of a length stands for up to 255.
        Compression::LZ4 | Compression::LZ4_RAW => 255,
        // Two bits copy 258.
        Compression::GZIP(_) => 1032,
        // Four bytes repeat one byte for a block of 128 KiB.
        _ => 1 << 15,
    }
}

/// A file with pages. `parquet` allocates what a page's header states, which is up to 2 GiB.
pub struct Pages {
    file: File,
    /// Largest ratio of the columns' codecs.
    ratio: u64,
}

impl Pages {
    pub fn new(file: File, ratio: u64) -> Self {
        Self { file, ratio }
    }
}

impl Length for Pages {
    fn len(&self) -> u64 {
        Length::len(&self.file)
    }
}

impl ChunkReader for Pages {
    type T = Checked<BufReader<File>>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(Checked::new(self.file.get_read(start)?, self.ratio))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let end = start.checked_add(length as u64);
        if end.is_none_or(|end| end > self.len()) {
            return Err(ParquetError::EOF(format!(
                "the file has {} bytes, but a page of {length} bytes starts at byte {start}",
                self.len()
            )));
        }
        self.file.get_bytes(start, length)
    }
}

/// Reader that starts at the header of a page, and fails once it has read that the page is too large.
pub struct Checked<R> {
    inner: R,
    ratio: u64,
    /// Bytes read of the header; `None` once the sizes are known.
    head: Option<Vec<u8>>,
}

impl<R> Checked<R> {
    fn new(inner: R, ratio: u64) -> Self {
        Self { inner, ratio, head: Some(Vec::with_capacity(LONGEST_SIZES)) }
    }

    fn check(&mut self, read: &[u8]) -> io::Result<()> {
        let Some(head) = &mut self.head else { return Ok(()) };
        head.extend(read.iter().take(LONGEST_SIZES - head.len()));
        let invalid = |reason| Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        let [size, compressed] = match sizes(head) {
            Sizes::Known(sizes) => sizes,
            Sizes::Partial if head.len() < LONGEST_SIZES => return Ok(()),
            _ => return invalid("the header of a page is damaged".to_owned()),
        };
        self.head = None;
        let limit = compressed.saturating_mul(self.ratio).saturating_add(SLACK).min(LARGEST_PAGE);
        if size > limit {
            return invalid(format!(
                "a page of {compressed} bytes should have at most {limit} bytes when decompressed, found {size}"
            ));
        }
        Ok(())
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.check(&buffer[..read])?;
        Ok(read)
    }
}

enum Sizes {
    /// Sizes of the page, decompressed and compressed.
    Known([u64; 2]),
    /// The header goes on.
    Partial,
    Damaged,
}

/// Reads the sizes at the start of a header: the fields 2 and 3 of a structure of Thrift's compact protocol, behind the
/// field 1, which is a number as well. They are required, and writers write fields in their order.
fn sizes(header: &[u8]) -> Sizes {
    const NUMBER: u8 = 5;
    let mut rest = header;
    let mut found = [0; 3];
    for (field, value) in (1..).zip(&mut found) {
        let Some((&start, after)) = rest.split_first() else { return Sizes::Partial };
        rest = after;
        // The difference from the field before, or 0 and then the field.
        let id = match start >> 4 {
            0 => match signed(&mut rest) {
                Ok(id) => id,
                Err(end) => return end,
            },
            difference => i64::from(difference) + field - 1,
        };
        if id != field || start & 0xF != NUMBER {
            return Sizes::Damaged;
        }
        *value = match signed(&mut rest).map(u64::try_from) {
            Ok(Ok(value)) => value,
            Ok(Err(_)) => return Sizes::Damaged,
            Err(end) => return end,
        };
    }
    Sizes::Known([found[1], found[2]])
}

/// Takes a number of variable length whose lowest bit is the sign.
fn signed(rest: &mut &[u8]) -> Result<i64, Sizes> {
    let mut bits = 0u64;
    for shift in (0..64).step_by(7) {
        let Some((&byte, after)) = rest.split_first() else { return Err(Sizes::Partial) };
        *rest = after;
        bits |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Ok((bits >> 1) as i64 ^ -((bits & 1) as i64));
        }
    }
    Err(Sizes::Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(value: i64) -> Vec<u8> {
        let mut bits = (value << 1 ^ value >> 63) as u64;
        let mut bytes = Vec::new();
        while bits >= 0x80 {
            bytes.push(bits as u8 | 0x80);
            bits >>= 7;
        }
        bytes.push(bits as u8);
        bytes
    }

    /// Returns a header with a page's type and sizes, in the short or the long form of fields.
    fn header(is_long: bool, size: i64, compressed: i64) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (field, value) in [(1, 0), (2, size), (3, compressed)] {
            match is_long {
                true => bytes.extend([&[5], &number(field)[..]].concat()),
                false => bytes.push(0x15),
            }
            bytes.extend(number(value));
        }
        bytes.extend([0x2C, 0, 0]);
        bytes
    }

    /// Reads a header in pieces.
    fn read(header: &[u8], piece: usize) -> io::Result<usize> {
        let mut reader = Checked::new(header, 22);
        let mut buffer = vec![0; piece];
        let mut all = 0;
        loop {
            match reader.read(&mut buffer)? {
                0 => return Ok(all),
                read => all += read,
            }
        }
    }

    #[test]
    fn plausible_sizes_pass() {
        for is_long in [false, true] {
            for (size, compressed) in [(0, 0), (SLACK, 0), (22_000 + SLACK, 1000), (100, 7000)] {
                let header = header(is_long, size as i64, compressed);
                for piece in [1, 3, 100] {
                    assert_eq!(read(&header, piece).unwrap(), header.len());
                }
            }
        }
        assert!(read(&header(false, LARGEST_PAGE as i64, 1 << 30), 1).is_ok());
    }

    #[test]
    fn implausible_sizes_are_refused() {
        for (size, compressed) in [
            (SLACK + 1, 0),
            (22_001 + SLACK, 1000),
            (LARGEST_PAGE + 1, 1 << 30),
            (1 << 31, 1 << 31),
        ] {
            for is_long in [false, true] {
                for piece in [1, 100] {
                    let error = read(&header(is_long, size as i64, compressed), piece).unwrap_err();
                    assert!(error.to_string().ends_with(&format!("found {size}")), "{error}");
                }
            }
        }
    }

    #[test]
    fn damaged_headers_are_refused() {
        let endless = [&[0x15][..], &[0x80; 100]].concat();
        let swapped = [&[0x25][..], &number(7)].concat();
        let text = [0x18, 1, b'a'];
        for header in [&text[..], &header(false, -1, 5), &header(true, 5, -1), &endless, &swapped] {
            let error = read(header, 1).unwrap_err();
            assert_eq!(error.to_string(), "the header of a page is damaged");
        }
    }
}
