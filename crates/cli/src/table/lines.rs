//! Lines of standard input, in batches as they arrive.

use std::io::{BufRead, BufReader, ErrorKind, Read};

use super::input::{MAX_ROW, STANDARD, overlong};
use crate::failure::Failure;

/// Buffer size: enough short texts to keep the engine busy, and small enough that the first results appear soon.
const BUFFER: usize = 32 << 10;

/// Reader that returns all complete lines that have arrived: a typed line is answered at once, a file is read in large
/// batches, and memory is bounded by the buffer and the longest line.
pub struct LineBatches<R> {
    reader: BufReader<R>,
    /// Start of a line whose end has not arrived.
    partial: Vec<u8>,
    /// Line of the next byte, counted from 1.
    line: u64,
}

impl<R: Read> LineBatches<R> {
    pub fn new(reader: R) -> Self {
        Self { reader: BufReader::with_capacity(BUFFER, reader), partial: Vec::new(), line: 1 }
    }

    /// Reads the next lines, at least one, without their line breaks; `None` at the end of the input.
    ///
    /// # Errors
    /// [`Failure::Input`]; [`Failure::Line`] if a line exceeds the limit of a table's row.
    pub fn next_batch(&mut self) -> Result<Option<Vec<Vec<u8>>>, Failure> {
        loop {
            let arrived = match self.reader.fill_buf() {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                arrived => arrived.map_err(Failure::Input)?,
            };
            let end = arrived.iter().rposition(|&byte| byte == b'\n');
            let used = end.map_or(arrived.len(), |end| end + 1);
            let at_end_of_input = arrived.is_empty();
            let first = arrived.iter().position(|&byte| byte == b'\n').unwrap_or(used);
            if self.partial.len() + first > MAX_ROW {
                let path = STANDARD.into();
                return Err(Failure::Line { path, line: self.line, reason: overlong() });
            }
            self.partial.extend_from_slice(&arrived[..used]);
            self.reader.consume(used);
            if end.is_some() || at_end_of_input {
                let text = std::mem::take(&mut self.partial);
                let lines = lines(text);
                self.line += lines.len() as u64;
                return Ok((!lines.is_empty()).then_some(lines));
            }
        }
    }
}

fn lines(mut text: Vec<u8>) -> Vec<Vec<u8>> {
    let len = |line: &[u8]| match line {
        [line @ .., b'\r', b'\n'] | [line @ .., b'\n'] | line => line.len(),
    };
    let first = text.iter().position(|&byte| byte == b'\n').map_or(text.len(), |end| end + 1);
    if first == text.len() && first > 0 {
        // A single line, which may be long, is not copied.
        text.truncate(len(&text));
        return vec![text];
    }
    text.split_inclusive(|&byte| byte == b'\n').map(|line| line[..len(line)].to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reader that returns one part per read, like a pipe.
    struct Parts(Vec<&'static [u8]>);

    impl Read for Parts {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            self.0.remove(0).read(buffer)
        }
    }

    fn batches(parts: &[&'static str]) -> Vec<Vec<String>> {
        let parts = parts.iter().map(|part| part.as_bytes()).collect();
        let mut batches = LineBatches::new(Parts(parts));
        std::iter::from_fn(|| batches.next_batch().unwrap())
            .map(|lines| lines.into_iter().map(|line| String::from_utf8(line).unwrap()).collect())
            .collect()
    }

    #[test]
    fn returns_complete_lines_as_they_arrive() {
        assert_eq!(batches(&["a\nb\nc", "d\n", "e\n"]), [vec!["a", "b"], vec!["cd"], vec!["e"]]);
    }

    #[test]
    fn last_line_may_lack_a_line_break() {
        assert_eq!(batches(&["a\nb"]), [vec!["a"], vec!["b"]]);
        assert_eq!(batches(&["a"]), [vec!["a"]]);
        assert!(batches(&[]).is_empty());
    }

    #[test]
    fn returns_empty_lines() {
        assert_eq!(batches(&["\n\na\n"]), [vec!["", "", "a"]]);
    }

    #[test]
    fn strips_crlf_split_across_reads() {
        assert_eq!(batches(&["a\r\n\r\nb\r", "\nc\rd\n"]), [vec!["a", ""], vec!["b", "c\rd"]]);
    }

    #[test]
    fn line_may_exceed_the_buffer() {
        let long = "x".repeat(3 * BUFFER);
        let text = format!("{long}\n{long}");
        let mut batches = LineBatches::new(text.as_bytes());
        for _ in 0..2 {
            assert_eq!(batches.next_batch().unwrap(), Some(vec![long.clone().into_bytes()]));
        }
        assert_eq!(batches.next_batch().unwrap(), None);
    }

    #[test]
    fn limits_line_length() {
        let read = |long: usize| {
            let input = b"a\n".chain(std::io::repeat(b'x').take(long as u64)).chain(&b"\nb"[..]);
            let mut batches = LineBatches::new(input);
            let mut lines = Vec::new();
            while let Some(batch) = batches.next_batch().map_err(|failure| failure.to_string())? {
                lines.extend(batch.iter().map(Vec::len));
            }
            Ok::<_, String>(lines)
        };
        assert_eq!(read(MAX_ROW), Ok(vec![1, MAX_ROW, 1]));
        assert_eq!(
            read(MAX_ROW + 1).unwrap_err(),
            "standard input, line 2: the row exceeds 64 MiB"
        );
        assert!(read(usize::MAX >> 1).is_err());
    }
}
