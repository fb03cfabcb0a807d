//! Splitting of a PTX text into statements, labels and braces.

use super::error::{Defect, Error};

/// Piece of the text, and its line, from 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    pub line: usize,
    pub content: Content,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Header of a kernel, before the brace.
    Header(String),
    /// Opening brace of a scope or a kernel.
    Open,
    Close,
    Label(String),
    /// Statement without its semicolon.
    Statement(String),
    /// Directive that ends with its line.
    Line(String),
}

/// Directives that end with their line instead of a semicolon.
const LINE_DIRECTIVES: [&str; 5] = [".version", ".target", ".address_size", ".file", ".loc"];

/// Splits a text into pieces. Sections, which contain debugging information, are skipped.
pub fn pieces(text: &str) -> Result<Vec<Piece>, Error> {
    let mut scanner = Scanner { line: 1, start: 1, ..Scanner::default() };
    let text = without_comments(text);
    text.chars().chain(['\n']).try_for_each(|character| scanner.take(character))?;
    let unfinished = scanner.is_statement_begun() || scanner.scopes > 0 || scanner.in_section > 0;
    if unfinished {
        return Err(scanner.error("unexpected end of text in a statement or a scope"));
    }
    Ok(scanner.pieces)
}

#[derive(Default)]
struct Scanner {
    pieces: Vec<Piece>,
    /// Piece read so far, and the line where it starts.
    current: String,
    start: usize,
    line: usize,
    scopes: usize,
    /// Depth of braces within a statement.
    braces: usize,
    /// Depth of braces within a section.
    in_section: usize,
    in_string: bool,
}

impl Scanner {
    fn take(&mut self, character: char) -> Result<(), Error> {
        if character == '\n' {
            self.line += 1;
        }
        if self.in_section > 0 {
            match character {
                '{' => self.in_section += 1,
                '}' => self.in_section -= 1,
                _ => (),
            }
            return Ok(());
        }
        if !self.is_statement_begun() {
            self.current.clear();
            self.start = self.line;
        }
        if character == '"' {
            self.in_string = !self.in_string;
        }
        match character {
            _ if self.in_string => self.current.push(character),
            '\n' if LINE_DIRECTIVES.contains(&first_word(&self.current)) => self.end(Content::Line),
            ';' => self.end(Content::Statement),
            ':' if is_identifier(self.current.trim()) => self.end(Content::Label),
            '{' => self.open(),
            '}' => return self.close(),
            _ => self.current.push(if character.is_whitespace() { ' ' } else { character }),
        }
        Ok(())
    }

    fn open(&mut self) {
        let initializes = self.current.contains('=');
        if first_word(&self.current) == ".section" {
            self.current.clear();
            self.in_section = 1;
        } else if self.is_statement_begun() && (self.scopes > 0 || initializes) {
            self.current.push('{');
            self.braces += 1;
        } else {
            if self.is_statement_begun() {
                self.end(Content::Header);
            }
            self.scopes += 1;
            self.pieces.push(Piece { line: self.line, content: Content::Open });
        }
    }

    fn close(&mut self) -> Result<(), Error> {
        if self.braces > 0 {
            self.current.push('}');
            self.braces -= 1;
        } else if self.is_statement_begun() || self.scopes == 0 {
            return Err(self.error("unmatched closing brace"));
        } else {
            self.scopes -= 1;
            self.pieces.push(Piece { line: self.line, content: Content::Close });
        }
        Ok(())
    }

    fn is_statement_begun(&self) -> bool {
        !self.current.trim().is_empty()
    }

    fn end(&mut self, content: fn(String) -> Content) {
        let text = self.current.split_whitespace().collect::<Vec<_>>().join(" ");
        self.current.clear();
        self.pieces.push(Piece { line: self.start, content: content(text) });
    }

    fn error(&self, message: &'static str) -> Error {
        Error::Text { line: self.line, defect: Defect::Syntax(message) }
    }
}

/// Replaces comments with spaces, keeping line numbers.
fn without_comments(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            let len = rest.find("*/").map_or(rest.len(), |end| end + 2);
            kept.extend(rest[..len].chars().filter(|&character| character == '\n'));
            len
        } else if next == '"' {
            let len = rest[1..].find('"').map_or(rest.len(), |end| end + 2);
            kept.push_str(&rest[..len]);
            len
        } else {
            kept.push(next);
            next.len_utf8()
        };
        rest = &rest[skipped..];
    }
    kept
}

fn first_word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or("")
}

pub fn is_identifier(text: &str) -> bool {
    let is_part = |character: char| character.is_ascii_alphanumeric() || "_$%".contains(character);
    !text.is_empty()
        && text.chars().all(is_part)
        && !text.starts_with(|character: char| character.is_ascii_digit())
}

/// Splits at the commas outside of brackets.
pub fn split_at_commas(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0);
    for (index, character) in text.char_indices() {
        match character {
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[start..index].trim());
                start = index + 1;
            }
            _ => (),
        }
    }
    let last = text[start..].trim();
    if !last.is_empty() || !parts.is_empty() {
        parts.push(last);
    }
    parts
}
