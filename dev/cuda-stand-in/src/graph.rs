//! Captures of what a stream is asked to do, which become graphs.

use std::sync::Arc;
use std::thread::{self, ThreadId};

use crate::error::{Error, Result};
use crate::handle::{self, Handle};
use crate::operation::Operation;

/// The nodes run in the order of their capture: a capture is of one stream.
pub type Graph = Arc<[Operation]>;

/// Whose calls a capture forbids that might disturb it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    Everyone,
    ThisThread,
    Nobody,
}

impl Mode {
    /// By the numbers of `CUstreamCaptureMode`.
    pub fn of(number: u32) -> Result<Self> {
        match number {
            0 => Ok(Self::Everyone),
            1 => Ok(Self::ThisThread),
            2 => Ok(Self::Nobody),
            _ => Err(Error::InvalidValue),
        }
    }
}

pub struct Capture {
    pub id: Handle,
    mode: Mode,
    /// That began it.
    thread: ThreadId,
    nodes: Vec<Operation>,
    pub is_valid: bool,
}

impl Capture {
    pub fn begin(mode: Mode) -> Self {
        let thread = thread::current().id();
        Self { id: handle::new(), mode, thread, nodes: Vec::new(), is_valid: true }
    }

    pub fn add(&mut self, operation: Operation) -> Result<()> {
        self.check()?;
        self.nodes.push(operation);
        Ok(())
    }

    pub fn check(&self) -> Result<()> {
        if self.is_valid { Ok(()) } else { Err(Error::CaptureInvalidated) }
    }

    /// For what must not be asked of a stream that captures: the error, and the end of the capture.
    pub fn refuse(&mut self, error: Error) -> Error {
        let is_first = std::mem::replace(&mut self.is_valid, false);
        if is_first { error } else { Error::CaptureInvalidated }
    }

    /// Whether this thread must not allocate, free or wait at large.
    pub fn forbids(&self) -> bool {
        match self.mode {
            Mode::Everyone => true,
            Mode::ThisThread => self.is_of_this_thread(),
            Mode::Nobody => false,
        }
    }

    fn is_of_this_thread(&self) -> bool {
        self.thread == thread::current().id()
    }

    /// Only the thread that began it may end it, unless it forbids nothing.
    pub fn may_end(&self) -> bool {
        self.mode == Mode::Nobody || self.is_of_this_thread()
    }

    pub fn end(self) -> Result<Graph> {
        self.check()?;
        Ok(self.nodes.into())
    }
}
