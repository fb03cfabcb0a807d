//! The kernels one at a time, for the benchmarks. No part of the API.
//!
//! # Products, by the instruction
//!
//! This is arithmetic, not measurement: what a full tile takes in each set. A multiply-accumulate (MAC) is
//! one product of an input and a weight, added. A step is what one broadcast of the inputs meets: one input
//! of each row in `f32` and `f16` (whose weights take a conversion for each load), four in `int8`, eight
//! with `i8mm`, 64 with AMX. Loads are those of the panel and of the inputs.
//!
//! | set | precision | tile | MACs per instruction | MACs per step | loads per step |
//! |---|---|---|---|---|---|
//! | avx2 | f32, f16 | 6×16 | 8 | 96 | 2 + 6 |
//! | avx2 | int8 | 6×16 | 32 in 3 | 384 | 2 + 6 |
//! | avxvnni | int8 | 6×16 | 32 | 384 | 2 + 6 |
//! | avx512 | f32, f16 | 12×32 | 16 | 384 | 2 + 12 |
//! | avx512 | int8 | 12×32 | 64 in 3 | 1536 | 2 + 12 |
//! | avx512vnni | int8 | 12×32 | 64 | 1536 | 2 + 12 |
//! | avx512amx | int8 | 32×32 | 16384 | 65536 | 2 + 2 tiles |
//! | neon | f32, f16 | 6×16 | 4 | 96 | 4 + 6 |
//! | neon | int8 | 6×16 | 16 in 4 | 384 | 4 + 6 |
//! | dotprod | int8 | 6×16 | 16 | 384 | 4 + 6 |
//! | i8mm | int8 | 6×16 | 32 | 768 | 8 + 6 |
//!
//! Sets that are not named for a precision compute it as the set above them does. `portable` leaves floats
//! to `matrixmultiply` and integers to the compiler.

use std::hint::black_box;
use std::marker::PhantomData;

use half::f16;

use crate::cpu::gemm::pack::PackedMatrix;
use crate::cpu::gemm::weight::{Weight, rows};
use crate::cpu::ops::attention::{Attention, AttentionScratch, Queries};
use crate::cpu::ops::layer_norm::normalize_rows_with;
use crate::cpu::ops::linear::{LinearScratch, Product};
use crate::cpu::ops::quantize::QuantizedRows;
use crate::cpu::ops::softmax::exponentials;
use crate::cpu::parallel::threads::Threads;
use crate::cpu::simd::{InstructionSet, Isa, Kernel};
use crate::model::matrix::{Matrix, Values};
use crate::model::weights::{LayerNorm, Linear};
use crate::precision::Precision;

pub use crate::cpu::gemm::epilogue::Epilogue;

/// A kernel with its operands: computes into a slice, on this thread.
pub type Run = Box<dyn FnMut(&mut [f32])>;

/// A linear layer without a bias: `input` is `[rows, inputs]`, `weights` `[outputs, inputs]`, and what it
/// computes `[rows, outputs]`. `None` if the machine lacks the set, as for the others.
pub fn linear(
    set: InstructionSet,
    precision: Precision,
    epilogue: Epilogue,
    (input, weights, inputs): (&[f32], &[f32], usize),
) -> Option<Run> {
    struct Pack<W> {
        epilogue: Epilogue,
        input: Vec<f32>,
        weights: Vec<f32>,
        inputs: usize,
        held_as: PhantomData<W>,
    }

    impl<W: Weight> Kernel for Pack<W> {
        type Output = Run;

        fn run<I: Isa>(self, isa: I) -> Run {
            let Self { epilogue, input, weights, inputs, .. } = self;
            let outputs = weights.len() / inputs;
            let matrix = Matrix { outputs, inputs, parts: vec![Values::Computed(weights)] };
            let weight = Threads::Caller
                .run(|team| PackedMatrix::<W>::pack(isa, team, &matrix))
                .expect("the weights of a benchmark are finite");
            let linear = Linear { weight, bias: vec![0.0; outputs] };
            let mut scratch = LinearScratch::default();
            scratch.resize(1);
            Box::new(move |output| {
                let input = rows(&input, inputs);
                let product = Product { input, linear: &linear, outputs: 0..outputs, epilogue };
                Threads::Caller.run(|team| product.run(isa, team, &mut scratch, output, outputs));
            })
        }
    }

    fn pack<W>(epilogue: Epilogue, (input, weights, inputs): (&[f32], &[f32], usize)) -> Pack<W> {
        let (input, weights) = (input.to_vec(), weights.to_vec());
        Pack { epilogue, input, weights, inputs, held_as: PhantomData }
    }

    let operands = (input, weights, inputs);
    match precision {
        Precision::F32 => set.run(pack::<f32>(epilogue, operands)),
        Precision::F16 => set.run(pack::<f16>(epilogue, operands)),
        Precision::Int8 => set.run(pack::<i8>(epilogue, operands)),
    }
}

/// Attention within one sequence: `input` is `[tokens, 3 · heads · head_size]`, queries, keys and values side
/// by side, and what it computes `[tokens, heads · head_size]`.
pub fn attention(
    set: InstructionSet,
    (heads, head_size): (usize, usize),
    input: &[f32],
) -> Option<Run> {
    struct SelfAttention {
        heads: usize,
        head_size: usize,
        input: Vec<f32>,
    }

    impl Kernel for SelfAttention {
        type Output = Run;

        fn run<I: Isa>(self, isa: I) -> Run {
            let Self { heads, head_size, input } = self;
            let dim = heads * head_size;
            let mut scratch = [AttentionScratch::default()];
            Box::new(move |output| {
                let tokens = 0..input.len() / (3 * dim);
                let part = |index: usize| rows(&input[index * dim..], 3 * dim);
                let attention = Attention {
                    heads,
                    head_size,
                    sequences: std::slice::from_ref(&tokens),
                    queries: Queries::AllTokens,
                    query: part(0),
                    key: part(1),
                    value: part(2),
                };
                Threads::Caller.run(|team| attention.run(isa, team, &mut scratch, output, None));
            })
        }
    }

    set.run(SelfAttention { heads, head_size, input: input.to_vec() })
}

/// Layer normalisation of rows of `dim` values, with a weight of one and a bias of zero.
pub fn layer_norm(set: InstructionSet, dim: usize, input: &[f32]) -> Option<Run> {
    struct Normalize {
        norm: LayerNorm,
        input: Vec<f32>,
    }

    impl Kernel for Normalize {
        type Output = Run;

        fn run<I: Isa>(self, isa: I) -> Run {
            let Self { norm, input } = self;
            let dim = norm.weight.len();
            Box::new(move |output| {
                Threads::Caller.run(|team| {
                    let copy = |index: usize, row: &mut [f32]| {
                        row.copy_from_slice(&input[index * dim..][..dim]);
                    };
                    normalize_rows_with(isa, team, &norm, output, copy, |_, _| ());
                });
            })
        }
    }

    let norm = LayerNorm { weight: vec![1.0; dim], bias: vec![0.0; dim], eps: 1e-12 };
    set.run(Normalize { norm, input: input.to_vec() })
}

/// The softmax of rows of `len` values, but for the division by the sum: `exp(x − max)`.
pub fn softmax(set: InstructionSet, len: usize, input: &[f32]) -> Option<Run> {
    struct Softmax {
        len: usize,
        input: Vec<f32>,
    }

    struct Exponentials<'a> {
        len: usize,
        values: &'a mut [f32],
    }

    impl Kernel for Exponentials<'_> {
        type Output = ();

        #[inline(always)]
        fn run<I: Isa>(self, isa: I) {
            for row in self.values.chunks_exact_mut(self.len) {
                black_box(exponentials(isa, row, self.len, 1.0));
            }
        }
    }

    impl Kernel for Softmax {
        type Output = Run;

        fn run<I: Isa>(self, isa: I) -> Run {
            let Self { len, input } = self;
            assert!(len % I::LANES == 0, "rows without padding are of whole vectors");
            Box::new(move |values| {
                values.copy_from_slice(&input);
                isa.run(Exponentials { len, values });
            })
        }
    }

    set.run(Softmax { len, input: input.to_vec() })
}

/// Rounds rows of `len` values to 8 bits. Into an empty slice nothing more is computed; into another go the
/// values that the bytes stand for.
pub fn quantize(set: InstructionSet, len: usize, input: &[f32]) -> Option<Run> {
    struct Quantize {
        len: usize,
        input: Vec<f32>,
    }

    impl Kernel for Quantize {
        type Output = Run;

        fn run<I: Isa>(self, isa: I) -> Run {
            let Self { len, input } = self;
            let mut quantized = QuantizedRows::default();
            Box::new(move |output| {
                Threads::Caller.run(|team| {
                    i8::from_rows(isa, team, rows(&input, len), len, &mut quantized);
                });
                for (row, output) in output.chunks_exact_mut(len).enumerate() {
                    quantized.read_row(isa, row, output);
                }
            })
        }
    }

    set.run(Quantize { len, input: input.to_vec() })
}

/// Multiply-adds in as many independent chains as a tile has, over registers alone: the most that the set
/// computes. Gives the number of floating-point operations, and what came of them.
pub fn multiply_add(set: InstructionSet, steps: usize) -> Option<(usize, f32)> {
    struct Chains<const VECTORS: usize>(usize);

    impl<const VECTORS: usize> Kernel for Chains<VECTORS> {
        type Output = (usize, f32);

        #[inline(always)]
        fn run<I: Isa>(self, isa: I) -> (usize, f32) {
            // Unknown to the compiler, which would see to the end of the chains.
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

    match set {
        InstructionSet::Avx512 | InstructionSet::Avx512Vnni | InstructionSet::Avx512Amx => {
            set.run(Chains::<12>(steps))
        }
        // Vectors of two registers or four: as many chains as the registers allow.
        _ => set.run(Chains::<6>(steps)),
    }
}
