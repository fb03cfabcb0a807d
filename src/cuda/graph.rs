//! Graph capture: records kernel launches, and caches the graphs by shape.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;

use cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};
use cudarc::driver::{CudaGraph, CudaStream};

use super::driver::failed;
use super::kernels::Kernels;
use super::kernels::parameters::KernelParameters;
use super::shape::Shape;
use crate::error::{DeviceError, Result};

/// Graphs that a cache keeps. Single texts of up to 512 tokens alone have 16 shapes.
const MAX_GRAPHS: usize = 64;

/// Recorder of kernel launches on memory that lives for `'m`.
pub struct Capture<'m> {
    stream: &'m CudaStream,
    kernels: &'m Kernels,
    /// Keeps the lifetime invariant.
    memory: PhantomData<fn(&'m ()) -> &'m ()>,
}

impl<'m> Capture<'m> {
    /// Records the launch of a kernel after those recorded so far.
    pub fn launch(&self, parameters: impl KernelParameters + 'm) -> Result<()> {
        // SAFETY: the parameters' slices are borrowed for `'m`, and the caller of `capture` promises that
        // the graph is not launched after that.
        unsafe { self.kernels.launch(self.stream, &parameters) }
    }

    pub fn multiprocessors(&self) -> usize {
        self.kernels.multiprocessors()
    }
}

/// Captures the launches that `record` makes as a graph.
///
/// # Safety
/// Every launch of the graph must complete before `'m` ends, even if the borrows of `'m` are released
/// earlier: the memory that the kernels use must stay allocated.
pub unsafe fn capture<'m>(
    stream: &'m Arc<CudaStream>,
    kernels: &'m Kernels,
    record: impl FnOnce(&Capture<'m>) -> Result<()>,
) -> Result<CudaGraph> {
    // Other threads may allocate memory in the meantime.
    let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
    stream.begin_capture(mode).map_err(failed("begin a capture"))?;
    let recorded = record(&Capture { stream, kernels, memory: PhantomData });
    // Also after an error, so that the stream does not stay in capture mode.
    let graph = stream.end_capture(CUgraphInstantiate_flags(0)).map_err(failed("end a capture"));
    recorded?;
    graph?.ok_or_else(|| {
        let reason = "no kernel was launched".to_owned();
        DeviceError::Cuda { operation: "end a capture", reason }.into()
    })
}

/// Captured graphs by shape. The least recently used one is dropped for a new one.
#[derive(Default)]
pub struct GraphCache {
    graphs: HashMap<Shape, CachedGraph>,
    /// Number of lookups so far.
    clock: u64,
}

struct CachedGraph {
    graph: CudaGraph,
    last_use: u64,
}

// SAFETY: graphs must not be used by two threads at the same time. They are only reached through `&mut
// GraphCache`, and nothing in them is tied to a thread.
unsafe impl Send for GraphCache {}

impl GraphCache {
    /// Returns the graph of a shape, captured with `capture` if it is not cached.
    pub fn get_or_capture(
        &mut self,
        shape: Shape,
        capture: impl FnOnce() -> Result<CudaGraph>,
    ) -> Result<&CudaGraph> {
        self.clock += 1;
        if !self.graphs.contains_key(&shape) {
            let graph = capture()?;
            if self.graphs.len() >= MAX_GRAPHS {
                self.remove_oldest();
            }
            self.graphs.insert(shape, CachedGraph { graph, last_use: 0 });
        }
        let cached = self.graphs.get_mut(&shape).expect("inserted above if it was missing");
        cached.last_use = self.clock;
        Ok(&cached.graph)
    }

    fn remove_oldest(&mut self) {
        let oldest = self.graphs.iter().min_by_key(|(_, graph)| graph.last_use);
        if let Some(shape) = oldest.map(|(&shape, _)| shape) {
            self.graphs.remove(&shape);
        }
    }
}
