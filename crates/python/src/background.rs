//! Long calls that Ctrl-C interrupts.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use distilbert::{DeviceError, Error};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::errors::exception;

/// Time after which a waiting call looks for a signal.
const PATIENCE: Duration = Duration::from_millis(50);

/// Runs a call on another thread and waits for its result. If a signal's handler raises an exception, as that of Ctrl-C
/// does, this thread stops waiting; the call ends in the background.
pub fn interruptible<T: Send + 'static>(
    py: Python<'_>,
    call: impl FnOnce() -> T + Send + 'static,
) -> PyResult<T> {
    let (sender, receiver) = mpsc::channel();
    let run = move || {
        // Nobody waits after an interruption.
        let _ = sender.send(call());
    };
    if let Err(error) = thread::Builder::new().name("distilbert".to_owned()).spawn(run) {
        let refused = DeviceError::Threads { threads: 1, reason: error.to_string() };
        return Err(exception(Error::from(refused)));
    }
    // A receiver can move between threads, but `detach` also wants it to be shared.
    let receiver = Mutex::new(receiver);
    let wait = || receiver.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(PATIENCE);
    loop {
        match py.detach(wait) {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Timeout) => py.check_signals()?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(PyRuntimeError::new_err("the engine panicked; see standard error"));
            }
        }
    }
}
