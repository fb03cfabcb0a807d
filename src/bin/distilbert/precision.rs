//! How the weights are held: what the user names, or what the checkpoint suggests.

use clap::{Args, ValueEnum};
use distilbert::{ClassifierBuilder, Precision};

#[derive(Args)]
pub struct WantedPrecision {
    /// How the weights are held and multiplied [default: f32, or int8 for a model that `distilbert
    /// quantize` has written]
    #[arg(long, value_name = "HOW", value_enum)]
    precision: Option<Name>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Name {
    /// 32 bits
    F32,
    /// 16 bits: half the memory
    F16,
    /// 8 bits: a quarter of the memory, and the fastest; rounds inputs as well
    Int8,
}

impl WantedPrecision {
    pub fn apply(self, builder: ClassifierBuilder) -> ClassifierBuilder {
        match self.precision {
            None => builder,
            Some(Name::F32) => builder.precision(Precision::F32),
            Some(Name::F16) => builder.precision(Precision::F16),
            Some(Name::Int8) => builder.precision(Precision::Int8),
        }
    }
}
