//! Shutdown, and panics of the engine and of wakers.

use super::*;

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

/// Token 2307 causes a panic that stands for one of the engine.
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
