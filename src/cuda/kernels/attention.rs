//! Parameters, checks and launch size of `kernels/attention.cu`, which `ForwardPass::attention` in `cuda/forward.rs`
//! launches.

use std::borrow::Cow;

use half::f16;

use super::super::memory::DeviceSlice;
use super::parameters::{Indices, KernelParameters, LaunchSize, Size, kernel_parameters, require};
use crate::error::Result;

/// Head sizes for which there is a kernel.
pub const HEAD_SIZES: [usize; 4] = [16, 32, 64, 128];

/// Queries of a block.
pub const BLOCK_QUERIES: usize = 64;

const THREADS: u32 = 128;

/// Queries that a launch computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queries {
    /// All tokens, in at most this many blocks per sequence.
    All { blocks: usize },
    /// The first token of each sequence.
    First,
}

impl Queries {
    /// Returns the name of the kernel for a head size.
    pub fn kernel(self, head_size: usize) -> String {
        match self {
            Self::All { .. } => format!("attention_{head_size}"),
            Self::First => format!("attention_first_{head_size}"),
        }
    }
}

kernel_parameters! {
    /// Parameters of `attention_HEAD` and `attention_first_HEAD`.
    Attention<'m> {
        query: DeviceSlice<'m, f16>,
        key: DeviceSlice<'m, f16>,
        value: DeviceSlice<'m, f16>,
        sequence_ends: Indices<'m>,
        context: DeviceSlice<'m, f16>,
        query_stride: Size,
        key_stride: Size,
    }
    host {
        queries: Queries,
        heads: usize,
        head_size: usize,
    }
}

// SAFETY: `kernel` and the checks match `kernels/attention.cu`; `Indices` bounds the tokens that it reads, and its
// values are read one at a time, so the alignment of their type suffices.
unsafe impl KernelParameters for Attention<'_> {
    fn kernel(&self) -> Cow<'static, str> {
        self.queries.kernel(self.head_size).into()
    }

    fn launch_size(&self) -> Result<LaunchSize> {
        let kernel = &self.kernel();
        require(kernel, "a supported head size", HEAD_SIZES.contains(&self.head_size))?;
        let sequences = self.sequence_ends.len();
        // An end may be equal to the number of tokens.
        let tokens = self.sequence_ends.bound().saturating_sub(1);
        let (blocks, rows) = match self.queries {
            Queries::All { blocks } => (blocks, tokens),
            Queries::First => (1, sequences),
        };
        let width = self.heads.saturating_mul(self.head_size);
        let (query_stride, key_stride) = (self.query_stride.get(), self.key_stride.get());
        let strides = query_stride.is_multiple_of(8) && key_stride.is_multiple_of(8);
        require(kernel, "strides that are multiples of 8", strides)?;
        let fits = self.query.has_strided_rows(rows, query_stride, width)
            && self.key.has_strided_rows(tokens, key_stride, width)
            && self.value.has_strided_rows(tokens, key_stride, width)
            && self.context.has_rows(rows, width);
        require(kernel, "queries, keys, values and context for all tokens", fits)?;
        let slices = [self.query, self.key, self.value, self.context];
        let aligned = slices.into_iter().all(|slice| slice.is_aligned_to(16));
        require(kernel, "pointers aligned to 16 bytes", aligned)?;
        Ok(LaunchSize { grid: [blocks, self.heads, sequences], threads: THREADS })
    }
}
