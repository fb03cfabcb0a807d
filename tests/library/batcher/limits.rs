//! Overload, cancellation, deadlines and waits.

use std::sync::mpsc;

use super::*;

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

/// Each batch waits for a message, the first for 60 ms, which is 20 for each of its tokens.
#[test]
fn a_request_that_would_wait_for_too_long_is_refused() {
    let (go, goes) = mpsc::channel::<()>();
    let (began, begins) = mpsc::channel();
    let goes = Mutex::new(goes);
    let hold = move |_: &TokenBatch| {
        let _ = began.send(());
        let _ = goes.lock().unwrap().recv();
    };
    let builder = Batcher::builder(classifier()).workers(1).batch_tokens(1).before_batch(hold);
    let batcher = builder.max_wait(Duration::from_millis(40)).build().unwrap();
    // Dropped before the batcher, which would wait for its worker forever if an assertion failed.
    let go = go;
    let first = batcher.submit_tokens(IDS).unwrap();
    begins.recv().unwrap();
    thread::sleep(Duration::from_millis(60));
    go.send(()).unwrap();
    first.wait().unwrap();
    let second = batcher.submit_tokens(IDS).unwrap();
    while batcher.statistics().unwrap().queued_requests > 0 {
        thread::yield_now();
    }
    // Whatever the pace, an empty queue takes a request.
    let third = batcher.submit_tokens(IDS).unwrap();
    match batcher_error(batcher.submit_tokens(IDS)) {
        BatcherError::Overloaded { requests: 1, expected_wait, .. } => {
            assert!(expected_wait >= Duration::from_millis(60), "{expected_wait:?}");
        }
        other => panic!("{other:?}"),
    }
    drop(go);
    for pending in [second, third] {
        pending.wait().unwrap();
    }
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
    // Long enough for the next request to come earlier, even on a busy machine.
    let soon = SubmitOptions::default().timeout(Duration::from_millis(200));
    let expiring = batcher.submit_tokens_with(IDS, &soon).unwrap();
    assert!(matches!(batcher_error(batcher.submit_tokens(IDS)), BatcherError::Overloaded { .. }));
    thread::sleep(Duration::from_millis(201));
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
