//! JSON lines: an object a line.

use super::input::Input;
use crate::failure::Failure;

pub struct Reader {
    input: Input,
}

impl Reader {
    pub fn new(input: Input) -> Self {
        Self { input }
    }

    pub fn input(&self) -> &Input {
        &self.input
    }

    /// The next line that is not blank, without its end; none at the end of the input.
    pub fn next_line(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        loop {
            self.input.begin_row();
            let mut line = Vec::new();
            if !self.input.read_line(&mut line)? {
                return Ok(None);
            }
            if !line.iter().all(u8::is_ascii_whitespace) {
                return Ok(Some(line));
            }
        }
    }
}
