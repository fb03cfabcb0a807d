//! Names of option values: [`ParseNameError`], and macros that implement `ALL`, `name`, `Display`, `FromStr` and serde.

use std::fmt;

/// Error returned when a string is not the name of any value of an option such as [`Precision`](crate::Precision).
///
/// ```
/// use distilbert::Precision;
///
/// let error = "f64".parse::<Precision>().unwrap_err();
/// let message =
///     "unknown precision `f64`; expected one of f32, f16, bf16, int8, cascade, cascade:MARGIN, auto";
/// assert_eq!(error.to_string(), message);
/// assert_eq!(error.expected()[..3], ["f32", "f16", "bf16"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ParseNameError {
    option: &'static str,
    found: String,
    expected: &'static [&'static str],
}

impl ParseNameError {
    /// Creates the error for an option of a crate that builds on this one: the option in words, the string that was
    /// parsed, and the valid names.
    pub fn new(option: &'static str, found: &str, expected: &'static [&'static str]) -> Self {
        Self { option, found: found.to_owned(), expected }
    }

    /// Returns the option's name in words, such as `problem type`.
    pub fn option(&self) -> &'static str {
        self.option
    }

    /// Returns the string that was parsed.
    pub fn found(&self) -> &str {
        &self.found
    }

    /// Returns the valid names.
    pub fn expected(&self) -> &'static [&'static str] {
        self.expected
    }
}

impl fmt::Display for ParseNameError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { option, found, expected } = self;
        write!(formatter, "unknown {option} `{found}`; expected one of {}", expected.join(", "))
    }
}

impl std::error::Error for ParseNameError {}

/// Implements `ALL`, `name`, `Display`, `FromStr` and, with the feature `serde`, serialization as the name for an enum
/// without fields.
macro_rules! impl_names {
    ($type:ident, $option:literal, { $($(#[$attribute:meta])* $variant:ident => $name:literal),+ $(,)? }) => {
        impl $type {
            /// Every value, in declaration order.
            pub const ALL: &'static [Self] = &[$($(#[$attribute])* Self::$variant),+];

            /// Returns the name that `Display` writes and `FromStr` parses.
            pub const fn name(self) -> &'static str {
                match self {
                    $($(#[$attribute])* Self::$variant => $name),+
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.pad(self.name())
            }
        }

        impl std::str::FromStr for $type {
            type Err = crate::names::ParseNameError;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                const NAMES: &[&str] = &[$($(#[$attribute])* $name),+];
                let value = Self::ALL.iter().find(|value| value.name() == name);
                value.copied().ok_or_else(|| Self::Err::new($option, name, NAMES))
            }
        }

        crate::names::impl_serde_as_string!($type);
    };
}

/// Implements `Serialize` and `Deserialize` through `Display` and `FromStr`, with the feature `serde`.
macro_rules! impl_serde_as_string {
    ($($type:path),+) => {
        $(
            #[cfg(feature = "serde")]
            impl serde::Serialize for $type {
                fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.collect_str(self)
                }
            }

            #[cfg(feature = "serde")]
            impl<'de> serde::Deserialize<'de> for $type {
                fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    <String as serde::Deserialize>::deserialize(deserializer)?
                        .parse()
                        .map_err(serde::de::Error::custom)
                }
            }
        )+
    };
}

/// Splits `name:parameter` at the colon.
pub(crate) fn split_parameter(text: &str) -> (&str, Option<&str>) {
    match text.split_once(':') {
        Some((name, parameter)) => (name, Some(parameter)),
        None => (text, None),
    }
}

pub(crate) use {impl_names, impl_serde_as_string};

impl_serde_as_string!(crate::Device, crate::InstructionSet);

#[cfg(all(test, feature = "text", feature = "explain"))]
mod tests {
    use std::fmt::{Debug, Display};
    use std::str::FromStr;

    use crate::explain::{Method, Objective, Order, Replacement};
    use crate::{Activation, Margin, Precision, ProblemType, Truncation};

    #[track_caller]
    fn assert_round_trip<T: Copy + Debug + Display + FromStr<Err: Debug> + PartialEq>(
        values: &[T],
    ) {
        for &value in values {
            let name = value.to_string();
            assert_eq!(name.parse::<T>().unwrap(), value);
            let kebab_case =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_:,.".contains(c);
            assert!(name.chars().all(kebab_case), "{name}");
        }
        assert!("nonsense".parse::<T>().is_err());
        assert!("".parse::<T>().is_err());
    }

    #[test]
    fn names_parse_to_the_value_they_display() {
        assert_round_trip(Precision::ALL);
        let cascade = |margin| Precision::Cascade { margin: Margin::new(margin).unwrap() };
        assert_round_trip(&[cascade(0.0), cascade(0.1), cascade(1e-20), cascade(12.5)]);
        assert_round_trip(ProblemType::ALL);
        assert_round_trip(Activation::ALL);
        assert_round_trip(Objective::ALL);
        assert_round_trip(Replacement::ALL);
        assert_round_trip(Method::ALL);
        assert_round_trip(&[Method::IntegratedGradients { steps: 7 }]);
        assert_round_trip(Order::ALL);
        assert_round_trip(&[Order::Random { seed: u64::MAX }]);
        assert_round_trip(Truncation::ALL);
        let windows = |stride, max_windows| Truncation::Windows { stride, max_windows };
        assert_round_trip(&[windows(1, None), windows(1, Some(9))]);
    }

    #[test]
    fn parameters_default_when_left_out() {
        assert_eq!("integrated-gradients".parse(), Ok(Method::IntegratedGradients { steps: 50 }));
        assert_eq!("random".parse(), Ok(Order::Random { seed: 0 }));
        assert_eq!("cascade".parse(), Ok(Precision::Cascade { margin: Margin::DEFAULT }));
        assert_eq!("windows".parse(), Ok(Truncation::Windows { stride: 64, max_windows: None }));
    }

    #[test]
    fn rejects_malformed_parameters() {
        for name in [
            "windows:",
            "windows:x",
            "windows:-1",
            "windows:1:2",
            "windows:1,",
            "windows:1,x",
            "right:1",
        ] {
            let error = name.parse::<Truncation>().unwrap_err();
            assert_eq!(error.found(), name);
        }
        for name in ["cascade:", "cascade:x", "cascade:-0.1", "cascade:nan", "cascade:inf", "f32:1"]
        {
            let error = name.parse::<Precision>().unwrap_err();
            assert_eq!(error.found(), name);
        }
        assert!("lrp:1".parse::<Method>().is_err());
        assert!("random:x".parse::<Order>().is_err());
    }

    #[test]
    #[cfg(feature = "serde")]
    fn serializes_options_as_their_names() {
        use crate::{Device, InstructionSet};

        let text = serde_json::to_string(&(Device::Cuda(1), Order::SmallestFirst)).unwrap();
        assert_eq!(text, r#"["cuda:1","smallest-first"]"#);
        let read: (Device, Order) = serde_json::from_str(&text).unwrap();
        assert_eq!(read, (Device::Cuda(1), Order::SmallestFirst));
        let set: InstructionSet = serde_json::from_str("\"portable\"").unwrap();
        assert_eq!(set, InstructionSet::Portable);
        let error = serde_json::from_str::<Precision>("\"f8\"").unwrap_err();
        assert!(error.to_string().contains("f32, f16, bf16"), "{error}");
    }
}
