//! A hand-written inference engine for DistilBERT sequence classification: text in, labelled
//! probabilities out, equal to Hugging Face's, and nothing between the caller and the silicon but
//! this crate.
//!
//! ```
//! # #[cfg(feature = "text")] {
//! use distilbert::Classifier;
//!
//! let classifier = Classifier::builder("models/emotion").build()?;
//! let prediction = classifier.classify("I can't believe we won!")?;
//! assert_eq!(prediction.label(), "happiness");
//! for (label, score) in prediction.top_k(3) {
//!     println!("{label} {score:.3}");
//! }
//! # }
//! # Ok::<(), distilbert::Error>(())
//! ```
//!
//! Without the default feature `text` there is no tokenizer: make a [`TokenBatch`] of token ids and
//! ask for [`Classifier::logits`] or [`Classifier::classify_tokens`].
//!
//! With the feature `cuda`, [`Device::Cuda`] computes on an NVIDIA GPU. With the feature `tensorflow`, weights are
//! read from `tf_model.h5` as well.
//!
//! Data goes one way: text, `tokenizer`, `batch`, the engine in `cpu` or `cuda`, `prediction`; and weight files,
//! `checkpoint`, `model`, packed weights of the engine.

#[cfg(feature = "explain")]
mod attribution;
mod backend;
mod bootstrap;
mod classifier;
mod convert;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod device;
mod error;
pub mod evaluate;
#[cfg(feature = "explain")]
pub mod explain;
mod input;
mod model;
mod page;
mod precision;
mod prediction;
mod quantization;
mod random;
#[cfg(test)]
mod testing;

pub use self::bootstrap::Estimate;
pub use self::classifier::{Classifier, ClassifierBuilder, ModelInfo};
pub use self::convert::{convert, quantize};
#[cfg(feature = "kernels")]
#[doc(hidden)]
pub use self::cpu::kernels;
pub use self::cpu::simd::InstructionSet;
pub use self::device::{CudaDevice, Device};
pub use self::error::{Error, Result};
pub use self::input::batch::TokenBatch;
#[cfg(feature = "text")]
pub use self::input::tokenizer::{Encoding, Tokenizer, Truncation};
pub use self::model::config::{Activation, Config, ProblemType};
pub use self::precision::Precision;
pub use self::prediction::Prediction;
