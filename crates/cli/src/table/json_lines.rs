//! JSON Lines: one object per line.

use super::input::Input;
use crate::failure::Failure;

/// Reader of lines.
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

    /// Reads the next line that is not blank, without its line break; `None` at the end of the input.
    pub fn next_line(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        loop {
            self.input.start_row();
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
