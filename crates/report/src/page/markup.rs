//! [`Markup`]: writes HTML and SVG as well-formed XML and escapes all text.

use std::fmt::{self, Display, Write};

/// Document, or part of one, under construction.
#[derive(Default)]
pub(crate) struct Markup {
    out: String,
    open: Vec<&'static str>,
}

/// Attributes by name; values are escaped.
pub(crate) type Attributes<'a> = &'a [(&'a str, &'a dyn Display)];

impl Markup {
    pub fn open(&mut self, name: &'static str, attributes: Attributes<'_>) -> &mut Self {
        self.tag(name, attributes);
        self.out.push('>');
        self.open.push(name);
        self
    }

    /// Closes the innermost element.
    pub fn close(&mut self) -> &mut Self {
        let name = self.open.pop().expect("an element is open");
        write_all(&mut self.out, format_args!("</{name}>"));
        self
    }

    /// Writes an element without content, which must be a void element in HTML.
    pub fn empty(&mut self, name: &'static str, attributes: Attributes<'_>) -> &mut Self {
        self.tag(name, attributes);
        self.out.push_str("/>");
        self
    }

    pub fn text(&mut self, text: impl Display) -> &mut Self {
        write_all(&mut Escaped(&mut self.out), format_args!("{text}"));
        self
    }

    /// Writes an element that contains only text.
    pub fn element(
        &mut self,
        name: &'static str,
        attributes: Attributes<'_>,
        text: impl Display,
    ) -> &mut Self {
        self.open(name, attributes).text(text).close()
    }

    /// Writes markup without escaping.
    pub fn raw(&mut self, markup: &str) -> &mut Self {
        self.out.push_str(markup);
        self
    }

    pub fn finish(self) -> String {
        debug_assert!(self.open.is_empty(), "{:?} are open", self.open);
        self.out
    }

    fn tag(&mut self, name: &str, attributes: Attributes<'_>) {
        write_all(&mut self.out, format_args!("<{name}"));
        for (name, value) in attributes {
            write_all(&mut self.out, format_args!(" {name}=\""));
            write_all(&mut Escaped(&mut self.out), format_args!("{value}"));
            self.out.push('"');
        }
    }
}

fn write_all(out: &mut impl Write, text: fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a string can't fail");
}

/// Writer that escapes markup characters and replaces the characters that XML can't represent with visible ones.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\t' | '\n' | '\r' => self.0.push(character),
                // Unicode has a visible symbol for each, such as ␀.
                '\0'..='\x1f' => self.0.extend(char::from_u32(0x2400 + character as u32)),
                '\x7f' => self.0.push('\u{2421}'),
                '\u{80}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => self.0.push('\u{fffd}'),
                _ => self.0.push(character),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_text_and_attributes() {
        let mut markup = Markup::default();
        markup.open("p", &[("title", &"\"a\" & 'b' <\n")]).text("</p><script>\0\x1b\x7f\u{85}");
        markup.empty("br", &[]).close();
        assert_eq!(
            markup.finish(),
            "<p title=\"&quot;a&quot; &amp; &#39;b&#39; &lt;\n\">\
             &lt;/p&gt;&lt;script&gt;␀␛␡\u{fffd}<br/></p>"
        );
    }

    #[test]
    fn every_character_round_trips_through_xml() {
        for character in ('\0'..=char::MAX).filter(|character| *character != '\r') {
            // Most planes are almost empty, so a sample of them is enough.
            if character > '\u{20000}' && !(character as u32).is_multiple_of(101) {
                continue;
            }
            let mut markup = Markup::default();
            markup.element("p", &[("a", &character)], character);
            let markup = markup.finish();
            let document = roxmltree::Document::parse(&markup).unwrap();
            let found = document.root_element().text().unwrap();
            let whole = !character.is_control() && !matches!(character, '\u{fffe}' | '\u{ffff}');
            if whole || matches!(character, '\t' | '\n') {
                assert_eq!(found, character.to_string());
            }
            assert_eq!(found.chars().count(), 1);
        }
    }
}
