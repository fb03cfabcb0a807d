//! The CUDA kernels: the committed PTX against naive float64 loops.

mod attention;
#[cfg(feature = "kernels")]
mod bundled;
mod defects;
mod embeddings;
mod head;
mod layer_norm;
mod linear;
mod quantize;

use std::path::Path;

use half::f16;

use ptx_machine::{Argument, Counts, Error, Launch, Memory, Module};

/// Loads the module with the kernels of an operation.
pub(crate) fn module(operation: &str) -> Module {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels/ptx"), operation)
}

/// Loads the module from a folder.
fn read(folder: &Path, operation: &str) -> Module {
    let path = folder.join(operation).with_extension("ptx");
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Module::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Device with its own memory and one module.
pub(crate) struct Device<'a> {
    module: &'a Module,
    memory: Memory,
}

/// Element types in device memory.
pub(crate) trait Element: Copy {
    fn bytes(self) -> Vec<u8>;
    fn of(bytes: &[u8]) -> Self;
    const SIZE: usize = size_of::<Self>();
}

macro_rules! element {
    ($($type:ty)*) => {
        $(impl Element for $type {
            fn bytes(self) -> Vec<u8> {
                self.to_le_bytes().to_vec()
            }
            fn of(bytes: &[u8]) -> Self {
                Self::from_le_bytes(bytes.try_into().unwrap())
            }
        })*
    };
}
element!(f16 f32 u8 i8 i32 u32);

impl<'a> Device<'a> {
    pub(crate) fn new(module: &'a Module) -> Self {
        Self { module, memory: Memory::new() }
    }

    /// Allocates memory with these values.
    pub(crate) fn upload<T: Element>(&mut self, values: &[T]) -> u64 {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.bytes()).collect();
        self.memory.allocate_with(&bytes)
    }

    /// Allocates uninitialized memory for `len` values.
    pub(crate) fn room<T: Element>(&mut self, len: usize) -> u64 {
        self.memory.allocate(len * T::SIZE)
    }

    pub(crate) fn download<T: Element>(&self, address: u64, len: usize) -> Vec<T> {
        let bytes = self.memory.read(address, len * T::SIZE).unwrap();
        bytes.chunks_exact(T::SIZE).map(T::of).collect()
    }

    pub(crate) fn try_launch(
        &mut self,
        kernel: &str,
        grid: [u32; 3],
        threads: u32,
        arguments: &[Argument],
    ) -> Result<Counts, Error> {
        let block = [threads, 1, 1];
        let launch = Launch { kernel, grid, block, shared_bytes: 0, arguments };
        self.module.launch(&mut self.memory, &launch)
    }

    #[track_caller]
    pub(crate) fn launch(
        &mut self,
        kernel: &str,
        grid: [u32; 3],
        threads: u32,
        arguments: &[Argument],
    ) -> Counts {
        self.try_launch(kernel, grid, threads, arguments).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// Builds arguments from values of any type that kernels take.
macro_rules! arguments {
    ($($argument:expr),* $(,)?) => { &[$(Argument::from($argument)),*] };
}
use arguments;

/// Returns `len` f16 values in [−scale, scale), determined by the seed.
pub(crate) fn random(seed: u64, len: usize, scale: f32) -> Vec<f16> {
    let mut state = seed;
    (0..len)
        .map(|_| {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            let unit = ((z ^ (z >> 31)) >> 40) as f32 / (1 << 23) as f32 - 1.0;
            f16::from_f32(scale * unit)
        })
        .collect()
}

pub(crate) fn floats(halves: &[f16]) -> Vec<f32> {
    halves.iter().map(|half| half.to_f32()).collect()
}

/// Checks that a value is within half a unit in the last place of f16, plus `besides`.
#[track_caller]
pub(crate) fn assert_half_close(found: f16, expected: f64, besides: f64) {
    let error = (found.to_f64() - expected).abs();
    let limit = expected.abs() / 2048.0 + besides;
    // Written so that NaN fails as well.
    assert!(error <= limit, "expected {expected}, found {found}: error {error}");
}

/// Returns a row's scale and zero point, and its bytes, rounded as on the CPU.
pub(crate) fn quantized(row: &[f32]) -> ([f32; 2], Vec<u8>) {
    let least = row.iter().fold(0f32, |least, &value| least.min(value));
    let largest = row.iter().fold(0f32, |largest, &value| largest.max(value));
    let step = (largest - least) / 255.0;
    let scale = if step >= f32::MIN_POSITIVE { step } else { 0.0 };
    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    let zero_point = (-least * inverse).round_ties_even().min(255.0);
    let byte =
        |&value: &f32| (value * inverse + zero_point).clamp(0.0, 255.0).round_ties_even() as u8;
    ([scale, zero_point], row.iter().map(byte).collect())
}
