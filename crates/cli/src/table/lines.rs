//! Lines of standard input, in batches as they arrive.

use std::io::{BufRead, BufReader, ErrorKind, Read, Result};

/// Buffer size: enough short texts to keep the engine busy, and small enough that the first results appear soon.
const BUFFER: usize = 32 << 10;

/// Reader that returns all complete lines that have arrived: a typed line is answered at once, a file is read in large
/// batches, and memory is bounded by the buffer and the longest line.
pub struct LineBatches<R> {
    reader: BufReader<R>,
    /// Start of a line whose end has not arrived.
    partial: Vec<u8>,
}

impl<R: Read> LineBatches<R> {
    pub fn new(reader: R) -> Self {
        Self { reader: BufReader::with_capacity(BUFFER, reader), partial: Vec::new() }
    }

    /// Reads the next lines, at least one, without their line breaks; `None` at the end of the input.
    pub fn next_batch(&mut self) -> Result<Option<Vec<Vec<u8>>>> {
        loop {
            let arrived = match self.reader.fill_buf() {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                arrived => arrived?,
            };
            let end = arrived.iter().rposition(|&byte| byte == b'\n');
            let used = end.map_or(arrived.len(), |end| end + 1);
            let at_end_of_input = arrived.is_empty();
            self.partial.extend_from_slice(&arrived[..used]);
            self.reader.consume(used);
            if end.is_some() || at_end_of_input {
                let text = std::mem::take(&mut self.partial);
                return Ok((!text.is_empty()).then(|| lines(&text)));
            }
        }
    }
}

fn lines(text: &[u8]) -> Vec<Vec<u8>> {
    text.split_inclusive(|&byte| byte == b'\n')
        .map(|line| match line {
            [line @ .., b'\r', b'\n'] | [line @ .., b'\n'] | line => line.to_vec(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reader that returns one part per read, like a pipe.
    struct Parts(Vec<&'static [u8]>);

    impl Read for Parts {
        fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
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
}
