//! The stand-in for the NVIDIA driver library, used through cudarc.

mod errors;
mod graphs;
mod streams;

use std::panic::catch_unwind;
use std::sync::Arc;
use std::thread;

use cudarc::driver::sys::{CUgraphInstantiate_flags, CUresult, CUstreamCaptureMode};
use cudarc::driver::{
    CudaContext, CudaFunction, CudaGraph, CudaSlice, CudaStream, DeviceRepr, DriverError,
    LaunchConfig, PinnedHostSlice, PushKernelArg, result,
};
use cudarc::nvrtc::Ptx;
use test_support::stand_in::{is_on_stand_in, log, on_stand_in};

use CUresult::*;
use CUstreamCaptureMode::*;

const HEAD: &str = include_str!("../../kernels/ptx/head.ptx");

fn context() -> Arc<CudaContext> {
    let context = CudaContext::new(0).unwrap();
    // SAFETY: the tests synchronize their accesses, or check that the stand-in detects that they don't.
    unsafe { context.disable_event_tracking() };
    context
}

fn code<T>(result: Result<T, DriverError>) -> CUresult {
    result.map_or_else(|DriverError(code)| code, |_| CUDA_SUCCESS)
}

/// Allocates uninitialized device memory.
fn room<T: DeviceRepr>(stream: &Arc<CudaStream>, len: usize) -> CudaSlice<T> {
    try_room(stream, len).unwrap()
}

fn try_room<T: DeviceRepr>(
    stream: &Arc<CudaStream>,
    len: usize,
) -> Result<CudaSlice<T>, DriverError> {
    // SAFETY: the stand-in reports reads of uninitialized memory.
    unsafe { stream.alloc(len) }
}

fn pinned(context: &Arc<CudaContext>, len: usize) -> PinnedHostSlice<u64> {
    // SAFETY: any bytes are valid numbers.
    unsafe { context.alloc_pinned(len) }.unwrap()
}

/// Content of pinned memory before the first copy to it.
const FRESH: u64 = u64::from_ne_bytes([0xA5; 8]);

/// Grid of `gather_first_rows`: one block per sequence.
const GRID: (u32, u32, u32) = (3, 1, 1);

/// Buffers of `gather_first_rows` for rows of one number.
struct Gather {
    function: CudaFunction,
    rows: CudaSlice<u64>,
    ends: CudaSlice<u32>,
    first_rows: CudaSlice<u64>,
}

impl Gather {
    const ROWS: [u64; 5] = [10, 11, 12, 13, 14];
    const FIRST_ROWS: [u64; 3] = [10, 12, 13];

    fn new(stream: &Arc<CudaStream>) -> Self {
        let module = stream.context().load_module(Ptx::from_src(HEAD)).unwrap();
        Self {
            function: module.load_function("gather_first_rows").unwrap(),
            rows: stream.clone_htod(&Self::ROWS).unwrap(),
            ends: stream.clone_htod(&[2u32, 3, 5]).unwrap(),
            first_rows: room(stream, 3),
        }
    }

    fn launch(&mut self, stream: &CudaStream) {
        self.try_launch(stream, &8, GRID, 128, 0).unwrap();
    }

    fn try_launch(
        &mut self,
        stream: &CudaStream,
        row_bytes: &u32,
        grid_dim: (u32, u32, u32),
        threads: u32,
        shared_mem_bytes: u32,
    ) -> Result<(), DriverError> {
        let mut launch = stream.launch_builder(&self.function);
        launch.arg(&self.rows).arg(&self.ends).arg(&mut self.first_rows).arg(row_bytes);
        let config = LaunchConfig { grid_dim, block_dim: (threads, 1, 1), shared_mem_bytes };
        // SAFETY: the arguments match the kernel's parameters, and the stand-in checks every access.
        unsafe { launch.launch(config) }.map(|_| ())
    }

    fn found(&self, stream: &Arc<CudaStream>) -> Vec<u64> {
        stream.clone_dtoh(&self.first_rows).unwrap()
    }
}

fn address<T>(of: &CudaSlice<T>, stream: &Arc<CudaStream>) -> u64 {
    cudarc::driver::DevicePtr::device_ptr(of, stream).0
}

/// Captures work on a stream as a graph.
fn capture(stream: &Arc<CudaStream>, body: impl FnOnce()) -> CudaGraph {
    stream.begin_capture(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).unwrap();
    body();
    stream.end_capture(CUgraphInstantiate_flags(0)).unwrap().unwrap()
}

#[test]
fn kernels_run_on_copied_data() {
    on_stand_in("driver::kernels_run_on_copied_data", &[], || {
        let stream = context().new_stream().unwrap();
        let mut gather = Gather::new(&stream);
        gather.launch(&stream);
        assert_eq!(gather.found(&stream), Gather::FIRST_ROWS);
        let copy = stream.clone_dtod(&gather.first_rows).unwrap();
        stream.memset_zeros(&mut gather.first_rows).unwrap();
        assert_eq!(gather.found(&stream), [0; 3]);
        assert_eq!(stream.clone_dtoh(&copy).unwrap(), Gather::FIRST_ROWS);
        let mut row = [0];
        // SAFETY: the length equals that of the memory.
        unsafe { result::memcpy_dtoh_sync(&mut row, address(&copy, &stream) + 8) }.unwrap();
        assert_eq!(row, [12]);
    });
}

#[test]
fn supports_concurrent_threads() {
    on_stand_in("driver::supports_concurrent_threads", &[], || {
        let context = context();
        let work = || {
            let stream = context.new_stream().unwrap();
            let mut gather = Gather::new(&stream);
            let graph = capture(&stream, || gather.launch(&stream));
            for _ in 0..20 {
                stream.memset_zeros(&mut gather.first_rows).unwrap();
                graph.launch().unwrap();
                assert_eq!(gather.found(&stream), Gather::FIRST_ROWS);
            }
        };
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(work);
            }
        });
    });
}

#[test]
fn failures_on_the_stand_in_fail_the_test() {
    let fail = |test: &'static str| {
        let run = move || on_stand_in(test, &[], || panic!("in its own words"));
        if is_on_stand_in() {
            run();
        }
        let panic = catch_unwind(run).expect_err("it fails");
        panic.downcast_ref::<String>().expect("a text").clone()
    };
    assert!(fail("driver::failures_on_the_stand_in_fail_the_test").contains("in its own words"));
    assert!(fail("no_test_at_all").contains("is not the caller's name"));
}
