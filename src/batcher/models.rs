//! Models of the queue's protocol. Loom runs them through every interleaving with at most two preemptions, and every
//! outcome of the memory model. A request or a waiter that is lost deadlocks, which fails the model.
//!
//! ```text
//! CARGO_TARGET_DIR=target/loom RUSTFLAGS="--cfg loom" \
//!   cargo test --release --package distilbert --no-default-features --lib batcher
//! ```

use std::task::{Poll, Wake, Waker};
use std::time::Instant;

use loom::thread;

use super::queue::{Batch, Entry, Limits, Queue, Refusal};
use super::slot::{Outcome, Receiver, Reply, slot};
use super::sync::{Arc, AtomicUsize, Condvar, Mutex, Ordering};

/// Checks every execution with at most two preemptions.
fn model(execution: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(execution);
}

/// A request with a few one-token rows, whose answer is the number of rows that were computed.
struct Job {
    rows: usize,
    computed: usize,
    reply: Reply<usize>,
}

impl Entry for Job {
    fn tokens(&self) -> usize {
        self.rows - self.computed
    }

    fn claim(&mut self, _: usize) -> usize {
        1
    }

    fn is_stale(&self, _: Instant) -> bool {
        !self.reply.is_wanted()
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }
}

/// The answer to a request that was aborted.
const ABORTED: usize = 100;

fn queue(requests: usize, batch_tokens: usize) -> Arc<Queue<Job>> {
    Arc::new(Queue::new(Limits { requests, tokens: 100, batch_tokens, wait: None }))
}

fn submit(queue: &Queue<Job>, rows: usize) -> Result<Receiver<usize>, Refusal> {
    let (reply, receiver) = slot(queue.dropped());
    let pushed = queue.push(Job { rows, computed: 0, reply }, &mut Vec::new());
    pushed.map(|()| receiver).map_err(|(_, refusal)| refusal)
}

/// Computes one row of each request that is taken, until the queue is closed.
fn work(queue: &Queue<Job>) {
    let mut batch = Batch::default();
    while queue.take(&mut batch) {
        batch.stale.clear();
        for mut job in batch.taken.drain(..) {
            job.computed += 1;
            if job.computed == job.rows {
                job.reply.send(job.computed);
            } else if let Err(job) = queue.put_back(job) {
                job.reply.send(ABORTED);
            }
        }
    }
}

fn start_workers(queue: &Arc<Queue<Job>>, count: usize) -> Vec<thread::JoinHandle<()>> {
    let start = |_| {
        let member = Queue::enter(queue);
        let queue = queue.clone();
        thread::spawn(move || {
            let _member = member;
            work(&queue);
        })
    };
    (0..count).map(start).collect()
}

fn close(queue: &Queue<Job>, aborts: bool) {
    for job in queue.close(aborts) {
        job.reply.send(ABORTED);
    }
}

fn join(threads: Vec<thread::JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_request_is_answered_and_a_drain_ends() {
    model(|| {
        let queue = queue(2, 2);
        let workers = start_workers(&queue, 1);
        assert_eq!(submit(&queue, 1).unwrap().wait(None), Some(Outcome::Answer(1)));
        close(&queue, false);
        assert!(queue.wait_for_end(None));
        join(workers);
    });
}

#[test]
fn two_workers_answer_each_request_of_two_threads() {
    for batch_tokens in [1, 2] {
        model(move || {
            let queue = queue(2, batch_tokens);
            let workers = start_workers(&queue, 2);
            let other = {
                let queue = queue.clone();
                thread::spawn(move || submit(&queue, 1).unwrap().wait(None))
            };
            assert_eq!(submit(&queue, 1).unwrap().wait(None), Some(Outcome::Answer(1)));
            assert_eq!(other.join().unwrap(), Some(Outcome::Answer(1)));
            close(&queue, false);
            join(workers);
        });
    }
}

#[test]
fn a_request_in_parts_is_answered_once_with_all_of_them() {
    model(|| {
        let queue = queue(2, 1);
        let workers = start_workers(&queue, 2);
        let (mut long, mut short) = (submit(&queue, 3).unwrap(), submit(&queue, 1).unwrap());
        assert_eq!(long.wait(None), Some(Outcome::Answer(3)));
        assert_eq!(short.wait(None), Some(Outcome::Answer(1)));
        close(&queue, false);
        join(workers);
    });
}

/// Both orders end the same way: the worker goes on, and the other request is answered.
#[test]
fn a_cancellation_races_with_the_answer() {
    model(|| {
        let queue = queue(2, 2);
        let workers = start_workers(&queue, 1);
        let (canceled, mut kept) = (submit(&queue, 1).unwrap(), submit(&queue, 1).unwrap());
        drop(canceled);
        assert_eq!(kept.wait(None), Some(Outcome::Answer(1)));
        assert_eq!(kept.wait(None), Some(Outcome::Taken));
        close(&queue, false);
        join(workers);
    });
}

/// No worker runs: room comes from cancellation alone.
#[test]
fn a_canceled_request_makes_room() {
    model(|| {
        let queue = queue(1, 1);
        let first = submit(&queue, 1).unwrap();
        let dropping = thread::spawn(move || drop(first));
        let early = submit(&queue, 1);
        dropping.join().unwrap();
        match early {
            Ok(_second) => {
                assert!(matches!(submit(&queue, 1), Err(Refusal::Full { requests: 1, .. })));
            }
            Err(refusal) => {
                assert!(matches!(refusal, Refusal::Full { requests: 1, tokens: 1, .. }));
                assert!(submit(&queue, 1).is_ok());
            }
        }
    });
}

fn shutdown_races_with_submit(aborts: bool) {
    model(move || {
        let queue = queue(2, 1);
        let workers = start_workers(&queue, 1);
        let other = {
            let queue = queue.clone();
            thread::spawn(move || submit(&queue, 2).map(|mut receiver| receiver.wait(None)))
        };
        close(&queue, aborts);
        assert!(queue.wait_for_end(None));
        match other.join().unwrap() {
            Err(refusal) => assert_eq!(refusal, Refusal::Closed),
            Ok(Some(Outcome::Answer(ABORTED))) => assert!(aborts),
            Ok(answer) => assert_eq!(answer, Some(Outcome::Answer(2))),
        }
        join(workers);
    });
}

#[test]
fn a_drain_races_with_submit() {
    shutdown_races_with_submit(false);
}

#[test]
fn an_abort_races_with_submit() {
    shutdown_races_with_submit(true);
}

#[test]
fn an_abort_overtakes_a_drain() {
    model(|| {
        let queue = queue(2, 1);
        let mut receiver = submit(&queue, 2).unwrap();
        let workers = start_workers(&queue, 1);
        let draining = {
            let queue = queue.clone();
            thread::spawn(move || {
                close(&queue, false);
                assert!(queue.wait_for_end(None));
            })
        };
        close(&queue, true);
        draining.join().unwrap();
        let answer = receiver.wait(None);
        assert!(matches!(answer, Some(Outcome::Answer(2 | ABORTED))), "{answer:?}");
        join(workers);
    });
}

/// Wakes a thread of the model.
struct Bell {
    rung: Mutex<bool>,
    condition: Condvar,
}

impl Wake for Bell {
    fn wake(self: std::sync::Arc<Self>) {
        *self.rung.lock().unwrap() = true;
        self.condition.notify_all();
    }
}

/// Polls like an executor: again whenever the waker was called.
fn block_on(mut receiver: Receiver<usize>) -> Outcome<usize> {
    let bell = std::sync::Arc::new(Bell { rung: Mutex::new(false), condition: Condvar::new() });
    let waker = Waker::from(bell.clone());
    loop {
        if let Poll::Ready(outcome) = receiver.poll(&waker) {
            return outcome;
        }
        let mut rung = bell.rung.lock().unwrap();
        while !*rung {
            rung = bell.condition.wait(rung).unwrap();
        }
        *rung = false;
    }
}

#[test]
fn a_task_is_woken_by_its_answer() {
    model(|| {
        let queue = queue(2, 2);
        let workers = start_workers(&queue, 1);
        assert_eq!(block_on(submit(&queue, 1).unwrap()), Outcome::Answer(1));
        close(&queue, false);
        join(workers);
    });
}

/// The task moves to another executor while the answer is on its way.
#[test]
fn the_waker_of_the_last_poll_is_called() {
    model(|| {
        let (reply, mut receiver) = slot(Arc::new(AtomicUsize::new(0)));
        let answering = thread::spawn(move || reply.send(7));
        match receiver.poll(Waker::noop()) {
            Poll::Ready(outcome) => assert_eq!(outcome, Outcome::Answer(7)),
            Poll::Pending => assert_eq!(block_on(receiver), Outcome::Answer(7)),
        }
        answering.join().unwrap();
    });
}

#[test]
fn a_dropped_reply_reaches_its_waiter() {
    model(|| {
        let dropped = Arc::new(AtomicUsize::new(0));
        let (reply, mut receiver) = slot::<usize>(dropped.clone());
        let failing = thread::spawn(move || drop(reply));
        assert_eq!(receiver.wait(None), Some(Outcome::Abandoned));
        failing.join().unwrap();
        drop(receiver);
        assert_eq!(dropped.load(Ordering::Relaxed), 0);
    });
}
