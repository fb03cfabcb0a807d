//! Captures of streams, and the graphs made from them.

use std::sync::Arc;
use std::thread::{self, ThreadId};

use crate::error::{Error, Result};
use crate::handle::{self, Handle};
use crate::operation::Operation;

/// Graph. Its nodes run in the order of their capture, since a capture has only one stream.
pub type Graph = Arc<[Operation]>;

/// Mode of a capture: the threads whose potentially unsafe calls it forbids.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    Everyone,
    ThisThread,
    Nobody,
}

impl Mode {
    /// Returns the mode by its number in `CUstreamCaptureMode`.
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
    /// Thread that began the capture.
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

    /// Invalidates the capture because of a forbidden call and returns the error.
    pub fn refuse(&mut self, error: Error) -> Error {
        let is_first = std::mem::replace(&mut self.is_valid, false);
        if is_first { error } else { Error::CaptureInvalidated }
    }

    /// Returns `true` if this thread must not allocate, free or synchronize.
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

    /// Checks that this thread may end the capture: only the thread that began it, unless the mode is relaxed.
    pub fn may_end(&self) -> bool {
        self.mode == Mode::Nobody || self.is_of_this_thread()
    }

    pub fn end(self) -> Result<Graph> {
        self.check()?;
        Ok(self.nodes.into())
    }
}
