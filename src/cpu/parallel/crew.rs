//! Threads that sleep until a call wants help.

use std::io;
use std::ptr::NonNull;
use std::sync::PoisonError;

use super::sync::{Arc, AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, back_off, thread};
use super::team::{Leader, Seat, Team};
use crate::sync::Turns;

/// Helpers for one call at a time, led by the caller's own thread. Concurrent calls wait for their turn, asleep and in
/// the order in which they came, so that no more threads compute than were asked for.
///
/// A call posts its team and starts at once: it neither waits for helpers to wake up nor allocates.
pub(super) struct Crew {
    shared: Arc<Shared>,
    helpers: Vec<thread::JoinHandle<()>>,
    turns: Turns,
}

struct Shared {
    post: Mutex<Post>,
    posted: Condvar,
    /// Helpers that may be using the posted team. Rises only under the lock of `post`, while a team is posted.
    helping: AtomicUsize,
}

#[derive(Default)]
struct Post {
    team: Option<Offer>,
    is_closed: bool,
}

/// A team that wants helpers.
///
/// [`Crew::run`] owns the team. It withdraws the offer under the lock of [`Shared::post`], and then waits until
/// `helping` is zero before it drops the team. A helper that has counted itself in `helping` while the team was
/// posted may therefore use the pointer until it counts itself out.
#[derive(Clone, Copy)]
struct Offer(NonNull<Team>);

// SAFETY: a team is `Sync`, and helpers use the pointer only while the team exists (see `Offer`).
unsafe impl Send for Offer {}

impl Crew {
    /// Starts helper threads.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn new(helpers: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            post: Mutex::new(Post::default()),
            posted: Condvar::new(),
            helping: AtomicUsize::new(0),
        });
        // Dropped on an error, which ends the threads that have been started.
        let mut crew = Self { shared, helpers: Vec::new(), turns: Turns::new(1) };
        for worker in 1..=helpers {
            let shared = crew.shared.clone();
            let name = format!("distilbert-{worker}");
            let help = move || shared.help(worker);
            crew.helpers.push(thread::Builder::new().name(name).spawn(help)?);
        }
        Ok(crew)
    }

    /// Runs `lead` on this thread while helpers join its team.
    pub fn run<R>(&self, lead: impl FnOnce(Leader<'_>) -> R) -> R {
        let _turn = self.turns.take();
        let mut team = Team::new(self.helpers.len() + 1);
        let (leader, seats) = team.split();
        let team = seats.into_team();
        // Made before the offer, so that no unwinding leaves an offer behind.
        let _withdrawal = Withdrawal { team, shared: &self.shared };
        self.shared.lock().team = Some(Offer(NonNull::from(team)));
        self.shared.posted.notify_all();
        lead(leader)
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.posted.notify_all();
        for helper in self.helpers.drain(..) {
            // Helpers catch the panics of tasks and have none of their own.
            let _ = helper.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Post> {
        self.post.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Helps with one team after another as this worker, until the crew is dropped.
    fn help(&self, worker: usize) {
        let mut post = self.lock();
        while !post.is_closed {
            let Some(Offer(team)) = post.team else {
                post = self.posted.wait(post).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            self.helping.fetch_add(1, Ordering::Relaxed);
            drop(post);
            // SAFETY: `helping` rose while the team was posted, so the team exists until it falls (see `Offer`).
            // `run` has given up the team's seats, and gave the team one worker more than there are helpers.
            // Each helper thread has a number of its own, and is done with a seat before it takes the next.
            unsafe { Seat::new(team.as_ref(), worker) }.help();
            self.helping.fetch_sub(1, Ordering::Release);
            post = self.lock();
        }
    }
}

/// Withdraws an offer when it is dropped, and waits for the helpers that have accepted it.
struct Withdrawal<'a> {
    team: &'a Team,
    shared: &'a Shared,
}

impl Drop for Withdrawal<'_> {
    fn drop(&mut self) {
        self.shared.lock().team = None;
        self.team.dismiss();
        let mut spins = 0;
        while self.shared.helping.load(Ordering::Acquire) > 0 {
            back_off(&mut spins);
        }
    }
}
