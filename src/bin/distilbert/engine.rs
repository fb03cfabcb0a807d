//! Where and how a model is computed: what the user names, or what the checkpoint suggests.

use clap::{Args, ValueEnum};
use distilbert::{ClassifierBuilder, Device, Precision};

#[derive(Args)]
pub struct WantedEngine {
    /// Where to compute: cpu, cuda (the first NVIDIA GPU), cuda:N, or auto (a GPU where there is one)
    #[arg(long, default_value_t = Device::Cpu)]
    device: Device,

    /// How the weights are held and multiplied [default: f32, or f16 on a GPU, or int8 for a model that
    /// `distilbert quantize` has written]
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

impl WantedEngine {
    pub fn apply(self, builder: ClassifierBuilder) -> ClassifierBuilder {
        let builder = builder.device(self.device);
        match self.precision {
            None => builder,
            Some(Name::F32) => builder.precision(Precision::F32),
            Some(Name::F16) => builder.precision(Precision::F16),
            Some(Name::Int8) => builder.precision(Precision::Int8),
        }
    }
}
