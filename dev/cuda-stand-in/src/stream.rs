//! Streams, and the events that order them.

use std::collections::{BTreeMap, VecDeque};

use crate::error::{Error, Result};
use crate::graph::Capture;
use crate::handle::{self, Handle};
use crate::operation::Operation;

/// Position in a stream: the number of operations from its start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub stream: Handle,
    pub position: u64,
}

/// Last record of an event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    /// Never recorded; waiting for it is a no-op.
    Unrecorded,
    Recorded(Point),
    /// Recorded in the capture with this handle.
    Captured(Handle),
}

#[derive(Default)]
pub struct Stream {
    queue: VecDeque<Operation>,
    /// Number of operations queued, and number of those that have run.
    issued: u64,
    done: u64,
    pub capture: Option<Capture>,
    /// Destroyed by the host; queued operations still run.
    is_destroyed: bool,
}

impl Stream {
    pub fn push(&mut self, operation: Operation) {
        self.queue.push_back(operation);
        self.issued += 1;
    }
}

/// Streams of one context. None of them synchronizes with the default stream, as they are created with
/// `CU_STREAM_NON_BLOCKING`.
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

    /// Returns the point after all queued operations of a stream.
    pub fn end(&mut self, stream: Handle) -> Result<Point> {
        Ok(Point { stream, position: self.get(stream)?.issued })
    }

    /// Returns the points after all queued operations of all streams. Streams created last come first, which reveals missing
    /// synchronization with earlier ones.
    pub fn ends(&self) -> Vec<Point> {
        let end = |(&stream, state): (&Handle, &Stream)| Point { stream, position: state.issued };
        self.streams.iter().rev().map(end).collect()
    }

    pub fn is_past(&self, point: Point) -> bool {
        self.streams.get(&point.stream).is_none_or(|stream| stream.done >= point.position)
    }

    /// Takes the next operation before the point, which then counts as run.
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
