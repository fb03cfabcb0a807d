//! The compiled kernels: one file for each operation, named as its source in `kernels/`, with the
//! parameters that its kernels take and what they require of them.

pub mod attention;
pub mod embeddings;
pub mod head;
pub mod layer_norm;
pub mod linear;
pub mod parameters;
pub mod quantize;

use std::collections::BTreeMap;
use std::sync::Arc;

use cudarc::driver::sys::CUdevice_attribute as Attribute;
use cudarc::driver::{CudaContext, CudaFunction, CudaStream, LaunchConfig};
use cudarc::nvrtc::Ptx;

use self::parameters::{KernelParameters, LaunchSize};
use super::driver::failed;
use crate::error::{DeviceError, Error, Result};

macro_rules! modules {
    ($($operation:literal)*) => {
        [$(include_str!(concat!("../../../kernels/ptx/", $operation, ".ptx"))),*]
    };
}

/// PTX compiled from `kernels/*.cu`.
const MODULES: [&str; 6] =
    modules!["embeddings" "layer_norm" "linear" "attention" "quantize" "head"];

/// Threads of a block in the kernels that process one row per block.
const ROW_THREADS: u32 = 128;

/// Longest row that the embedding and layer norm kernels hold in registers.
pub const MAX_NORM_DIM: usize = 2048;

/// Longest row that the quantization kernel holds in registers.
pub const MAX_QUANTIZED_DIM: usize = 4096;

/// The kernels of a model, loaded and ready to launch.
pub struct Kernels {
    functions: BTreeMap<String, CudaFunction>,
    multiprocessors: usize,
}

impl Kernels {
    /// Loads the kernels with these names.
    pub fn load(context: &Arc<CudaContext>, names: &[String]) -> Result<Self> {
        let mut functions = BTreeMap::new();
        for ptx in MODULES {
            let in_module = |name: &&String| ptx.contains(&entry(name));
            let names: Vec<&String> = names.iter().filter(in_module).collect();
            if names.is_empty() {
                continue;
            }
            let module =
                context.load_module(Ptx::from_src(ptx)).map_err(failed("load the kernels"))?;
            for name in names {
                let function = module.load_function(name).map_err(failed("find a kernel"))?;
                // The driver may defer loading a function until it is first used, which must not happen
                // during a capture. Querying an attribute loads it.
                function.max_threads_per_block().map_err(failed("load a kernel"))?;
                functions.insert(name.clone(), function);
            }
        }
        let multiprocessors = context
            .attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)
            .map_err(failed("read the properties of the GPU"))?;
        let multiprocessors = usize::try_from(multiprocessors).unwrap_or(1);
        Ok(Self { functions, multiprocessors })
    }

    pub fn multiprocessors(&self) -> usize {
        self.multiprocessors
    }

    /// Checks the parameters and launches their kernel on a stream, or records it if the stream is capturing.
    ///
    /// # Safety
    /// The memory of the parameters' slices must stay allocated until the stream has completed the launch,
    /// and until the last replay of a graph that recorded it has completed.
    pub unsafe fn launch(
        &self,
        stream: &CudaStream,
        parameters: &impl KernelParameters,
    ) -> Result<()> {
        let LaunchSize { grid, threads } = parameters.launch_size()?;
        let name = parameters.kernel();
        let invalid =
            |reason| Error::Device(DeviceError::Cuda { operation: "launch a kernel", reason });
        let function = self
            .functions
            .get(name.as_ref())
            .ok_or_else(|| invalid(format!("`{name}` is not loaded")))?;
        let [x, y, z] = grid.map(u32::try_from);
        let (Ok(x), Ok(y), Ok(z)) = (x, y, z) else {
            return Err(invalid(format!("`{name}` would have {grid:?} blocks")));
        };
        let mut launch = stream.launch_builder(function);
        parameters.push(&mut launch);
        let config =
            LaunchConfig { grid_dim: (x, y, z), block_dim: (threads, 1, 1), shared_mem_bytes: 0 };
        // SAFETY: `KernelParameters` promises that these are the kernel's parameters and that, with this
        // size, it stays within their slices, which the caller keeps allocated.
        unsafe { launch.launch(config) }.map_err(failed("launch a kernel"))?;
        Ok(())
    }
}

/// Returns the text that declares a kernel in PTX.
fn entry(name: &str) -> String {
    format!(".entry {name}(")
}

#[cfg(test)]
mod tests {
    use super::attention::{Attention, HEAD_SIZES, Queries};
    use super::embeddings::{EmbeddingsF16, EmbeddingsInt8};
    use super::head::{ClassifierF16, ClassifierInt8, GatherFirstRows};
    use super::layer_norm::{LayerNormF16, LayerNormQuantize};
    use super::linear::{LinearF16, LinearInt8, kernel_names};
    use super::parameters::{ParameterList, ParameterType};
    use super::quantize::Quantize;
    use super::*;

    /// Returns the parameter types that the PTX declares for a kernel.
    fn declared(name: &str) -> Vec<ParameterType> {
        let after = MODULES.iter().find_map(|ptx| ptx.split_once(&entry(name)));
        let (_, after) = after.unwrap_or_else(|| panic!("no kernel is named {name}"));
        let (list, _) = after.split_once(')').unwrap();
        let types = list.split(',').map(|parameter| parameter.split_whitespace().nth(1).unwrap());
        types
            .map(|name| match name {
                ".u64" => ParameterType::U64,
                ".u32" => ParameterType::U32,
                ".f32" => ParameterType::F32,
                other => panic!("unknown parameter type {other}"),
            })
            .collect()
    }

    fn assert_declared<P: ParameterList>(name: &str) {
        assert_eq!(P::TYPES, declared(name), "{name}");
    }

    #[test]
    fn parameter_structs_match_the_ptx() {
        assert_declared::<EmbeddingsF16<'_>>("embeddings_f16");
        assert_declared::<EmbeddingsInt8<'_>>("embeddings_int8");
        assert_declared::<LayerNormF16<'_>>("layer_norm");
        assert_declared::<LayerNormQuantize<'_>>("layer_norm_quantize");
        assert_declared::<Quantize<'_>>("quantize");
        assert_declared::<GatherFirstRows<'_>>("gather_first_rows");
        assert_declared::<ClassifierF16<'_>>("classifier_f16");
        assert_declared::<ClassifierInt8<'_>>("classifier_int8");
        for size in HEAD_SIZES {
            assert_declared::<Attention<'_>>(&Queries::All { blocks: 1 }.kernel(size));
            assert_declared::<Attention<'_>>(&Queries::First.kernel(size));
        }
        kernel_names("f16").for_each(|name| assert_declared::<LinearF16<'_>>(&name));
        kernel_names("int8").for_each(|name| assert_declared::<LinearInt8<'_>>(&name));
    }
}
