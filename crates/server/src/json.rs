//! [`parse`]: JSON within a limit on the number of its values, since a value in memory is many times larger than the two
//! bytes that it may take in a body.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Reasons why a body is not taken.
#[derive(Debug)]
pub enum JsonError {
    /// It has more values than the limit.
    TooManyValues,
    /// It is not JSON.
    Invalid(serde_json::Error),
}

/// Parses a body that has at most `limit` values, of which each string, number, list, object and so on is one.
pub fn parse(body: &[u8], limit: usize) -> Result<Value, JsonError> {
    let left = Cell::new(Some(limit));
    let mut parser = serde_json::Deserializer::from_slice(body);
    let value = Counted(&left).deserialize(&mut parser);
    let whole = value.and_then(|value| parser.end().map(|()| value));
    whole.map_err(|error| match left.get() {
        None => JsonError::TooManyValues,
        Some(_) => JsonError::Invalid(error),
    })
}

/// Builds a value and counts it and those within; the count is `None` once it has passed the limit.
#[derive(Clone, Copy)]
struct Counted<'a>(&'a Cell<Option<usize>>);

impl<'de> DeserializeSeed<'de> for Counted<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.0.set(self.0.get().and_then(|left| left.checked_sub(1)));
        match self.0.get() {
            Some(_) => deserializer.deserialize_any(self),
            None => Err(D::Error::custom("too many values")),
        }
    }
}

impl<'de> Visitor<'de> for Counted<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(name) = access.next_key()? {
            values.insert(name, access.next_value_seed(self)?);
        }
        Ok(Value::Object(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_serde_json() {
        let body =
            br#" {"a": [1, -2, 0.5, 1e400, "x\u00e9", null, true], "b": {"c": {}, "c": []}} "#;
        assert!(parse(body, 100).is_err(), "a number is out of range");
        let body = body.iter().copied().filter(|&byte| byte != b'4').collect::<Vec<_>>();
        let expected: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(parse(&body, 100).unwrap(), expected);
    }

    #[test]
    fn each_value_counts() {
        for (body, count) in [("1", 1), ("[]", 1), ("[1,1]", 3), (r#"{"a":{"b":"c"}}"#, 3)] {
            assert!(parse(body.as_bytes(), count).is_ok(), "{body}");
            let error = parse(body.as_bytes(), count - 1).unwrap_err();
            assert!(matches!(error, JsonError::TooManyValues), "{body}");
        }
    }

    #[test]
    fn other_errors_are_of_the_syntax() {
        for body in ["", "[1", "1 2", "{\"a\"}", "\"\u{1}\"", &"[".repeat(1000)] {
            assert!(matches!(parse(body.as_bytes(), 500), Err(JsonError::Invalid(_))), "{body}");
        }
    }
}
