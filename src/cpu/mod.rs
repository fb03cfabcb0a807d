//! The CPU engine: the forward pass over packed weights and packed rows.
//!
//! # From a call to an instruction
//!
//! The steps of a matrix product, and why each exists:
//!
//! 1. [`Classifier::logits`](crate::Classifier::logits) checks the batch and calls
//!    [`Forward::forward`](crate::backend::Forward::forward), behind which an engine hides its instruction set and its
//!    type of weight.
//! 2. `Pass::layer` in [`forward`] is the architecture: the order of the [`Product`](ops::linear::Product)s.
//! 3. `Product::multiply_and_save` in [`ops::linear`] cuts rows and panels of weights into tasks, which
//!    [`parallel::team`] deals out to [`parallel::threads`]. A task applies the bias and the rest of the epilogue to
//!    its sums.
//! 4. [`multiply_panel`](gemm::block::multiply_panel) brings one panel into L1, a block of the depth at a time, and
//!    multiplies all rows of the task by it, a tile of rows at a time.
//! 5. [`Isa::tile_f32`](simd::Isa::tile_f32) and its siblings check the bounds of a tile once; the code below them
//!    uses pointers.
//! 6. `multiply` in `gemm/microkernel.rs` is the loop of a tile, which keeps its sums in registers, and `TileRow::add`
//!    in the file of the set is the instruction.
//!
//! The other operations, [attention](ops::attention) and [layer norm](ops::layer_norm) among them, are written once
//! over the vectors of [`simd`].

#[cfg(feature = "explain")]
mod backward;
mod cascade;
mod executor;
mod forward;
mod gemm;
#[cfg(feature = "kernels")]
pub mod kernels;
mod last_layer;
#[cfg(feature = "prune")]
pub(crate) mod layers;
mod load;
mod memory;
mod ops;
mod parallel;
mod sequences;
pub(crate) mod simd;
mod workspace;

#[cfg(feature = "prune")]
pub(crate) use self::backward::SumGradients;
#[cfg(feature = "prune")]
pub(crate) use self::gemm::rows::Rows;
pub(crate) use self::load::load;
pub(crate) use self::parallel::threads::Threads;
#[cfg(any(feature = "cuda", feature = "prune"))]
pub(crate) use self::parallel::{disjoint::Chunks, team::Leader};
