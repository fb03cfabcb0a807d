//! Streams, and the events that order them.

use std::collections::{BTreeMap, VecDeque};

use crate::error::{Error, Result};
use crate::graph::Capture;
use crate::handle::{self, Handle};
use crate::operation::Operation;

/// A place in a stream: so many operations from its start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub stream: Handle,
    pub position: u64,
}

/// What an event was last recorded as.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    /// Never. Nobody waits for it.
    Unrecorded,
    Recorded(Point),
    /// In the capture of this handle.
    Captured(Handle),
}

#[derive(Default)]
pub struct Stream {
    queue: VecDeque<Operation>,
    /// Operations that were queued, and of them those that have run.
    issued: u64,
    done: u64,
    pub capture: Option<Capture>,
    /// By the host. What is queued is still to be run.
    is_destroyed: bool,
}

impl Stream {
    pub fn push(&mut self, operation: Operation) {
        self.queue.push_back(operation);
        self.issued += 1;
    }
}

/// Streams of one context. The default one waits for no other, and none for it, as it is among those
/// that are made as `CU_STREAM_NON_BLOCKING`.
pub struct Streams {
    streams: BTreeMap<Handle, Stream>,
}

impl Streams {
    pub fn new() -> Self {
        Self { streams: BTreeMap::from([(handle::NULL, Stream::default())]) }
    }

    pub fn create(&mut self) -> Handle {
        let stream = handle::new();
        self.streams.insert(stream, Stream::default());
        stream
    }

    pub fn destroy(&mut self, stream: Handle) -> Result<()> {
        let found = self.get(stream)?;
        if stream == handle::NULL || found.capture.is_some() {
            return Err(Error::InvalidValue);
        }
        found.is_destroyed = true;
        self.forget_if_over(stream);
        Ok(())
    }

    pub fn get(&mut self, stream: Handle) -> Result<&mut Stream> {
        let found = self.streams.get_mut(&stream).filter(|stream| !stream.is_destroyed);
        found.ok_or(Error::InvalidHandle)
    }

    /// Behind all that was queued.
    pub fn end(&mut self, stream: Handle) -> Result<Point> {
        Ok(Point { stream, position: self.get(stream)?.issued })
    }

    /// Behind all that was queued anywhere. The streams made last come first, so that one that uses
    /// what an earlier one has yet to write does not find it written.
    pub fn ends(&self) -> Vec<Point> {
        let end = |(&stream, state): (&Handle, &Stream)| Point { stream, position: state.issued };
        self.streams.iter().rev().map(end).collect()
    }

    pub fn is_past(&self, point: Point) -> bool {
        self.streams.get(&point.stream).is_none_or(|stream| stream.done >= point.position)
    }

    /// Takes the next operation before the point, which counts as done.
    pub fn next_before(&mut self, point: Point) -> Option<Operation> {
        if self.is_past(point) {
            return None;
        }
        let stream = self.streams.get_mut(&point.stream)?;
        stream.done += 1;
        let operation = stream.queue.pop_front();
        self.forget_if_over(point.stream);
        operation
    }

    fn forget_if_over(&mut self, stream: Handle) {
        if self
            .streams
            .get(&stream)
            .is_some_and(|stream| stream.is_destroyed && stream.queue.is_empty())
        {
            self.streams.remove(&stream);
        }
    }

    pub fn captures(&mut self) -> impl Iterator<Item = &mut Capture> {
        self.streams.values_mut().filter_map(|stream| stream.capture.as_mut())
    }
}
