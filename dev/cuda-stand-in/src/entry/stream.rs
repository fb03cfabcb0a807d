//! Streams, events, captures and graphs.

use super::{Out, code, give};
use crate::driver::in_context;
use crate::error::Error;
use crate::graph::Mode;
use crate::handle::{self, Handle};
use crate::stream::Event;

const NON_BLOCKING: u32 = 1;

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamCreate(stream: Out<Handle>, flags: u32) -> u32 {
    give(stream, || {
        in_context(|context| {
            if flags != NON_BLOCKING {
                let reason = "streams that synchronize with the default stream are not modeled";
                return Err(Error::NotSupported.because(reason));
            }
            Ok(context.streams.create())
        })
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamDestroy_v2(stream: Handle) -> u32 {
    code(|| in_context(|context| context.streams.destroy(stream)))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamSynchronize(stream: Handle) -> u32 {
    code(|| in_context(|context| context.synchronize_stream(stream)))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamWaitEvent(stream: Handle, event: Handle, _flags: u32) -> u32 {
    code(|| in_context(|context| context.wait(stream, event)))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamBeginCapture_v2(stream: Handle, mode: u32) -> u32 {
    code(|| in_context(|context| context.begin_capture(stream, Mode::of(mode)?)))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamEndCapture(stream: Handle, graph: Out<Handle>) -> u32 {
    give(graph, || in_context(|context| context.end_capture(stream)))
}

/// Returns the capture status by its number in `CUstreamCaptureStatus`.
#[unsafe(no_mangle)]
pub extern "C" fn cuStreamIsCapturing(stream: Handle, status: Out<u32>) -> u32 {
    give(status, || {
        in_context(|context| {
            let capture = context.streams.get(stream)?.capture.as_ref();
            Ok(capture.map_or(0, |capture| if capture.is_valid { 1 } else { 2 }))
        })
    })
}

/// Ignores the flags, which only affect timing.
#[unsafe(no_mangle)]
pub extern "C" fn cuEventCreate(event: Out<Handle>, _flags: u32) -> u32 {
    give(event, || {
        in_context(|context| {
            let handle = handle::new();
            context.events.insert(handle, Event::Unrecorded);
            Ok(handle)
        })
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventDestroy_v2(event: Handle) -> u32 {
    code(|| {
        in_context(|context| context.events.remove(&event).map(|_| ()).ok_or(Error::InvalidHandle))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventRecord(event: Handle, stream: Handle) -> u32 {
    code(|| in_context(|context| context.record(event, stream)))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventSynchronize(event: Handle) -> u32 {
    code(|| in_context(|context| context.synchronize_event(event)))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventQuery(event: Handle) -> u32 {
    code(|| in_context(|context| context.query_event(event)))
}

/// Ignores the flags, which are about memory nodes and priorities; graphs here don't have either.
#[unsafe(no_mangle)]
pub extern "C" fn cuGraphInstantiateWithFlags(
    instance: Out<Handle>,
    graph: Handle,
    _flags: u64,
) -> u32 {
    give(instance, || in_context(|context| context.instantiate(graph)))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuGraphLaunch(instance: Handle, stream: Handle) -> u32 {
    code(|| in_context(|context| context.launch_graph(instance, stream)))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuGraphUpload(instance: Handle, stream: Handle) -> u32 {
    code(|| {
        in_context(|context| {
            context.streams.get(stream)?;
            context.instances.get(&instance).map(|_| ()).ok_or(Error::InvalidHandle)
        })
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuGraphExecDestroy(instance: Handle) -> u32 {
    code(|| {
        in_context(|context| {
            context.instances.remove(&instance).map(|_| ()).ok_or(Error::InvalidHandle)
        })
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuGraphDestroy(graph: Handle) -> u32 {
    code(|| {
        in_context(|context| context.graphs.remove(&graph).map(|_| ()).ok_or(Error::InvalidHandle))
    })
}
