//! The CPU engine: the forward pass in `f32` over packed weights and packed rows.
//!
//! From the outside in: [`Engine`] walks the layers; [`linear`], [`attention`], [`layer_norm`] and
//! the rest are one operation each, written once over the vectors of [`isa`]; [`team`] deals their
//! work out to [`threads`].

mod activation;
mod aligned;
mod attention;
mod crew;
mod embeddings;
mod engine;
pub(crate) mod isa;
#[cfg(feature = "kernels")]
pub mod kernels;
mod layer_norm;
mod linear;
mod math;
mod multiply;
mod pages;
mod quantise;
mod scratch;
mod softmax;
mod team;
mod threads;
mod weight;

pub(crate) use self::engine::{Forward, load};
pub(crate) use self::threads::Threads;
pub use self::weight::Precision;
