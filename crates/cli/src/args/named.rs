//! Option values that the library names, such as `--precision int8`.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

/// Type whose values are chosen by name on the command line.
pub trait Named: Copy + Send + Sync + 'static {
    /// Returns every value, in the order of `--help`.
    fn all() -> Vec<Self>;

    /// Returns the name of a value, with its help.
    fn possible_value(self) -> PossibleValue;
}

/// Returns a parser that accepts the names of a type's values.
pub fn named<T: Named>() -> impl TypedValueParser<Value = T> {
    one_of(T::all())
}

/// Returns a parser that accepts the names of some of a type's values.
pub fn one_of<T: Named>(values: Vec<T>) -> impl TypedValueParser<Value = T> {
    let names: Vec<PossibleValue> = values.iter().map(|value| value.possible_value()).collect();
    PossibleValuesParser::new(names).try_map(move |name: String| {
        let is_named = |value: &&T| value.possible_value().matches(&name, false);
        values.iter().find(is_named).copied().ok_or("there is no such value")
    })
}

/// Returns a name with its help, or without any if `help` is empty.
pub fn value(name: &'static str, help: &'static str) -> PossibleValue {
    let value = PossibleValue::new(name);
    if help.is_empty() { value } else { value.help(help) }
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command};
    use distilbert::explain::{Method, Objective, Replacement};
    use distilbert::{Precision, Truncation};
    use distilbert_evaluate::Ranking;

    use super::*;

    fn parse<T: Named>(name: &str) -> Option<T> {
        let argument = Arg::new("value").required(true).value_parser(named::<T>());
        let matches = Command::new("test").arg(argument).try_get_matches_from(["test", name]);
        matches.ok()?.get_one("value").copied()
    }

    #[track_caller]
    fn assert_round_trip<T: Named + PartialEq + std::fmt::Debug>() {
        for value in T::all() {
            assert_eq!(parse(value.possible_value().get_name()), Some(value));
        }
        assert_eq!(parse::<T>("nonsense"), None);
        assert_eq!(parse::<T>(""), None);
    }

    #[test]
    fn names_parse_to_the_value_they_belong_to() {
        assert_round_trip::<Precision>();
        assert_round_trip::<Truncation>();
        assert_round_trip::<Method>();
        assert_round_trip::<Objective>();
        assert_round_trip::<Replacement>();
        assert_round_trip::<Ranking>();
        assert_eq!(parse("attn-lrp"), Some(Method::AttnLrp));
    }
}
