//! Requests that are answered while Python does something else: the way from the batcher's workers to an event loop.
//!
//! Workers never wait for the GIL: a waker sends the request to a thread of its own, which calls the request's callback.

use std::future::Future;
use std::pin::Pin;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use distilbert::batcher::{Pending, SubmitOptions};
use distilbert::{Batcher, Classifier, DeviceError, Result};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::errors::exception;
use crate::prediction::Prediction;

/// Number of requests and of tokens that may wait. Requests of one process are bounded by its memory; callers who want a
/// bound use a semaphore.
const MAX_QUEUED: usize = 1 << 40;

/// `true` once the interpreter shuts down: callbacks are no longer called.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// Calls no more callbacks. For `atexit`.
#[pyfunction]
pub fn close() {
    CLOSED.store(true, Ordering::Release);
}

/// A batcher and the thread that calls callbacks.
pub struct Bridge {
    batcher: Batcher,
    ready: Sender<Arc<Answer>>,
}

/// The bridge of this process, made when it is first needed. A forked child makes its own and leaves that of its parent
/// alone, whose threads it doesn't have.
///
/// The lock is only held while this thread is attached to the interpreter and doesn't detach, so that with a GIL no
/// other thread can hold it while the process forks.
#[derive(Default)]
pub struct BridgeCell(Mutex<Option<(u32, Arc<Bridge>)>>);

impl BridgeCell {
    pub fn get(&self, classifier: &Arc<Classifier>) -> Result<Arc<Bridge>> {
        let mut cell = lock(&self.0);
        let process = process::id();
        if let Some((owner, bridge)) = &*cell
            && *owner == process
        {
            return Ok(bridge.clone());
        }
        let bridge = Arc::new(Bridge::new(classifier)?);
        if let Some(inherited) = cell.replace((process, bridge.clone())) {
            std::mem::forget(inherited);
        }
        Ok(bridge)
    }
}

impl Drop for BridgeCell {
    fn drop(&mut self) {
        let cell = self.0.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((owner, bridge)) = cell
            && owner != process::id()
        {
            std::mem::forget(bridge);
        }
    }
}

impl Bridge {
    fn new(classifier: &Arc<Classifier>) -> Result<Self> {
        let batcher = Batcher::builder(classifier.clone())
            .max_queued_requests(MAX_QUEUED)
            .max_queued_tokens(MAX_QUEUED)
            .build()?;
        let (ready, answers) = mpsc::channel::<Arc<Answer>>();
        let run = move || {
            while let Ok(first) = answers.recv() {
                let batch: Vec<_> = std::iter::once(first).chain(answers.try_iter()).collect();
                if CLOSED.load(Ordering::Acquire) {
                    // Objects of an interpreter that is shutting down are not released.
                    std::mem::forget(batch);
                    return;
                }
                Python::try_attach(|py| batch.into_iter().for_each(|answer| answer.announce(py)));
            }
        };
        let refused =
            |error: std::io::Error| DeviceError::Threads { threads: 1, reason: error.to_string() };
        thread::Builder::new().name("distilbert-bridge".to_owned()).spawn(run).map_err(refused)?;
        Ok(Self { batcher, ready })
    }
}

/// The answer to a request, pending or there.
struct Answer {
    state: Mutex<State>,
    callback: Mutex<Option<Py<PyAny>>>,
}

enum State {
    Waiting(Pending),
    Ready(Result<distilbert::Prediction>),
    Taken,
}

impl Answer {
    /// Calls the callback, once.
    fn announce(&self, py: Python<'_>) {
        let callback = lock(&self.callback).take();
        if let Some(callback) = callback {
            // The event loop may have been closed in the meantime; nobody waits then.
            let _ = callback.call0(py);
        }
    }

    /// Looks for the result. `waker` is called when there is one later.
    fn poll(&self, waker: &Waker) -> bool {
        let mut state = lock(&self.state);
        if let State::Waiting(pending) = &mut *state {
            match Pin::new(pending).poll(&mut Context::from_waker(waker)) {
                Poll::Ready(result) => *state = State::Ready(result),
                Poll::Pending => return false,
            }
        }
        true
    }
}

/// Sends a request to the bridge's thread when its result is there.
struct Signal {
    answer: Weak<Answer>,
    ready: Sender<Arc<Answer>>,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        if let Some(answer) = self.answer.upgrade() {
            // The thread is gone if the interpreter shuts down.
            let _ = self.ready.send(answer);
        }
    }
}

/// A queued text.
#[pyclass(frozen, module = "distilbert_engine._engine")]
pub struct Request {
    answer: Arc<Answer>,
    labels: Arc<[String]>,
    /// Keeps the batcher as long as there are requests.
    bridge: Arc<Bridge>,
}

impl Request {
    pub fn submit(
        py: Python<'_>,
        bridge: &Arc<Bridge>,
        labels: &Arc<[String]>,
        (text, options): (&str, SubmitOptions),
        callback: Py<PyAny>,
    ) -> PyResult<Self> {
        let pending = py.detach(|| bridge.batcher.submit_with(text, &options));
        let state = Mutex::new(State::Waiting(pending.map_err(exception)?));
        let answer = Arc::new(Answer { state, callback: Mutex::new(Some(callback)) });
        let signal = Signal { answer: Arc::downgrade(&answer), ready: bridge.ready.clone() };
        if answer.poll(&Arc::new(signal).into()) {
            answer.announce(py);
        }
        Ok(Self { answer, labels: labels.clone(), bridge: bridge.clone() })
    }
}

#[pymethods]
impl Request {
    /// Returns the prediction, after the callback has been called.
    fn result(&self) -> PyResult<Prediction> {
        self.answer.poll(Waker::noop());
        match std::mem::replace(&mut *lock(&self.answer.state), State::Taken) {
            State::Ready(result) => Ok(Prediction::new(&self.labels, &result.map_err(exception)?)),
            State::Waiting(_) | State::Taken => {
                Err(PyRuntimeError::new_err("the request has no result"))
            }
        }
    }

    /// Drops the request: it is not computed unless that has begun.
    fn cancel(&self) {
        *lock(&self.answer.state) = State::Taken;
        lock(&self.answer.callback).take();
    }

    /// Returns the number of requests that wait.
    fn queued(&self) -> PyResult<usize> {
        let statistics = self.bridge.batcher.statistics();
        Ok(statistics.map_err(exception)?.queued_requests)
    }
}

/// Locks a value that no panic leaves invalid.
fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
