//! JSON objects, kept as they are written: values are found in the text, so that numbers keep all their digits.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Line of a JSON Lines file.
pub struct Object {
    /// Line as read.
    pub line: Vec<u8>,
    /// Error if the line is not an object.
    invalid: Option<String>,
    is_empty: bool,
}

impl Object {
    /// Parses a line.
    pub fn from_line(line: Vec<u8>) -> Self {
        let found = find(&line, "").map(|found| found.members == 0);
        let (is_empty, invalid) = match found {
            Ok(is_empty) => (is_empty, None),
            Err(reason) => (false, Some(reason)),
        };
        Self { line, invalid, is_empty }
    }

    /// Returns the value of a key as it is written; of a repeated key, the last value.
    ///
    /// # Errors
    /// Returns the reason if the line is not an object.
    pub fn get(&self, key: &str) -> Result<Option<&RawValue>, String> {
        match &self.invalid {
            Some(reason) => Err(reason.clone()),
            None => Ok(find(&self.line, key)?.value),
        }
    }

    /// Returns `true` if the object has the key.
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_ok_and(|value| value.is_some())
    }

    /// Returns `true` if the line is a JSON object.
    pub fn is_valid(&self) -> bool {
        self.invalid.is_none()
    }

    /// Returns `true` if the object has no keys.
    pub fn is_empty(&self) -> bool {
        self.is_empty
    }
}

/// Result of a search for a key.
struct Found<'a> {
    value: Option<&'a RawValue>,
    /// Number of members of the object.
    members: usize,
}

/// Reads an object and returns the value of a key.
fn find<'a>(line: &'a [u8], key: &str) -> Result<Found<'a>, String> {
    let text = str::from_utf8(line);
    let text = text.map_err(|e| format!("not valid UTF-8 at byte {}", e.valid_up_to() + 1))?;
    let mut json = serde_json::Deserializer::from_str(text);
    let found = Find { key }.deserialize(&mut json).and_then(|found| json.end().map(|()| found));
    found.map_err(|error| match error.is_data() {
        true => "not a JSON object".to_owned(),
        false => format!("not valid JSON at column {}", error.column()),
    })
}

/// Search for a key.
struct Find<'k> {
    key: &'k str,
}

impl<'de> DeserializeSeed<'de> for Find<'_> {
    type Value = Found<'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Found<'de>, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Find<'_> {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found<'de>, A::Error> {
        let mut found = Found { value: None, members: 0 };
        while let Some(is_wanted) = map.next_key_seed(IsKey(self.key))? {
            found.members += 1;
            if is_wanted {
                found.value = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Comparison of a key.
struct IsKey<'k>(&'k str);

impl<'de> DeserializeSeed<'de> for IsKey<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<bool, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for IsKey<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(line: &str, key: &str) -> Result<Option<String>, String> {
        let object = Object::from_line(line.into());
        object.get(key).map(|value| value.map(|value| value.get().to_owned()))
    }

    #[test]
    fn values_are_as_written() {
        let line =
            r#"{"a": 12345678901234567890123 ,"b":-0,"c":1E+400,"d":"\ud800","a\u0062":1.50}"#;
        for (key, written) in [
            ("a", "12345678901234567890123"),
            ("b", "-0"),
            ("c", "1E+400"),
            ("d", r#""\ud800""#),
            ("ab", "1.50"),
        ] {
            assert_eq!(value(line, key).unwrap().as_deref(), Some(written));
        }
        assert_eq!(value(line, "e"), Ok(None));
        assert_eq!(value(r#"{"a":1,"a":2}"#, "a"), Ok(Some("2".to_owned())));
    }

    #[test]
    fn rejects_what_is_not_an_object() {
        for line in ["[1]", "1", "\"a\"", "null"] {
            assert_eq!(value(line, "a"), Err("not a JSON object".to_owned()));
        }
        for line in ["{\"a\":1", "{\"a\":1} x", "{\"a\":01}", "{a:1}", "{\"a\":1,}"] {
            assert!(
                value(line, "a").unwrap_err().starts_with("not valid JSON at column"),
                "{line}"
            );
        }
        assert!(Object::from_line(b"{}".to_vec()).is_empty());
        assert!(!Object::from_line(b"{\"\":1}".to_vec()).is_empty());
        // Depth needs no stack.
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(1 << 20), "]".repeat(1 << 20));
        assert!(value(&deep, "a").unwrap().is_some());
    }
}
