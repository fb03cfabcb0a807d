//! Contexts: the memory, modules, streams, events and graphs of a user of a device.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::graph::{Capture, Graph, Mode};
use crate::handle::{self, Handle};
use crate::host::{HostRange, PinnedMemory};
use crate::log;
use crate::memory::DeviceMemory;
use crate::module::Modules;
use crate::operation::{HostSource, KernelLaunch, Operation, Resources};
use crate::stream::{Event, Point, Streams};

pub struct Context {
    pub resources: Resources,
    pub streams: Streams,
    pub events: BTreeMap<Handle, Event>,
    pub graphs: BTreeMap<Handle, Graph>,
    /// Instantiated graphs, which are independent of the graphs they were made from.
    pub instances: BTreeMap<Handle, Graph>,
    /// First error of an operation, which every later call returns.
    failure: Option<Error>,
}

impl Context {
    pub fn of(device: usize) -> Self {
        Self {
            resources: Resources {
                memory: DeviceMemory::of(device),
                pinned: PinnedMemory::default(),
                modules: Modules::default(),
            },
            streams: Streams::new(),
            events: BTreeMap::new(),
            graphs: BTreeMap::new(),
            instances: BTreeMap::new(),
            failure: None,
        }
    }

    pub fn check(&self) -> Result<()> {
        self.failure.map_or(Ok(()), Err)
    }

    /// Makes every later call fail.
    pub fn fail(&mut self, error: Error) {
        self.failure.get_or_insert(error);
    }

    /// Queues an operation, or adds it to the stream's capture.
    pub fn issue(&mut self, stream: Handle, operation: Operation) -> Result<()> {
        let stream = self.streams.get(stream)?;
        match &mut stream.capture {
            Some(capture) => capture.add(operation),
            None => {
                stream.push(operation);
                Ok(())
            }
        }
    }

    pub fn launch(&mut self, stream: Handle, launch: KernelLaunch) -> Result<()> {
        self.resources.check(&launch)?;
        self.issue(stream, Operation::Kernel(launch))
    }

    /// Runs everything before a point of a stream, and everything that it waits for.
    fn run(&mut self, point: Point) -> Result<()> {
        while let Some(operation) = self.streams.next_before(point) {
            self.run_one(&operation)?;
        }
        Ok(())
    }

    fn run_one(&mut self, operation: &Operation) -> Result<()> {
        if let Operation::Wait(point) = operation {
            return self.run(*point);
        }
        let result = self.resources.run(operation);
        if let Err(error) = result {
            self.fail(error);
        }
        result
    }

    /// Runs all queued operations of all streams, none of which may be capturing.
    pub fn synchronize(&mut self) -> Result<()> {
        let captures = self.streams.captures();
        let errors = captures.map(|capture| capture.refuse(Error::CaptureUnsupported));
        errors.last().map_or(Ok(()), Err)?;
        log::line("synchronize");
        self.run_all()
    }

    fn run_all(&mut self) -> Result<()> {
        self.streams.ends().into_iter().try_for_each(|end| self.run(end))
    }

    pub fn synchronize_stream(&mut self, stream: Handle) -> Result<()> {
        self.refuse_in_capture(stream)?;
        log::line("synchronize_stream");
        let end = self.streams.end(stream)?;
        self.run(end)
    }

    /// Rejects a call that is not permitted while the stream is capturing.
    pub fn refuse_in_capture(&mut self, stream: Handle) -> Result<()> {
        match &mut self.streams.get(stream)?.capture {
            Some(capture) => Err(capture.refuse(Error::CaptureUnsupported)),
            None => Ok(()),
        }
    }

    /// Rejects a call without a stream that may synchronize, which every capture forbids.
    pub fn refuse_in_any_capture(&mut self) -> Result<()> {
        let forbidding = self.streams.captures().filter(|capture| capture.forbids());
        let errors = forbidding.map(|capture| capture.refuse(Error::CaptureUnsupported));
        errors.last().map_or(Ok(()), Err)
    }

    /// Queues a copy, which reads the memory when it runs.
    pub fn copy_to_device(&mut self, to: u64, from: HostRange, stream: Handle) -> Result<()> {
        let from = if self.resources.pinned.contains(from)? {
            HostSource::Pinned(from)
        } else {
            // In a graph, the memory could have changed by the time of the copy.
            self.refuse_in_capture(stream)?;
            HostSource::Pageable(from, from.read().into())
        };
        self.issue(stream, Operation::CopyToDevice { to, from })
    }

    /// Queues a copy to pinned memory, or copies to other memory and waits.
    pub fn copy_to_host(&mut self, to: HostRange, from: u64, stream: Handle) -> Result<()> {
        if self.resources.pinned.contains(to)? {
            return self.issue(stream, Operation::CopyToHost { to, from });
        }
        self.synchronize_stream(stream)?;
        log::line(format_args!("copy_to_host {}", to.len));
        let bytes = self.resources.memory.bytes.read(from, to.len).map_err(Error::from);
        if let Err(error) = bytes {
            self.fail(error);
        }
        to.write(&bytes?);
        Ok(())
    }

    pub fn allocate(&mut self, len: usize) -> Result<u64> {
        let address = self.resources.memory.allocate(len)?;
        log::line(format_args!("allocate {len}"));
        Ok(address)
    }

    /// Frees memory after everything that is queued has run.
    pub fn free(&mut self, address: u64) -> Result<()> {
        self.refuse_in_any_capture()?;
        self.resources.memory.doom(address)?;
        self.run_all()?;
        self.resources.run(&Operation::Free { address })
    }

    pub fn free_async(&mut self, address: u64, stream: Handle) -> Result<()> {
        self.refuse_in_capture(stream)?;
        self.resources.memory.doom(address)?;
        self.issue(stream, Operation::Free { address })
    }

    pub fn event(&self, event: Handle) -> Result<Event> {
        self.events.get(&event).copied().ok_or(Error::InvalidHandle)
    }

    /// Records an event: it completes when everything queued before has run.
    pub fn record(&mut self, event: Handle, stream: Handle) -> Result<()> {
        self.event(event)?;
        let recorded = match &self.streams.get(stream)?.capture {
            Some(capture) => {
                capture.check()?;
                Event::Captured(capture.id)
            }
            None => Event::Recorded(self.streams.end(stream)?),
        };
        self.events.insert(event, recorded);
        Ok(())
    }

    /// Makes a stream wait for the latest record of an event.
    pub fn wait(&mut self, stream: Handle, event: Handle) -> Result<()> {
        let event = self.event(event)?;
        let stream = self.streams.get(stream)?;
        match (&mut stream.capture, event) {
            (_, Event::Unrecorded) => Ok(()),
            (Some(capture), Event::Captured(id)) if capture.id == id => capture.check(),
            (Some(capture), _) => Err(capture.refuse(Error::CaptureIsolation)),
            (None, Event::Recorded(point)) => {
                stream.push(Operation::Wait(point));
                Ok(())
            }
            (None, Event::Captured(_)) => {
                let reason = "a stream waits for an event of a capture, which would join it; that is \
                              not modeled";
                Err(Error::CapturedEvent.because(reason))
            }
        }
    }

    pub fn synchronize_event(&mut self, event: Handle) -> Result<()> {
        match self.event(event)? {
            Event::Unrecorded => Ok(()),
            Event::Captured(_) => Err(Error::CapturedEvent),
            Event::Recorded(point) => {
                self.refuse_in_any_capture()?;
                log::line("synchronize_event");
                self.run(point)
            }
        }
    }

    /// Returns `true` if the event is complete. Otherwise the stream runs one operation, so that polling terminates.
    pub fn query_event(&mut self, event: Handle) -> Result<()> {
        match self.event(event)? {
            Event::Unrecorded => Ok(()),
            Event::Captured(_) => Err(Error::CapturedEvent),
            Event::Recorded(point) => {
                self.refuse_in_any_capture()?;
                let Some(operation) = self.streams.next_before(point) else { return Ok(()) };
                self.run_one(&operation)?;
                Err(Error::NotReady)
            }
        }
    }

    pub fn begin_capture(&mut self, stream: Handle, mode: Mode) -> Result<()> {
        let is_default = stream == handle::NULL;
        let stream = self.streams.get(stream)?;
        if is_default {
            return Err(Error::CaptureUnsupported);
        }
        if stream.capture.is_some() {
            return Err(Error::IllegalState);
        }
        log::line("begin_capture");
        stream.capture = Some(Capture::begin(mode));
        Ok(())
    }

    pub fn end_capture(&mut self, stream: Handle) -> Result<Handle> {
        let stream = self.streams.get(stream)?;
        let capture = stream.capture.take_if(|capture| capture.may_end());
        let Some(capture) = capture else {
            let is_capturing = stream.capture.is_some();
            return Err(if is_capturing { Error::CaptureWrongThread } else { Error::IllegalState });
        };
        let graph = capture.end()?;
        log::line(format_args!("end_capture {}", graph.len()));
        let handle = handle::new();
        self.graphs.insert(handle, graph);
        Ok(handle)
    }

    pub fn instantiate(&mut self, graph: Handle) -> Result<Handle> {
        let graph = self.graphs.get(&graph).ok_or(Error::InvalidHandle)?.clone();
        log::line(format_args!("instantiate {}", graph.len()));
        let handle = handle::new();
        self.instances.insert(handle, graph);
        Ok(handle)
    }

    pub fn launch_graph(&mut self, instance: Handle, stream: Handle) -> Result<()> {
        let nodes = self.instances.get(&instance).ok_or(Error::InvalidHandle)?.clone();
        for node in nodes.iter() {
            if let Operation::Kernel(launch) = node
                && self.resources.modules.function(launch.function).is_err()
            {
                return Err(
                    Error::InvalidHandle.because("the module of a graph's kernel is unloaded")
                );
            }
        }
        if let Some(capture) = &mut self.streams.get(stream)?.capture {
            let error = Error::NotSupported.because("nested graphs are not modeled");
            return Err(capture.refuse(error));
        }
        self.issue(stream, Operation::Graph(nodes))
    }
}
