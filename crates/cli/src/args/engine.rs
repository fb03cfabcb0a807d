//! Options that select the device, precision and number of threads.

use clap::Args;
use clap::builder::PossibleValue;
use distilbert::{ClassifierBuilder, Device, Precision};

use super::named::{Named, named, value};

/// Device, precision and threads.
#[derive(Args)]
pub struct EngineOptions {
    /// Device to run on: cpu, cuda (the first NVIDIA GPU), cuda:N, or auto (a GPU if available)
    #[arg(long, default_value_t = Device::Cpu)]
    device: Device,

    /// Number format of weights and arithmetic [default: f32 on the CPU, f16 on a GPU, int8 for a model
    /// written by `distilbert quantize`]
    #[arg(long, value_parser = named::<Precision>())]
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
            Self::Int8 => {
                "8 bits: a quarter of the memory, usually fastest; activations are quantized too"
            }
            _ => "",
        };
        value(self.name(), help)
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
