//! [`Fields`]: the JSON object of a request, field by field, so that errors name the field at fault.

use serde_json::{Map, Value};

use crate::bodies::Reservation;
use crate::failure::{Failure, Kind};
use crate::json::{self, JsonError};

/// JSON values that a body may have for each of the texts that it may have.
const VALUES_PER_TEXT: usize = 16;
/// JSON values that a body may have besides.
const OTHER_VALUES: usize = 1000;

/// The fields of a JSON object that have not been taken yet.
pub struct Fields {
    /// Name of the object and a dot, or nothing for a whole body.
    prefix: String,
    values: Map<String, Value>,
    _reservation: Reservation,
}

impl Fields {
    fn new(prefix: String, values: Map<String, Value>) -> Self {
        Self { prefix, values, _reservation: None }
    }

    /// Parses a body, which may have a number of texts.
    pub fn parse(body: &[u8], max_texts: usize) -> Result<Self, Failure> {
        let limit = max_texts.saturating_mul(VALUES_PER_TEXT).saturating_add(OTHER_VALUES);
        match json::parse(body, limit) {
            Ok(Value::Object(values)) => Ok(Self::new(String::new(), values)),
            Ok(other) => Err(expected("the body", "an object", &other)),
            Err(JsonError::Invalid(error)) => {
                Err(bad(format!("the body is not valid JSON: {error}")))
            }
            Err(JsonError::TooManyValues) => {
                let message = format!(
                    "the body has more than {limit} JSON values, too many for a request of at most {max_texts} texts"
                );
                Err(Failure::new(Kind::Validation, message))
            }
        }
    }

    /// Keeps the memory of a body reserved until the fields are dropped.
    pub fn holding(self, reservation: Reservation) -> Self {
        Self { _reservation: reservation, ..self }
    }

    /// Takes a field; `null` counts as a missing field.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.values.remove(name).filter(|value| !value.is_null())
    }

    /// Returns `true` if a field is there and is not `null`.
    pub fn has(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(|value| !value.is_null())
    }

    /// Takes a field that must be there.
    pub fn require(&mut self, name: &str) -> Result<Value, Failure> {
        self.take(name).ok_or_else(|| bad(format!("{}{name}: missing", self.prefix)))
    }

    pub fn flag(&mut self, name: &str) -> Result<Option<bool>, Failure> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(other) => Err(expected(&self.name(name), "true or false", &other)),
        }
    }

    pub fn string(&mut self, name: &str) -> Result<Option<String>, Failure> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(value)) => Ok(Some(value)),
            Some(other) => Err(expected(&self.name(name), "a string", &other)),
        }
    }

    /// Takes the name of one of several values, in upper or lower case.
    pub fn choice<T: Copy>(
        &mut self,
        name: &str,
        values: &[(&str, T)],
    ) -> Result<Option<T>, Failure> {
        let Some(given) = self.string(name)? else { return Ok(None) };
        let found = values.iter().find(|(known, _)| known.eq_ignore_ascii_case(&given));
        found.map(|&(_, value)| Some(value)).ok_or_else(|| {
            let known: Vec<String> = values.iter().map(|(known, _)| format!("`{known}`")).collect();
            let known = known.join(" or ");
            bad(format!("{}: expected {known}, found `{given}`", self.name(name)))
        })
    }

    /// Takes a number that is at least 1.
    pub fn count(&mut self, name: &str) -> Result<Option<usize>, Failure> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let count = value.as_u64().and_then(|count| usize::try_from(count).ok());
        match count {
            Some(count @ 1..) => Ok(Some(count)),
            _ => Err(expected(&self.name(name), "a whole number of at least 1", &value)),
        }
    }

    /// Takes an object; if the field is missing, the object is empty.
    pub fn object(&mut self, name: &str) -> Result<Self, Failure> {
        let prefix = format!("{}{name}.", self.prefix);
        match self.take(name) {
            None => Ok(Self::new(prefix, Map::new())),
            Some(Value::Object(values)) => Ok(Self::new(prefix, values)),
            Some(other) => Err(expected(&self.name(name), "an object", &other)),
        }
    }

    /// Returns the fields of an object with a name for errors.
    pub fn of(name: &str, values: Map<String, Value>) -> Self {
        Self::new(format!("{name}."), values)
    }

    /// Takes a list of objects; nothing without the field.
    pub fn objects(&mut self, name: &str) -> Result<Option<Vec<Self>>, Failure> {
        let field = self.name(name);
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(items)) => {
                let object = |(index, item)| match item {
                    Value::Object(values) => Ok(Self::of(&format!("{field}[{index}]"), values)),
                    other => Err(expected(&format!("{field}[{index}]"), "an object", &other)),
                };
                items.into_iter().enumerate().map(object).collect::<Result<_, _>>().map(Some)
            }
            Some(other) => Err(expected(&field, "a list", &other)),
        }
    }

    /// Returns the full name of a field.
    pub fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// Texts of a request.
#[derive(Debug, PartialEq, Eq)]
pub struct Texts {
    pub texts: Vec<String>,
    /// `true` if the request has one text that is not in a list.
    pub is_single: bool,
}

/// Reads a text, a list of texts, or a list of lists of one text each.
pub fn texts(field: &str, value: Value) -> Result<Texts, Failure> {
    let items = match value {
        Value::String(text) => return Ok(Texts { texts: vec![text], is_single: true }),
        Value::Array(items) => items,
        other => return Err(expected(field, "a string or a list of strings", &other)),
    };
    let text = |(index, item): (usize, Value)| {
        let name = || format!("{field}[{index}]");
        match item {
            Value::String(text) => Ok(text),
            Value::Array(mut inner) => match (inner.pop(), inner.is_empty()) {
                (Some(Value::String(text)), true) => Ok(text),
                (Some(Value::String(_)), false) => Err(Failure::new(
                    Kind::Validation,
                    "pairs of texts are not supported by this model",
                )
                .about(&name())),
                _ => Err(bad("expected a list of one string").about(&name())),
            },
            other => Err(expected(&name(), "a string", &other)),
        }
    };
    let texts = items.into_iter().enumerate().map(text).collect::<Result<_, _>>()?;
    Ok(Texts { texts, is_single: false })
}

/// Returns the failure that a field is of another type.
pub fn expected(field: &str, what: &str, found: &Value) -> Failure {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    bad(format!("{field}: expected {what}, found {found}"))
}

pub fn bad(message: impl Into<String>) -> Failure {
    Failure::new(Kind::BadRequest, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(found: Result<impl std::fmt::Debug, Failure>) -> String {
        found.unwrap_err().message
    }

    #[test]
    fn texts_come_in_three_forms() {
        let list = |texts: &[&str], is_single| Texts {
            texts: texts.iter().map(|text| (*text).to_owned()).collect(),
            is_single,
        };
        assert_eq!(texts("inputs", json!("a")).unwrap(), list(&["a"], true));
        assert_eq!(texts("inputs", json!(["a", "b"])).unwrap(), list(&["a", "b"], false));
        assert_eq!(texts("inputs", json!([["a"], ["b"]])).unwrap(), list(&["a", "b"], false));
        assert_eq!(
            message(texts("inputs", json!(["a", 7]))),
            "inputs[1]: expected a string, found a number"
        );
        assert!(message(texts("inputs", json!([["a", "b"]]))).starts_with("inputs[0]: pairs"));
        assert!(message(texts("inputs", json!([[]]))).starts_with("inputs[0]: expected"));
    }

    #[test]
    fn errors_name_the_field() {
        let mut fields = Fields::parse(br#"{"a": 1, "b": {"c": 0, "d": null}}"#, 1).unwrap();
        assert_eq!(message(fields.flag("a")), "a: expected true or false, found a number");
        let mut inner = fields.object("b").unwrap();
        assert!(message(inner.count("c")).starts_with("b.c: expected a whole number"));
        assert_eq!(inner.flag("d").unwrap(), None);
        assert_eq!(message(fields.require("inputs")), "inputs: missing");
        let broken = Fields::parse(b"{\"a\": \xff}", 1).map(|_| ());
        assert!(message(broken).starts_with("the body is not valid JSON"));
        let deep = Fields::parse("[".repeat(100_000).as_bytes(), 1).map(|_| ());
        assert!(message(deep).contains("recursion limit"));
    }

    #[test]
    fn bodies_of_many_values_are_refused() {
        let body = |count: usize| format!(r#"{{"inputs": [{}1]}}"#, "1,".repeat(count));
        assert!(Fields::parse(body(1000).as_bytes(), 1).is_ok());
        let failure = Fields::parse(body(2000).as_bytes(), 1).map(|_| ()).unwrap_err();
        assert_eq!(failure.kind, Kind::Validation);
        assert!(failure.message.ends_with("at most 1 texts"), "{}", failure.message);
        assert!(Fields::parse(body(2000).as_bytes(), 100).is_ok());
    }
}
