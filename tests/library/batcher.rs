//! Requests of a batcher get results bit-identical to those of `classify`, each with its own outcome.

#![cfg(feature = "text")]

mod ends;
mod limits;
mod results;

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use distilbert::batcher::{BatcherBuilder, Pending, Shutdown, SubmitOptions};
use distilbert::{
    Batcher, BatcherError, Classifier, ClassifyOptions, Error, InputError, Margin, Precision,
    Prediction, TokenBatch, Truncation,
};
use test_support::{Dice, bundled_model, generator::GeneratedModel, token_goldens};

const TEXT: &str = "I can't believe we won!";
const IDS: &[u32] = &[101, 2307, 102];

/// A time that no test waits for.
const LONG: Duration = Duration::from_secs(60);

fn classifier() -> Arc<Classifier> {
    let builder = Classifier::builder(bundled_model()).precision(Precision::Int8);
    Arc::new(builder.threads(1).build().unwrap())
}

fn bits(prediction: &Prediction) -> Vec<u32> {
    let values = prediction.logits().iter().chain(prediction.scores());
    values.map(|value| value.to_bits()).collect()
}

/// A gate before each batch, and the number of rows of the batches that came to it.
#[derive(Default)]
struct Gate {
    state: Mutex<(bool, Vec<usize>)>,
    changed: Condvar,
}

impl Gate {
    /// Sets up a batcher whose batches wait at a closed gate.
    fn install(builder: BatcherBuilder) -> (Arc<Self>, BatcherBuilder) {
        let gate = Arc::new(Self::default());
        let own = gate.clone();
        (gate, builder.before_batch(move |batch| own.pass(batch)))
    }

    fn pass(&self, batch: &TokenBatch) {
        let mut state = self.state.lock().unwrap();
        state.1.push(batch.rows());
        self.changed.notify_all();
        while !state.0 {
            state = self.changed.wait(state).unwrap();
        }
    }

    /// Waits until a number of batches have come.
    fn await_batches(&self, count: usize) {
        let state = self.state.lock().unwrap();
        drop(self.changed.wait_while(state, |state| state.1.len() < count).unwrap());
    }

    fn open(&self) {
        self.state.lock().unwrap().0 = true;
        self.changed.notify_all();
    }

    fn batches(&self) -> Vec<usize> {
        self.state.lock().unwrap().1.clone()
    }
}

/// Opens the gate when a test ends, even by a panic, so that the batcher's drop does not wait for it.
struct Opens(Arc<Gate>);

impl Drop for Opens {
    fn drop(&mut self) {
        self.0.open();
    }
}

/// Returns a batcher with one worker, which holds a first request at the gate.
fn held(build: impl FnOnce(BatcherBuilder) -> BatcherBuilder) -> (Batcher, Opens, Pending) {
    let (gate, builder) = Gate::install(Batcher::builder(classifier()).workers(1));
    let batcher = build(builder).build().unwrap();
    let first = batcher.submit_tokens(IDS).unwrap();
    gate.await_batches(1);
    (batcher, Opens(gate), first)
}

fn batcher_error<T: std::fmt::Debug>(result: Result<T, Error>) -> BatcherError {
    match result {
        Err(Error::Batcher(error)) => {
            let message = error.to_string();
            assert!(!message.is_empty() && !message.contains('\n'), "{message:?}");
            error
        }
        other => panic!("expected an error of the batcher, found {other:?}"),
    }
}

/// Wakes a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}
