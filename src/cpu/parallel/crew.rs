//! [`Crew`]: threads that wait for calls, for a short while without sleeping.

use std::io;
use std::sync::PoisonError;
use std::time::Duration;

use super::sync::{Arc, AtomicU8, Condvar, Mutex, MutexGuard, Ordering, spin_until, thread};
use super::team::{Leader, Seat, Team};
use crate::sync::{Turn, Turns};

/// Helpers for one call at a time, led by the caller's own thread. Concurrent calls sleep until it is their turn, in
/// order of arrival, so that no more threads compute than were requested.
///
/// A call starts at once: it neither waits for helpers to wake up nor allocates, and it makes no system call unless a
/// helper sleeps. It ends as soon as its last stage does, because the team belongs to the crew: a helper that has not
/// noticed the end finds no tasks, or those of the next call.
pub(super) struct Crew {
    shared: Arc<Shared>,
    helpers: Vec<thread::JoinHandle<()>>,
    turns: Turns,
}

struct Shared {
    team: Team,
    /// [`IDLE`], [`CALLED`] or [`CLOSED`]. It leaves [`IDLE`] only under the lock of `sleeping`, so that no helper
    /// falls asleep afterwards.
    state: AtomicU8,
    /// Number of helpers that sleep.
    sleeping: Mutex<usize>,
    woken: Condvar,
    /// Time for which helpers wait for the next call before they sleep.
    spin: Duration,
}

/// No call is running.
const IDLE: u8 = 0;

/// A call is running and wants help.
const CALLED: u8 = 1;

/// The crew is being dropped.
const CLOSED: u8 = 2;

impl Crew {
    /// Starts helper threads, which wait for the next call for the time `spin` before they sleep.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn new(helpers: usize, spin: Duration) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            team: Team::new(helpers + 1),
            state: AtomicU8::new(IDLE),
            sleeping: Mutex::new(0),
            woken: Condvar::new(),
            spin,
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

    /// Waits for a turn, and then runs `lead` on this thread while helpers join its team.
    pub fn run<R>(&self, lead: impl FnOnce(Leader<'_>) -> R) -> R {
        self.run_in_turn(&self.turns.take(), lead)
    }

    /// Runs `lead` like [`run`](Self::run) if that is possible without waiting.
    #[cfg(any(feature = "text", test))]
    pub fn try_run<R>(&self, lead: impl FnOnce(Leader<'_>) -> R) -> Option<R> {
        let turn = self.turns.try_take()?;
        Some(self.run_in_turn(&turn, lead))
    }

    fn run_in_turn<R>(&self, _turn: &Turn<'_>, lead: impl FnOnce(Leader<'_>) -> R) -> R {
        let _call = self.shared.call();
        // SAFETY: only callers in their turn lead the crew's team, and there is one turn at a time.
        lead(unsafe { Leader::new(&self.shared.team) })
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.shared.set(CLOSED);
        for helper in self.helpers.drain(..) {
            // Helpers catch the panics of tasks and have none of their own.
            let _ = helper.join();
        }
    }
}

impl Shared {
    /// Tells the helpers that a call is running until the result is dropped.
    fn call(&self) -> Call<'_> {
        self.set(CALLED);
        Call(self)
    }

    /// Ends the helpers' wait, and wakes those that sleep.
    fn set(&self, state: u8) {
        let sleeping = self.sleeping();
        self.state.store(state, Ordering::Relaxed);
        let is_needed = *sleeping > 0;
        drop(sleeping);
        if is_needed {
            self.woken.notify_all();
        }
    }

    fn state(&self) -> u8 {
        self.state.load(Ordering::Relaxed)
    }

    fn sleeping(&self) -> MutexGuard<'_, usize> {
        self.sleeping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Helps with one call after another as this worker, until the crew is dropped.
    fn help(&self, worker: usize) {
        // SAFETY: the crew makes no other seats of its team, and each helper thread has a number of its own, up to the
        // number of helpers.
        let seat = unsafe { Seat::new(&self.team, worker) };
        loop {
            match self.state() {
                IDLE => self.wait(),
                CALLED => seat.help_while(|| self.state() == CALLED),
                _ => return,
            }
        }
    }

    /// Waits for a call or the end of the crew: spinning at first, then asleep.
    fn wait(&self) {
        if spin_until(self.spin, || self.state() != IDLE) {
            return;
        }
        let mut sleeping = self.sleeping();
        *sleeping += 1;
        while self.state() == IDLE {
            sleeping = self.woken.wait(sleeping).unwrap_or_else(PoisonError::into_inner);
        }
        *sleeping -= 1;
    }
}

/// A call that wants help.
struct Call<'a>(&'a Shared);

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.state.store(IDLE, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Barrier;
    use std::time::Instant;

    use super::*;
    use crate::cpu::parallel::disjoint::Tasks;

    const SPINS: [Duration; 2] = [Duration::ZERO, Duration::from_micros(500)];

    /// Waits for a condition that other threads bring about.
    fn until(is_over: impl Fn() -> bool) {
        let start = Instant::now();
        while !is_over() {
            assert!(start.elapsed() < Duration::from_secs(60), "nothing happens");
            thread::sleep(Duration::from_micros(100));
        }
    }

    /// Runs a stage whose tasks all wait for each other, so that it ends only if every helper joins.
    fn meet(crew: &Crew) {
        let workers = crew.helpers.len() + 1;
        let barrier = Barrier::new(workers);
        crew.run(|mut leader| {
            leader.for_each(Tasks(workers), |_, ()| {
                barrier.wait();
            });
        });
    }

    #[test]
    fn every_helper_joins_every_call_awake_or_asleep() {
        let calls = if cfg!(miri) { 3 } else { 300 };
        for spin in SPINS {
            let crew = Crew::new(3, spin).unwrap();
            for call in 0..calls {
                meet(&crew);
                if call % 8 == 0 {
                    until(|| *crew.shared.sleeping() == 3);
                }
            }
        }
    }

    #[test]
    fn helpers_sleep_after_they_have_spun() {
        let crew = Crew::new(2, Duration::from_secs(3600)).unwrap();
        meet(&crew);
        thread::sleep(Duration::from_millis(20));
        assert_eq!(*crew.shared.sleeping(), 0);
        // Helpers that spin notice the end of the crew as well.
        drop(crew);
        let crew = Crew::new(2, SPINS[1]).unwrap();
        meet(&crew);
        until(|| *crew.shared.sleeping() == 2);
    }

    #[test]
    fn waiting_callers_are_served_in_their_order() {
        let crew = Crew::new(1, SPINS[1]).unwrap();
        let order = std::sync::Mutex::new(Vec::new());
        thread::scope(|scope| {
            crew.run(|_| {
                for caller in 0..6 {
                    let (crew, order) = (&crew, &order);
                    scope.spawn(move || crew.run(|_| order.lock().unwrap().push(caller)));
                    until(|| crew.turns.waiting() == caller + 1);
                }
                assert!(order.lock().unwrap().is_empty());
            });
        });
        assert!(order.into_inner().unwrap().into_iter().eq(0..6));
    }

    #[test]
    fn a_call_that_does_not_wait_needs_a_free_crew() {
        let crew = Crew::new(1, SPINS[1]).unwrap();
        crew.run(|_| assert_eq!(crew.try_run(|_| ()), None));
        assert_eq!(crew.try_run(|leader| leader.size()), Some(2));
        meet(&crew);
    }
}
