//! Line wrapping of styled text.

use std::io::{Result, Write};

use anstyle::Style;

use crate::render::terminal;

/// Writer that wraps styled text at its spaces.
pub(super) struct Lines<'a> {
    out: &'a mut dyn Write,
    columns: usize,
    column: usize,
    /// Text since the last space.
    chunk: Chunk,
}

/// Text without spaces.
#[derive(Default)]
struct Chunk {
    text: String,
    columns: usize,
}

impl Chunk {
    fn push(&mut self, text: &str, style: Style) {
        let text = terminal::escape(text);
        self.columns += terminal::width(&text);
        self.text += &format!("{style}{text}{style:#}");
    }
}

impl<'a> Lines<'a> {
    /// Starts a line of at most `columns` columns.
    pub(super) fn new(out: &'a mut dyn Write, columns: usize) -> Self {
        Self { out, columns, column: 0, chunk: Chunk::default() }
    }

    /// Appends text that does not wrap.
    pub(super) fn push(&mut self, text: &str, style: Style) {
        self.chunk.push(text, style);
    }

    /// Appends text that wraps at its spaces.
    pub(super) fn write(&mut self, text: &str) -> Result<()> {
        for (index, part) in text.split(char::is_whitespace).enumerate() {
            if index > 0 {
                self.write_chunk()?;
            }
            if !part.is_empty() {
                self.chunk.push(part, Style::new());
            }
        }
        Ok(())
    }

    fn write_chunk(&mut self) -> Result<()> {
        let Chunk { text, columns } = std::mem::take(&mut self.chunk);
        if columns == 0 {
            return Ok(());
        }
        let space = usize::from(self.column > 0);
        if space > 0 && self.column + space + columns > self.columns {
            write!(self.out, "\n{text}")?;
            self.column = columns;
        } else {
            write!(self.out, "{:space$}{text}", "")?;
            self.column += space + columns;
        }
        Ok(())
    }

    /// Ends the last line.
    pub(super) fn finish(mut self) -> Result<()> {
        self.write_chunk()?;
        writeln!(self.out)
    }
}
