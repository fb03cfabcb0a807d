//! Options that select the device, precision and number of threads.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, Args, Command, Error};
use distilbert::{ClassifierBuilder, Device, Precision};

use super::named::{Named, named, value};

/// Device, precision and threads.
#[derive(Args)]
pub struct EngineOptions {
    /// Device to run on: cpu, cuda (the first NVIDIA GPU), cuda:N, or auto (a GPU if available)
    #[arg(long, default_value_t = Device::Cpu)]
    device: Device,

    /// Number format of weights and arithmetic; cascade takes a margin, as in cascade:0.25 [default: f32 on the CPU,
    /// f16 on a GPU, int8 for a model written by `distilbert quantize`]
    #[arg(long, value_parser = PrecisionParser)]
    precision: Option<Precision>,

    /// Number of threads [default: the number of physical cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

impl Named for Precision {
    fn all() -> Vec<Self> {
        Self::ALL.to_vec()
    }

    fn possible_value(self) -> PossibleValue {
        let help = match self {
            Self::F32 => "32 bits",
            Self::F16 => "16 bits: half the memory",
            Self::Bf16 => {
                "16 bits with the range of f32 but fewer digits; computing in it needs a CPU with bf16 instructions"
            }
            Self::Auto => "bf16 if the CPU has instructions for it, otherwise f32; f16 on a GPU",
            Self::Int8 => {
                "8 bits: a quarter of the memory, usually fastest; activations are quantized too"
            }
            Self::Cascade { .. } => {
                "int8, then f32 if the best labels are close; nearly always gives the same label as f32"
            }
            _ => "",
        };
        value(self.name(), help)
    }
}

/// Parser of a precision, with or without a margin.
#[derive(Clone)]
pub struct PrecisionParser;

impl TypedValueParser for PrecisionParser {
    type Value = Precision;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Precision, Error> {
        if value.to_str().is_some_and(|value| value.contains(':')) {
            let parse = |value: String| value.parse::<Precision>();
            return StringValueParser::new().try_map(parse).parse_ref(command, argument, value);
        }
        named::<Precision>().parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let values = Precision::ALL.iter().map(|&precision| precision.possible_value());
        Some(Box::new(values))
    }
}

impl EngineOptions {
    /// Returns the requested precision, if any.
    pub fn precision(&self) -> Option<Precision> {
        self.precision
    }

    /// Returns the requested number of threads, if any.
    #[cfg(feature = "serve")]
    pub fn threads(&self) -> Option<usize> {
        self.threads.map(usize::from)
    }

    /// Applies the options to a builder.
    pub fn apply(&self, builder: ClassifierBuilder) -> ClassifierBuilder {
        let mut builder = builder.device(self.device);
        if let Some(threads) = self.threads {
            builder = builder.threads(threads.into());
        }
        match self.precision {
            None => builder,
            Some(precision) => builder.precision(precision),
        }
    }
}

#[cfg(test)]
mod tests {
    use distilbert::Margin;

    use super::*;

    fn parse(value: &str) -> Result<Precision, Error> {
        let argument = Arg::new("value").long("precision").value_parser(PrecisionParser);
        let matches =
            Command::new("test").arg(argument).try_get_matches_from(["test", "--precision", value]);
        Ok(*matches?.get_one("value").expect("the value was given"))
    }

    #[test]
    fn parses_precisions_with_and_without_a_margin() {
        for &precision in Precision::ALL {
            assert_eq!(parse(precision.name()).unwrap(), precision);
            assert_eq!(parse(&precision.to_string()).unwrap(), precision);
        }
        let margin = Margin::new(0.5).unwrap();
        assert_eq!(parse("cascade:0.5").unwrap(), Precision::Cascade { margin });
        for (wrong, message) in [
            ("cascade:-1", "expected one of f32, f16, bf16, int8, cascade, cascade:MARGIN"),
            ("int8:1", "unknown precision `int8:1`"),
            ("f64", "possible values: f32, f16, bf16, int8, cascade"),
        ] {
            let error = parse(wrong).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
