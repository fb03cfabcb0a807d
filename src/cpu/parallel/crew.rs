//! Threads that sleep until a call wants help.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::cpu::parallel::team::{Team, wait};

/// Helpers for one call at a time; the caller's own thread leads. Calls that come at the same time wait
/// for their turn, asleep, so that no more threads compute than were asked for.
///
/// A call offers its team and begins at once: nobody waits for the helpers to wake up, and nothing is
/// allocated.
pub(crate) struct Crew {
    shared: Arc<Shared>,
    helpers: Vec<JoinHandle<()>>,
    turn: Mutex<()>,
}

struct Shared {
    post: Mutex<Post>,
    posted: Condvar,
    /// Helpers that may be using the team that was posted last. Rises under the lock of `post`.
    helping: AtomicUsize,
}

#[derive(Default)]
struct Post {
    team: Option<Offer>,
    closed: bool,
}

/// A team in need of help. It is there as long as it is posted, and as long as anybody is helping.
#[derive(Clone, Copy)]
struct Offer(NonNull<Team>);

// SAFETY: a team is shared by threads; the pointer is used while it is there (above).
unsafe impl Send for Offer {}

impl Crew {
    /// Starts so many helpers.
    pub fn new(helpers: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            post: Mutex::default(),
            posted: Condvar::new(),
            helping: AtomicUsize::new(0),
        });
        // Dropped on an error, which ends those that were started.
        let mut crew = Self { shared, helpers: Vec::new(), turn: Mutex::default() };
        for worker in 1..=helpers {
            let shared = crew.shared.clone();
            let name = format!("distilbert-{worker}");
            crew.helpers
                .push(thread::Builder::new().name(name).spawn(move || shared.help(worker))?);
        }
        Ok(crew)
    }

    pub fn helpers(&self) -> usize {
        self.helpers.len()
    }

    /// Runs `lead` on this thread while helpers join the team.
    pub fn run<R>(&self, team: &Team, lead: impl FnOnce() -> R) -> R {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.shared.post().team = Some(Offer(NonNull::from(team)));
        self.shared.posted.notify_all();
        let _withdrawal = Withdrawal { team, shared: &self.shared };
        lead()
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.shared.post().closed = true;
        self.shared.posted.notify_all();
        for helper in self.helpers.drain(..) {
            // A helper catches the panics of tasks and has none of its own.
            let _ = helper.join();
        }
    }
}

impl Shared {
    fn post(&self) -> MutexGuard<'_, Post> {
        self.post.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a helper does until the crew is dropped.
    fn help(&self, worker: usize) {
        let mut post = self.post();
        while !post.closed {
            let Some(Offer(team)) = post.team else {
                post = self.posted.wait(post).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            self.helping.fetch_add(1, Ordering::Relaxed);
            drop(post);
            // SAFETY: the team was posted when `helping` rose, under the lock, so `Withdrawal` waits for
            // `helping` to fall before the team goes.
            unsafe { team.as_ref() }.help(worker);
            self.helping.fetch_sub(1, Ordering::Release);
            post = self.post();
        }
    }
}

/// Ends the help, also where the leader panics.
struct Withdrawal<'a> {
    team: &'a Team,
    shared: &'a Shared,
}

impl Drop for Withdrawal<'_> {
    fn drop(&mut self) {
        self.shared.post().team = None;
        self.team.dismiss();
        let mut spins = 0;
        while self.shared.helping.load(Ordering::Acquire) > 0 {
            wait(&mut spins);
        }
    }
}
