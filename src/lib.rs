//! A hand-written inference engine for DistilBERT sequence classification, whose logits match those of Hugging Face
//! Transformers (within 2e-5 in f32): text in, labeled probabilities out, and no native dependencies.
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
//! The examples load the emotion model in the folder `models/emotion` of this crate's repository. The published package
//! does not contain it.
//!
//! # Overview
//!
//! - [`Classifier::builder`] loads a model folder in the layout of Hugging Face Transformers. [`Precision`],
//!   [`Device`], [`InstructionSet`] and the number of threads can be set; the defaults depend on the machine and the
//!   checkpoint. [`Classifier::builder_from`] loads a model from memory.
//! - [`Classifier::classify`] and [`Classifier::classify_batch`] turn texts into [`Prediction`]s. Texts longer than the
//!   model's limit are truncated, rejected or split into windows; see [`Truncation`].
//! - [`Classifier::logits`] and [`Classifier::classify_tokens`] take a [`TokenBatch`] of token ids.
//! - [`Classifier::explain`] shows which words a prediction is based on; see the module [`explain`].
//! - [`Batcher`] answers the requests of a service: it processes waiting requests in batches, with a bounded queue,
//!   deadlines and cancellation; see the module [`batcher`].
//! - [`convert`](convert()), [`quantize`] and [`pad`] write checkpoints.
//!
//! A [cascade](Precision::Cascade) answers in int8 if the result is clear, and otherwise in f32; a prediction's
//! [`margin`](Prediction::margin) says how clear it is.
//!
//! A classifier is `Send + Sync`, and all its methods take `&self`. Logits are bit-identical whether a text is
//! classified alone or in a batch, on any number of threads.
//!
//! # Errors
//!
//! Bad input, whether a damaged or malicious model or an invalid argument, causes a typed [`Error`] and never a panic. If the
//! system refuses memory, the process aborts, as is usual in Rust ([`std::alloc::handle_alloc_error`]).
//!
//! # Features
//!
//! - `text` (default): the tokenizer. Without it, callers provide token ids in a [`TokenBatch`].
//! - `explain` (default): the module [`explain`] and the backward pass that it needs.
//! - `cuda`: [`Device::Cuda`], which computes on an NVIDIA GPU. Building needs no CUDA toolkit, and running
//!   needs only the NVIDIA driver.
//! - `hub`: [`Classifier::from_pretrained`](crate::Classifier::from_pretrained) loads a model from the Hugging Face Hub
//!   by name; see the module `hub`.
//! - `prune`: the module `prune`, which makes a model smaller without retraining it.
//! - `tensorflow`: weights can also be read from `tf_model.h5`.
//! - `serde`: predictions, explanations and options implement `Serialize`; options also implement `Deserialize`.

#![deny(missing_debug_implementations)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(any(target_pointer_width = "64", target_arch = "wasm32")))]
compile_error!(
    "distilbert supports 64-bit processors only: sizes in model files are 64-bit numbers"
);

#[cfg(not(target_endian = "little"))]
compile_error!(
    "distilbert supports little-endian processors only: weights are read as they are stored"
);

#[cfg(feature = "explain")]
mod attribution;
mod backend;
pub mod batcher;
#[doc(hidden)]
pub mod boundary;
mod classifier;
mod convert;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod device;
mod error;
#[cfg(feature = "explain")]
pub mod explain;
#[cfg(feature = "hub")]
pub mod hub;
mod input;
mod margin;
mod model;
mod names;
mod precision;
mod prediction;
#[cfg(feature = "prune")]
pub mod prune;
mod quantization;
#[doc(hidden)]
pub mod random;
mod sync;
#[cfg(test)]
mod testing;

pub use self::batcher::Batcher;
#[cfg(feature = "text")]
pub use self::classifier::ClassifyOptions;
pub use self::classifier::{Classifier, ClassifierBuilder, ModelInfo};
pub use self::convert::{convert, pad, quantize};
#[cfg(feature = "kernels")]
#[doc(hidden)]
pub use self::cpu::kernels;
pub use self::cpu::simd::InstructionSet;
pub use self::device::{CudaDevice, Device};
#[cfg(feature = "explain")]
pub use self::error::ExplainError;
#[cfg(feature = "hub")]
pub use self::error::HubError;
#[cfg(feature = "prune")]
pub use self::error::PruneError;
pub use self::error::{
    BatcherError, CheckpointError, ConfigError, DeviceError, Error, InputError, PrecisionError,
    Result,
};
pub use self::input::batch::TokenBatch;
pub use self::input::cut::{Cut, TruncationSide};
#[cfg(feature = "text")]
pub use self::input::tokenizer::{Encoding, Tokenizer};
#[cfg(feature = "text")]
pub use self::input::truncation::Truncation;
pub use self::margin::Margin;
pub use self::model::config::{Activation, Config, LayerShape, ProblemType};
pub use self::model::files::ModelBytes;
pub use self::names::ParseNameError;
pub use self::precision::Precision;
pub use self::prediction::{Prediction, unique_labels};
