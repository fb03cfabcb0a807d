//! [`Markup`]: writes HTML and SVG, which are XML here, and escapes whatever is written into it.

use std::fmt::{self, Display, Write};

/// A document, or a part of one, in the making.
#[derive(Default)]
pub(crate) struct Markup {
    out: String,
    open: Vec<&'static str>,
}

/// Attributes by name; their values are escaped.
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

    /// An element without content, of those that HTML lets end at once.
    pub fn empty(&mut self, name: &'static str, attributes: Attributes<'_>) -> &mut Self {
        self.tag(name, attributes);
        self.out.push_str("/>");
        self
    }

    pub fn text(&mut self, text: impl Display) -> &mut Self {
        write_all(&mut Escaped(&mut self.out), format_args!("{text}"));
        self
    }

    /// An element that holds nothing but text.
    pub fn element(
        &mut self,
        name: &'static str,
        attributes: Attributes<'_>,
        text: impl Display,
    ) -> &mut Self {
        self.open(name, attributes).text(text).close()
    }

    /// Markup as it is.
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
    out.write_fmt(text).expect("a string takes whatever is written");
}

/// Escapes what markup would take for its own, and shows characters that XML has no way to hold.
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
                // Unicode has a picture of each, such as ␀.
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
    fn text_and_attributes_are_escaped() {
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
    fn every_character_parses_as_what_was_written() {
        for character in ('\0'..=char::MAX).filter(|character| *character != '\r') {
            // Most planes are empty: one in a hundred will do there.
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
