//! Where and how a model is computed: what the user names, or what the checkpoint and the machine suggest.

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

    /// Threads to compute with [default: the physical cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Name {
    /// 32 bits
    F32,
    /// 16 bits: half the memory
    F16,
    /// 8 bits: a quarter of the memory, and the fastest; rounds inputs as well
    Int8,
}

impl From<Name> for Precision {
    fn from(name: Name) -> Self {
        match name {
            Name::F32 => Self::F32,
            Name::F16 => Self::F16,
            Name::Int8 => Self::Int8,
        }
    }
}

impl WantedEngine {
    /// The precision that is named.
    pub fn precision(&self) -> Option<Precision> {
        self.precision.map(Precision::from)
    }

    pub fn apply(&self, builder: ClassifierBuilder) -> ClassifierBuilder {
        let mut builder = builder.device(self.device);
        if let Some(threads) = self.threads {
            builder = builder.threads(threads.into());
        }
        match self.precision() {
            None => builder,
            Some(precision) => builder.precision(precision),
        }
    }
}
