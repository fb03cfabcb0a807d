//! The compiled kernels, and how one is launched.

use std::collections::BTreeMap;
use std::sync::Arc;

use cudarc::driver::sys::CUdevice_attribute as Attribute;
use cudarc::driver::{CudaContext, CudaFunction, CudaStream, LaunchConfig, PushKernelArg};
use cudarc::nvrtc::Ptx;

use super::driver::failed;
use super::memory::Address;
use crate::error::Result;

macro_rules! modules {
    ($($operation:literal)*) => {
        [$(include_str!(concat!("../../kernels/ptx/", $operation, ".ptx"))),*]
    };
}

/// What `kernels/*.cu` compile to.
const MODULES: [&str; 6] =
    modules!["embeddings" "layer_norm" "linear" "attention" "quantise" "head"];

/// Rows and outputs of a block of `linear`, and its threads; the largest first.
const TILES: [Tile; 4] = [
    Tile { rows: 128, outputs: 128, threads: 256 },
    Tile { rows: 64, outputs: 64, threads: 128 },
    Tile { rows: 32, outputs: 32, threads: 128 },
    Tile { rows: 16, outputs: 32, threads: 64 },
];

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tile {
    pub rows: usize,
    pub outputs: usize,
    pub threads: u32,
}

impl Tile {
    /// Blocks of a product, by outputs and rows.
    pub fn grid(self, rows: usize, outputs: usize) -> [usize; 2] {
        [outputs.div_ceil(self.outputs), rows.div_ceil(self.rows)]
    }

    /// The largest tile of which there is one for each multiprocessor: it reads the least. Of the small
    /// ones, that which has no rows to spare.
    fn choose(multiprocessors: usize, rows: usize, outputs: usize) -> Self {
        let [large, medium, small, smallest] = TILES;
        let fills =
            |tile: &Self| tile.grid(rows, outputs).iter().product::<usize>() >= multiprocessors;
        let fitting = [large, medium].into_iter().find(fills);
        fitting.unwrap_or(if rows > smallest.rows { small } else { smallest })
    }
}

/// An argument of a kernel.
#[derive(Clone, Copy, Debug)]
pub enum Argument {
    Address(Address),
    Int(i32),
    Float(f32),
}

impl From<Address> for Argument {
    fn from(address: Address) -> Self {
        Self::Address(address)
    }
}

impl From<usize> for Argument {
    fn from(value: usize) -> Self {
        // Sizes of models and batches, whose memory would not fit a GPU long before.
        Self::Int(value as i32)
    }
}

impl From<f32> for Argument {
    fn from(value: f32) -> Self {
        Self::Float(value)
    }
}

/// A model's kernels, ready to be launched.
pub struct Kernels {
    functions: BTreeMap<String, CudaFunction>,
    multiprocessors: usize,
}

impl Kernels {
    /// Compiles the modules and takes from them the kernels with these names.
    pub fn load(context: &Arc<CudaContext>, names: &[String]) -> Result<Self> {
        let mut functions = BTreeMap::new();
        for ptx in MODULES {
            let in_module = |name: &&String| ptx.contains(&format!(".entry {name}("));
            let names: Vec<&String> = names.iter().filter(in_module).collect();
            if names.is_empty() {
                continue;
            }
            let module =
                context.load_module(Ptx::from_src(ptx)).map_err(failed("take the kernels"))?;
            for name in names {
                let function = module.load_function(name).map_err(failed("find a kernel"))?;
                // The driver may put off loading a function until something is asked of it, and must not do so
                // within a capture.
                function.max_threads_per_block().map_err(failed("load a kernel"))?;
                functions.insert(name.clone(), function);
            }
        }
        let multiprocessors = context
            .attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)
            .map_err(failed("describe itself"))?;
        Ok(Self { functions, multiprocessors: multiprocessors as usize })
    }

    /// The names of the kernels of `linear` with this type and any epilogue.
    pub fn linear_names(kind: &str) -> impl Iterator<Item = String> {
        let epilogues = ["bias", "bias_gelu", "bias_relu", "bias_residual"];
        epilogues
            .into_iter()
            .flat_map(move |epilogue| TILES.map(|tile| linear_name(kind, epilogue, tile)))
    }

    /// The kernel for a product, and its tile.
    pub fn linear(
        &self,
        kind: &str,
        epilogue: &str,
        rows: usize,
        outputs: usize,
    ) -> (String, Tile) {
        let tile = Tile::choose(self.multiprocessors, rows, outputs);
        (linear_name(kind, epilogue, tile), tile)
    }

    /// Launches a kernel: blocks by three dimensions, and the threads of one.
    ///
    /// # Safety
    /// The arguments are those that the kernel lists in its `.cu`, and the memory at their addresses is as
    /// large as it says there, until the stream has come past the launch or its graph is no longer
    /// launched.
    pub unsafe fn launch(
        &self,
        stream: &CudaStream,
        name: &str,
        grid: [usize; 3],
        threads: u32,
        arguments: &[Argument],
    ) -> Result<()> {
        let [x, y, z] = grid.map(|blocks| blocks as u32);
        // `kernel_names` lists all that passes launch.
        let mut launch = stream.launch_builder(&self.functions[name]);
        for argument in arguments {
            match argument {
                Argument::Address(Address(address)) => launch.arg(address),
                Argument::Int(value) => launch.arg(value),
                Argument::Float(value) => launch.arg(value),
            };
        }
        let config =
            LaunchConfig { grid_dim: (x, y, z), block_dim: (threads, 1, 1), shared_mem_bytes: 0 };
        // SAFETY: the caller vouches for the arguments.
        unsafe { launch.launch(config) }.map_err(failed("launch a kernel"))?;
        Ok(())
    }
}

fn linear_name(kind: &str, epilogue: &str, tile: Tile) -> String {
    format!("linear_{kind}_{epilogue}_{}x{}", tile.rows, tile.outputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_grow_with_the_product() {
        let tile = |rows, outputs| {
            let tile = Tile::choose(108, rows, outputs);
            (tile.rows, tile.outputs)
        };
        assert_eq!(tile(1, 768), (16, 32));
        assert_eq!(tile(17, 768), (32, 32));
        assert_eq!(tile(512, 3072), (64, 64));
        assert_eq!(tile(4096, 768), (128, 128));
    }
}
