//! [`closed`] and [`open`]: the two kinds of load.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hyper::body::Bytes;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;

use crate::connection::{Connection, Reply};
use crate::tally::Tally;

/// Increment of the generator splitmix64.
const GOLDEN_GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// Judges a response to the request with an index.
type Check = Box<dyn Fn(usize, &Reply) -> bool + Send + Sync>;

/// A server and the requests that it gets, in turn and again from the first.
pub struct Target {
    /// Address of the server.
    pub address: SocketAddr,
    /// Path that requests are posted to.
    pub path: String,
    /// Bodies of the requests; at least one.
    pub bodies: Vec<Bytes>,
    /// Judges responses with status 200.
    pub check: Check,
    /// Number of requests that have been sent.
    pub sent: AtomicUsize,
}

impl Target {
    /// Returns a target that is not checked.
    pub fn new(address: SocketAddr, path: &str, bodies: Vec<Bytes>) -> Self {
        let (path, sent) = (path.to_owned(), AtomicUsize::new(0));
        Self { address, path, bodies, check: Box::new(|_, _| true), sent }
    }

    /// Sends the next request and counts its result, with a latency that counts from a given time.
    async fn exchange(&self, connection: &mut Connection, tally: &Mutex<Tally>, start: Instant) {
        let index = self.sent.fetch_add(1, Ordering::Relaxed) % self.bodies.len();
        let result = connection.post(&self.path, self.bodies[index].clone()).await;
        let latency = start.elapsed();
        let is_right = result.as_ref().is_ok_and(|reply| (self.check)(index, reply));
        let lock = || tally.lock().unwrap_or_else(PoisonError::into_inner);
        lock().count(&result, is_right, latency);
        if result.is_err() {
            // A server that refuses connections is not asked in a busy loop.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Requests of an open loop.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Mean number of requests in a second; the times between them are exponentially distributed.
    pub per_second: f64,
    /// Largest number of requests at a time. Others wait in the client, and their latency counts this.
    pub connections: usize,
    /// Start of the random sequence of times.
    pub seed: u64,
}

/// Keeps a number of connections busy for a time, and then waits for the last responses.
pub async fn closed(target: &Arc<Target>, connections: usize, time: Duration) -> Tally {
    let tally = Arc::new(Mutex::new(Tally::default()));
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        let (target, tally) = (target.clone(), tally.clone());
        tasks.spawn(async move {
            let mut connection = Connection::new(target.address);
            while start.elapsed() < time {
                target.exchange(&mut connection, &tally, Instant::now()).await;
            }
        });
    }
    finish(tasks, &tally, start).await
}

/// Sends requests at a rate for a time, and then waits for the last responses.
pub async fn open(target: &Arc<Target>, rate: Rate, time: Duration) -> Tally {
    let tally = Arc::new(Mutex::new(Tally::default()));
    let start = Instant::now();
    let due = Arc::new(tokio::sync::Mutex::new(schedule(rate, start, time)));
    let mut tasks = JoinSet::new();
    for _ in 0..rate.connections.max(1) {
        let (target, tally, due) = (target.clone(), tally.clone(), due.clone());
        tasks.spawn(async move {
            let mut connection = Connection::new(target.address);
            loop {
                let next = due.lock().await.recv().await;
                let Some(next) = next else { break };
                target.exchange(&mut connection, &tally, next).await;
            }
        });
    }
    finish(tasks, &tally, start).await
}

async fn finish(mut tasks: JoinSet<()>, tally: &Mutex<Tally>, start: Instant) -> Tally {
    while tasks.join_next().await.is_some() {}
    let mut tally = std::mem::take(&mut *tally.lock().unwrap_or_else(PoisonError::into_inner));
    tally.elapsed = start.elapsed();
    tally
}

/// Returns a channel that gets each request's time when it has come. Its thread sleeps more precisely than the runtime,
/// whose timers have steps of a millisecond.
fn schedule(rate: Rate, start: Instant, time: Duration) -> UnboundedReceiver<Instant> {
    let (sender, receiver) = unbounded_channel();
    thread::spawn(move || {
        let (mut state, mut seconds) = (rate.seed, 0.0);
        loop {
            state = state.wrapping_add(GOLDEN_GAMMA);
            // In (0, 1].
            let uniform = ((mixed(state) >> 11) + 1) as f64 / (1_u64 << 53) as f64;
            seconds -= uniform.ln() / rate.per_second;
            if seconds >= time.as_secs_f64() {
                return;
            }
            let due = start + Duration::from_secs_f64(seconds);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if sender.send(due).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Finalizer of the generator splitmix64.
fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
