//! Individual kernels, for the benchmarks. Not part of the API.
//!
//! # Products by instruction
//!
//! The table shows the cost of a full tile in each set. It is arithmetic, not a measurement. A multiply-accumulate
//! (MAC) is one product of an input and a weight, added to a sum. A step is the part of a panel that one broadcast of
//! the inputs is multiplied by: one input of each row in `f32` and `f16` (whose weights take a conversion for each
//! load), two in `bf16` and four in `int8`, twice as many with `i8mm`, 32 and 64 with AMX. Loads are those of the panel
//! and of the inputs.
//!
//! | set | precision | tile | MACs per instruction | MACs per step | loads per step |
//! |---|---|---|---|---|---|
//! | avx2 | f32, f16 | 6×16 | 8 | 96 | 2 + 6 |
//! | avx2 | int8 | 6×16 | 32 in 3 | 384 | 2 + 6 |
//! | avxvnni | int8 | 6×16 | 32 | 384 | 2 + 6 |
//! | avx512 | f32, f16 | 12×32 | 16 | 384 | 2 + 12 |
//! | avx512 | int8 | 12×32 | 64 in 3 | 1536 | 2 + 12 |
//! | avx512vnni | bf16 | 12×32 | 32 | 768 | 2 + 12 |
//! | avx512vnni | int8 | 12×32 | 64 | 1536 | 2 + 12 |
//! | avx512amx | bf16 | 32×32 | 8192 | 32768 | 2 + 2 tiles |
//! | avx512amx | int8 | 32×32 | 16384 | 65536 | 2 + 2 tiles |
//! | neon | f32, f16 | 6×16 | 4 | 96 | 4 + 6 |
//! | neon | int8 | 6×16 | 16 in 4 | 384 | 4 + 6 |
//! | dotprod | int8 | 6×16 | 16 | 384 | 4 + 6 |
//! | i8mm | bf16 | 6×16 | 16 | 384 | 8 + 6 |
//! | i8mm | int8 | 6×16 | 32 | 768 | 8 + 6 |
//!
//! Sets that are not named for a precision compute it as the set above them does, except `bf16`, which needs an
//! instruction in addition to the set. `portable` leaves floats to `matrixmultiply` and integers to the compiler.

use std::hint::black_box;

use half::{bf16, f16};

use super::executor::Executor;
use super::gemm::pack::PackedMatrix;
use super::gemm::rows::rows;
use super::gemm::weight::Weight;
use super::ops::attention::{Arithmetic, Attention, Queries};
use super::ops::layer_norm::{SavedNorm, normalize};
use super::ops::linear::{LinearScratch, Product};
use super::ops::quantize::QuantizedRows;
use super::ops::softmax::exponentials;
use super::parallel::threads::Threads;
use super::sequences::Sequences;
use super::simd::{InstructionSet, Isa, Kernel, SelectedIsa};
use crate::model::matrix::Matrix;
use crate::model::weights::{LayerNorm, Linear};
use crate::precision::Precision;

pub use super::gemm::epilogue::Epilogue;

/// A kernel with its operands: computes into a slice, on this thread.
pub type Run = Box<dyn FnMut(&mut [f32])>;

/// Calls a function with an executor that has only the caller's thread.
fn on_this_thread<R: Send>(
    isa: SelectedIsa,
    work: impl FnOnce(&mut Executor<'_>) -> R + Send,
) -> R {
    Threads::CALLER.run(|leader| work(&mut Executor { isa, leader }))
}

/// Returns a linear layer without a bias: `input` is `[rows, inputs]`, `weights` `[outputs, inputs]`, and the output
/// `[rows, outputs]`. Like the other functions here, it returns `None` if the machine lacks the set or the precision,
/// and for a cascade, which has no kernels of its own.
pub fn linear(
    set: InstructionSet,
    precision: Precision,
    epilogue: Epilogue,
    operands: (&[f32], &[f32], usize),
) -> Option<Run> {
    fn pack<W: Weight>(
        isa: SelectedIsa,
        epilogue: Epilogue,
        (input, weights, inputs): (&[f32], &[f32], usize),
    ) -> Run {
        let outputs = weights.len() / inputs;
        let matrix = Matrix::from_values(outputs, inputs, weights.to_vec());
        let weight = on_this_thread(isa, |executor| PackedMatrix::<W>::pack(executor, &matrix))
            .expect("the weights of a benchmark are finite");
        let linear = Linear { weight, bias: vec![0.0; outputs] };
        let mut scratch = LinearScratch::default();
        scratch.resize(1);
        let input = input.to_vec();
        Box::new(move |output| {
            let product = Product::dense(&linear, epilogue, &input);
            on_this_thread(isa, |executor| {
                product.multiply(executor, &mut scratch, (output, outputs));
            });
        })
    }

    let isa = set.detect()?;
    Some(match precision {
        Precision::F32 => pack::<f32>(isa, epilogue, operands),
        Precision::F16 => pack::<f16>(isa, epilogue, operands),
        Precision::Bf16 if isa.has_bf16() => pack::<bf16>(isa, epilogue, operands),
        Precision::Bf16 | Precision::Auto => return None,
        Precision::Int8 => pack::<i8>(isa, epilogue, operands),
        Precision::Cascade { .. } => return None,
    })
}

/// Returns attention within one sequence: `input` is `[tokens, 3 · heads · head_size]`, queries, keys and values side
/// by side, and the output `[tokens, heads · head_size]`.
pub fn attention(
    set: InstructionSet,
    precision: Precision,
    sizes: (usize, usize),
    input: &[f32],
) -> Option<Run> {
    fn attend<A: Arithmetic>(
        isa: SelectedIsa,
        (heads, head_size): (usize, usize),
        input: &[f32],
    ) -> Run {
        let (input, dim) = (input.to_vec(), heads * head_size);
        let mut scratch = [A::default()];
        let mut sequences = Sequences::default();
        sequences.set(std::iter::once(input.len() / (3 * dim)));
        Box::new(move |output| {
            let part = |index: usize| rows(&input[index * dim..], 3 * dim);
            let attention = Attention {
                heads,
                head_size,
                sequences: &sequences,
                queries: Queries::AllTokens,
                query: part(0),
                key: part(1),
                value: part(2),
            };
            on_this_thread(isa, |executor| attention.attend(executor, &mut scratch, output, None));
        })
    }

    let isa = set.detect()?;
    Some(match precision {
        Precision::F32 => attend::<<f32 as Weight>::Attention>(isa, sizes, input),
        Precision::F16 => attend::<<f16 as Weight>::Attention>(isa, sizes, input),
        Precision::Bf16 if isa.has_bf16() => {
            attend::<<bf16 as Weight>::Attention>(isa, sizes, input)
        }
        Precision::Int8 => attend::<<i8 as Weight>::Attention>(isa, sizes, input),
        Precision::Bf16 | Precision::Cascade { .. } | Precision::Auto => return None,
    })
}

/// Returns layer normalization of rows of `dim` values, with a weight of one and a bias of zero.
pub fn layer_norm(set: InstructionSet, dim: usize, input: &[f32]) -> Option<Run> {
    let isa = set.detect()?;
    let norm = LayerNorm { weight: vec![1.0; dim], bias: vec![0.0; dim], eps: 1e-12 };
    let input = input.to_vec();
    Some(Box::new(move |output| {
        output.copy_from_slice(&input);
        on_this_thread(isa, |executor| normalize(executor, &norm, output, SavedNorm::Nothing));
    }))
}

/// Returns the softmax of rows of `len` values before the division by the sum: `exp(x − max)`.
///
/// # Panics
/// If `len` is not a multiple of the set's lanes.
pub fn softmax(set: InstructionSet, len: usize, input: &[f32]) -> Option<Run> {
    struct Exponentials<'a> {
        len: usize,
        values: &'a mut [f32],
    }

    impl Kernel for Exponentials<'_> {
        type Output = ();

        #[inline(always)]
        fn eval<I: Isa>(self, isa: I) {
            assert!(self.len.is_multiple_of(I::LANES), "rows without padding are whole vectors");
            for row in self.values.chunks_exact_mut(self.len) {
                black_box(exponentials(isa, row, self.len, 1.0));
            }
        }
    }

    let isa = set.detect()?;
    let input = input.to_vec();
    Some(Box::new(move |values| {
        values.copy_from_slice(&input);
        isa.dispatch(Exponentials { len, values });
    }))
}

/// Returns the quantization of rows of `len` values to 8 bits. The kernel writes the dequantized values, unless the
/// output is empty.
pub fn quantize(set: InstructionSet, len: usize, input: &[f32]) -> Option<Run> {
    struct ReadRow<'a>(&'a QuantizedRows, usize, &'a mut [f32]);

    impl Kernel for ReadRow<'_> {
        type Output = ();

        #[inline(always)]
        fn eval<I: Isa>(self, isa: I) {
            self.0.read_row(isa, self.1, self.2);
        }
    }

    let isa = set.detect()?;
    let input = input.to_vec();
    let mut quantized = QuantizedRows::default();
    Some(Box::new(move |output| {
        on_this_thread(isa, |executor| {
            i8::convert_rows(executor, rows(&input, len), len, &mut quantized);
        });
        for (row, output) in output.chunks_exact_mut(len).enumerate() {
            isa.dispatch(ReadRow(&quantized, row, output));
        }
    }))
}

/// Runs multiply-adds in as many independent chains as a tile has, only in registers, which gives the peak of the set.
/// Returns the number of floating-point operations, and their result.
pub fn multiply_add(set: InstructionSet, steps: usize) -> Option<(usize, f32)> {
    struct Chains<const VECTORS: usize>(usize);

    impl<const VECTORS: usize> Kernel for Chains<VECTORS> {
        type Output = (usize, f32);

        #[inline(always)]
        fn eval<I: Isa>(self, isa: I) -> (usize, f32) {
            // Hidden from the compiler, which could otherwise evaluate the chains.
            let [start, factor, addend] =
                [1.0, 0.999, 0.01].map(|value| isa.splat(black_box(value)));
            let mut chains = [start; VECTORS];
            for _ in 0..self.0 {
                for chain in &mut chains {
                    *chain = isa.mul_add(*chain, factor, addend);
                }
            }
            let sum = chains.iter().fold(isa.splat(0.0), |sum, &chain| isa.add(sum, chain));
            (2 * self.0 * VECTORS * I::LANES, isa.sum(sum))
        }
    }

    let isa = set.detect()?;
    match set {
        InstructionSet::Avx512 | InstructionSet::Avx512Vnni | InstructionSet::Avx512Amx => {
            Some(isa.dispatch(Chains::<12>(steps)))
        }
        // Vectors of two registers or four: as many chains as the registers allow.
        _ => Some(isa.dispatch(Chains::<6>(steps))),
    }
}
