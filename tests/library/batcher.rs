//! Requests of a batcher get the bits of `classify`, each with its own fate.

#![cfg(feature = "text")]

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use distilbert::batcher::{BatcherBuilder, Pending, Shutdown, SubmitOptions};
use distilbert::{
    Batcher, BatcherError, Classifier, ClassifyOptions, Error, InputError, Precision, Prediction,
    TokenBatch, Truncation,
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

#[test]
fn results_have_the_bits_of_classify_under_many_threads() {
    let classifier = classifier();
    let rows: Vec<Vec<u32>> =
        token_goldens().into_iter().map(|(_, ids)| ids).filter(|ids| ids.len() <= 512).collect();
    let rows: Vec<&Vec<u32>> = rows.iter().step_by(40).collect();
    let words = ["won", "terrible", "We miss you", "what", "7", "ü", "\u{1F600}"];
    let mut dice = Dice(5);
    let mut text =
        |_| (0..dice.below(60)).map(|_| words[dice.below(7)]).collect::<Vec<_>>().join(" ");
    let texts: Vec<String> = (0..60).map(&mut text).collect();
    let alone: Vec<_> = texts.iter().map(|text| classifier.classify(text).unwrap()).collect();
    let alone_rows: Vec<_> = rows
        .iter()
        .map(|row| {
            classifier.classify_tokens(&TokenBatch::from_rows(&[row]).unwrap()).unwrap().remove(0)
        })
        .collect();
    let batcher = Batcher::builder(classifier).workers(2).build().unwrap();
    thread::scope(|scope| {
        for seed in 0..8 {
            let (batcher, texts, rows, alone, alone_rows) =
                (&batcher, &texts, &rows, &alone, &alone_rows);
            scope.spawn(move || {
                let mut dice = Dice(seed);
                for _ in 0..4 {
                    let chosen: Vec<usize> = (0..6).map(|_| dice.below(texts.len())).collect();
                    let row = dice.below(rows.len());
                    let pending: Vec<Pending> =
                        chosen.iter().map(|&text| batcher.submit(&texts[text]).unwrap()).collect();
                    let ids = batcher.submit_tokens(rows[row]).unwrap();
                    for (&text, pending) in chosen.iter().zip(pending) {
                        assert_eq!(block_on(pending).unwrap(), alone[text]);
                    }
                    let found = ids.wait().unwrap();
                    assert_eq!(bits(&found), bits(&alone_rows[row]));
                    assert_eq!(found, alone_rows[row]);
                }
            });
        }
    });
    let statistics = batcher.statistics().unwrap();
    assert_eq!((statistics.accepted, statistics.completed), (224, 224));
    assert_eq!((statistics.queued_requests, statistics.queued_tokens), (0, 0));
    assert_eq!(statistics.queue_seconds.count(), 224);
    assert_eq!(statistics.batch_requests.sum(), 224.0);
    assert_eq!(statistics.batch_tokens.count(), statistics.compute_seconds.count());
}

#[test]
fn windows_and_cuts_are_those_of_classify() {
    let classifier = classifier();
    let book = "We won! I can't believe it, what a terrible shock. ".repeat(200);
    let batcher = Batcher::builder(classifier.clone()).workers(2).build().unwrap();
    let truncations = [
        Truncation::Windows { stride: 64, max_windows: Some(5) },
        Truncation::Left,
        Truncation::Right,
    ];
    for truncation in truncations {
        let options = ClassifyOptions::default().truncation(truncation).count_dropped_tokens(true);
        let expected = classifier.classify_with(&book, &options).unwrap();
        let options = SubmitOptions::default().truncation(truncation).count_dropped_tokens(true);
        let found = batcher.submit_with(&book, &options).unwrap();
        assert!(found.tokens() >= expected.tokens());
        let found = found.wait().unwrap();
        assert_eq!(bits(&found), bits(&expected));
        assert_eq!(found, expected);
        assert!(found.truncated());
    }
}

/// The gate shows the batches: five of one window each, and the short text in the second.
#[test]
fn a_long_text_blocks_a_short_one_for_one_batch() {
    let (batcher, gate, first) = held(|builder| builder);
    let options = SubmitOptions::default()
        .truncation(Truncation::Windows { stride: 64, max_windows: Some(5) });
    let mut long = batcher.submit_with(&"We won! ".repeat(2000), &options).unwrap();
    let short = batcher.submit(TEXT).unwrap();
    gate.0.open();
    first.wait().unwrap();
    short.wait().unwrap();
    assert!(!long.is_ready());
    assert!(long.wait_timeout(LONG).unwrap().is_ok());
    assert_eq!(gate.0.batches(), [1; 7]);
    let timing = long.timing().unwrap();
    assert!(timing.compute > Duration::ZERO && timing.tokenization > Duration::ZERO);
}

#[test]
fn waiting_requests_become_one_batch_up_to_the_budget() {
    let (batcher, gate, _first) = held(|builder| builder.batch_tokens(10));
    let pending: Vec<Pending> = (0..7).map(|_| batcher.submit_tokens(IDS).unwrap()).collect();
    assert_eq!(batcher.statistics().unwrap().queued_tokens, 21);
    gate.0.open();
    pending.into_iter().for_each(|pending| drop(pending.wait().unwrap()));
    assert_eq!(gate.0.batches(), [1, 3, 3, 1]);
}

#[test]
fn bad_input_fails_at_once_and_alone() {
    let batcher = Batcher::builder(classifier()).workers(1).build().unwrap();
    let strict = SubmitOptions::default().truncation(Truncation::Error);
    let book = "We won! ".repeat(2000);
    let too_long = batcher.submit_with(&book, &strict).unwrap_err();
    assert!(matches!(
        too_long,
        Error::Input(
            InputError::TooManyTokens { row: 0, .. } | InputError::TextTooLong { row: 0, .. }
        )
    ));
    let empty = batcher.submit_tokens(&[]).unwrap_err();
    assert!(matches!(empty, Error::Input(InputError::EmptyRow { row: 0 })));
    let unknown = batcher.submit_tokens(&[101, u32::MAX, 102]).unwrap_err();
    assert!(matches!(unknown, Error::Input(InputError::TokenId { row: 0, id: u32::MAX, .. })));
    let long = batcher.submit_tokens(&[101; 513]).unwrap_err();
    assert!(matches!(
        long,
        Error::Input(InputError::TooManyTokens { tokens: 513, limit: 512, .. })
    ));
    assert!(batcher.submit(TEXT).unwrap().wait().is_ok());
    assert_eq!(batcher.statistics().unwrap().accepted, 1);
}

#[test]
fn a_full_queue_refuses_at_once() {
    let (batcher, gate, first) = held(|builder| builder.max_queued_requests(2));
    let second = batcher.submit(TEXT).unwrap();
    let third = batcher.submit_tokens(IDS).unwrap();
    let expected_tokens = second.tokens() + 3;
    for result in [batcher.submit(TEXT), batcher.submit_tokens(IDS)] {
        match batcher_error(result) {
            BatcherError::Overloaded { requests: 2, max_requests: 2, tokens, .. } => {
                assert_eq!(tokens, expected_tokens);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(batcher.statistics().unwrap().overloaded, 2);
    // Dropping a request makes room.
    drop(second);
    let fourth = batcher.submit_tokens(IDS).unwrap();
    gate.0.open();
    for pending in [first, third, fourth] {
        pending.wait().unwrap();
    }
    assert_eq!(batcher.statistics().unwrap().canceled, 1);
    assert_eq!(gate.0.batches(), [1, 2]);
}

#[test]
fn a_queue_is_bounded_by_tokens() {
    let (batcher, _gate, _first) = held(|builder| builder.max_queued_tokens(7));
    let _second = batcher.submit_tokens(IDS).unwrap();
    let _third = batcher.submit_tokens(IDS).unwrap();
    let refused = batcher_error(batcher.submit_tokens(IDS));
    assert!(matches!(refused, BatcherError::Overloaded { tokens: 6, max_tokens: 7, .. }));
    let too_large = batcher_error(batcher.submit_tokens(&[101; 8]));
    assert!(matches!(too_large, BatcherError::TooLarge { tokens: 8, max_tokens: 7 }));
}

#[test]
fn dropped_requests_are_never_computed() {
    let (batcher, gate, first) = held(|builder| builder.batch_tokens(3));
    let mut pending: Vec<Pending> = (0..3).map(|_| batcher.submit_tokens(IDS).unwrap()).collect();
    drop(pending.remove(1));
    // Dropping a request that is being computed is harmless.
    drop(first);
    gate.0.open();
    pending.into_iter().for_each(|pending| drop(pending.wait().unwrap()));
    batcher.shutdown(Shutdown::Drain);
    assert_eq!(gate.0.batches(), [1, 1, 1]);
    let statistics = batcher.statistics().unwrap();
    assert_eq!((statistics.canceled, statistics.completed), (1, 3));
}

#[test]
fn expired_requests_are_never_computed() {
    let (batcher, gate, first) = held(|builder| builder);
    let soon = SubmitOptions::default().timeout(Duration::from_millis(5));
    let waited = batcher.submit_with(TEXT, &soon).unwrap();
    let mut polled = batcher.submit_tokens_with(IDS, &soon).unwrap();
    let later = SubmitOptions::default().deadline(Instant::now() + LONG);
    let later = batcher.submit_tokens_with(IDS, &later).unwrap();
    // A wait ends at the deadline although the worker is busy.
    assert!(matches!(batcher_error(waited.wait()), BatcherError::Expired { .. }));
    thread::sleep(Duration::from_millis(6));
    gate.0.open();
    assert!(matches!(batcher_error(block_on(&mut polled)), BatcherError::Expired { .. }));
    assert!(matches!(batcher_error(block_on(&mut polled)), BatcherError::Taken));
    first.wait().unwrap();
    later.wait().unwrap();
    assert_eq!(gate.0.batches(), [1, 1]);
    let statistics = batcher.statistics().unwrap();
    assert_eq!((statistics.expired, statistics.canceled), (1, 1));
}

#[test]
fn expired_requests_make_room() {
    let (batcher, _gate, _first) = held(|builder| builder.max_queued_requests(1));
    let soon = SubmitOptions::default().timeout(Duration::from_millis(5));
    let expiring = batcher.submit_tokens_with(IDS, &soon).unwrap();
    assert!(matches!(batcher_error(batcher.submit_tokens(IDS)), BatcherError::Overloaded { .. }));
    thread::sleep(Duration::from_millis(6));
    let _next = batcher.submit_tokens(IDS).unwrap();
    assert!(matches!(batcher_error(block_on(expiring)), BatcherError::Expired { .. }));
}

#[test]
fn a_wait_with_a_timeout_can_be_repeated() {
    let (batcher, gate, mut first) = held(|builder| builder);
    assert!(first.wait_timeout(Duration::from_millis(2)).is_none());
    assert!(first.wait_timeout(Duration::ZERO).is_none());
    assert!(!first.is_ready() && first.timing().is_none());
    gate.0.open();
    let found = first.wait_timeout(LONG).unwrap().unwrap();
    assert_eq!(found.tokens(), 3);
    assert!(first.timing().is_some());
    assert!(matches!(batcher_error(first.wait_timeout(LONG).unwrap()), BatcherError::Taken));
    drop(batcher);
}

#[test]
fn a_drain_computes_what_waits() {
    let (batcher, gate, first) = held(|builder| builder);
    let second = batcher.submit(TEXT).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| batcher.shutdown(Shutdown::Drain));
        while batcher.submit_tokens(IDS).is_ok() {
            thread::yield_now();
        }
        gate.0.open();
    });
    assert!(matches!(batcher_error(batcher.submit(TEXT)), BatcherError::ShutDown));
    assert!(first.wait().is_ok() && second.wait().is_ok());
}

#[test]
fn an_abort_fails_what_waits_and_finishes_what_is_computed() {
    let (batcher, gate, first) = held(|builder| builder);
    let second = batcher.submit(TEXT).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| batcher.shutdown(Shutdown::Abort));
        assert!(matches!(batcher_error(second.wait()), BatcherError::ShutDown));
        gate.0.open();
    });
    assert!(first.wait().is_ok());
}

#[test]
fn a_drain_with_a_time_limit_aborts_the_rest() {
    let (batcher, gate, first) = held(|builder| builder);
    let second = batcher.submit(TEXT).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| batcher.shutdown(Shutdown::DrainFor(Duration::from_millis(5))));
        assert!(matches!(batcher_error(second.wait()), BatcherError::ShutDown));
        gate.0.open();
    });
    assert!(first.wait().is_ok());
}

#[test]
fn dropping_the_batcher_ends_its_threads() {
    let classifier = classifier();
    let batcher = Batcher::builder(classifier.clone()).workers(3).build().unwrap();
    let pending = batcher.submit(TEXT).unwrap();
    drop(batcher);
    assert_eq!(Arc::strong_count(&classifier), 1);
    let result = pending.wait();
    assert!(matches!(result, Ok(_) | Err(Error::Batcher(BatcherError::ShutDown))), "{result:?}");
}

/// Token 2307 panics in the engine's place.
#[test]
fn a_panic_fails_its_request_alone() {
    let fail = |batch: &TokenBatch| assert!(!batch.input_ids().contains(&2307), "token 2307");
    let builder = Batcher::builder(classifier()).workers(1).before_batch(fail);
    let batcher = builder.build().unwrap();
    for _ in 0..3 {
        let good = batcher.submit_tokens(&[101, 1045, 102]).unwrap();
        let bad = batcher.submit_tokens(IDS).unwrap();
        let after = batcher.submit_tokens(&[101, 2032, 102]).unwrap();
        match batcher_error(bad.wait()) {
            BatcherError::Panicked { reason } => assert_eq!(reason, "token 2307"),
            other => panic!("{other:?}"),
        }
        assert!(good.wait().is_ok() && after.wait().is_ok());
    }
    let statistics = batcher.statistics().unwrap();
    assert_eq!((statistics.failed, statistics.completed), (3, 6));
    assert!(statistics.panics >= 3);
}

struct Panics(AtomicUsize);

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        panic!("in a waker");
    }
}

#[test]
fn a_waker_that_panics_harms_nobody() {
    let (batcher, gate, mut first) = held(|builder| builder);
    let mut second = batcher.submit(TEXT).unwrap();
    let third = batcher.submit(TEXT).unwrap();
    let panics = Arc::new(Panics(AtomicUsize::new(0)));
    let waker = Waker::from(panics.clone());
    let mut context = Context::from_waker(&waker);
    for pending in [&mut first, &mut second] {
        assert!(pin!(pending).poll(&mut context).is_pending());
    }
    gate.0.open();
    assert!(third.wait().is_ok());
    assert_eq!(panics.0.load(Ordering::SeqCst), 2);
    assert!(first.wait().is_ok() && second.wait().is_ok());
}

/// Drops the batcher on the batcher's own thread.
struct DropsBatcher(Mutex<Option<Batcher>>);

impl Wake for DropsBatcher {
    fn wake(self: Arc<Self>) {
        drop(self.0.lock().unwrap().take());
    }
}

#[test]
fn a_worker_drops_its_own_batcher() {
    let (batcher, gate, mut first) = held(|builder| builder);
    let second = batcher.submit(TEXT).unwrap();
    let waker = Waker::from(Arc::new(DropsBatcher(Mutex::new(Some(batcher)))));
    assert!(pin!(&mut first).poll(&mut Context::from_waker(&waker)).is_pending());
    drop(waker);
    gate.0.open();
    assert!(first.wait().is_ok());
    assert!(matches!(batcher_error(second.wait()), BatcherError::ShutDown));
}

#[test]
fn classifiers_of_other_models_are_refused() {
    let folder = tempfile::TempDir::new().unwrap();
    GeneratedModel::small().write(folder.path());
    let other = Classifier::builder(folder.path()).threads(1).build().unwrap();
    let error = batcher_error(Batcher::builder(classifier()).classifier(other).build());
    assert!(matches!(error, BatcherError::DifferentModels { index: 1, what: "labels" }));
}

#[test]
fn several_classifiers_share_the_queue() {
    let (first, second) = (classifier(), classifier());
    let expected = first.classify(TEXT).unwrap();
    let batcher = Batcher::builder(first).classifier(second).workers(1).build().unwrap();
    let pending: Vec<Pending> = (0..50).map(|_| batcher.submit(TEXT).unwrap()).collect();
    for pending in pending {
        assert_eq!(pending.wait().unwrap(), expected);
    }
}

#[test]
fn debug_shows_the_state() {
    let (batcher, _gate, first) = held(|builder| builder);
    let shown = format!("{batcher:?} {first:?}");
    assert!(shown.contains("workers: 1") && shown.contains("tokens: 3"), "{shown}");
}
