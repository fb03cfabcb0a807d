//! [`SharedPool`]: calls on a thread pool that others use as well.

use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rayon::ThreadPool;

use super::sync::Backoff;
use super::team::{Leader, Seat, Team};

/// A pool whose free threads help with calls.
///
/// No call waits for a job of the pool, so no thread takes other jobs while it waits. With `rayon::join` a thread would,
/// and since such a job may call the classifier in turn, calls would stack up until the thread's stack overflows.
pub(super) struct SharedPool {
    pool: Arc<ThreadPool>,
    offers: Arc<Offers>,
}

/// Teams that want helpers. A free thread of the pool visits them as a job.
#[derive(Default)]
struct Offers {
    open: Mutex<Vec<Offer>>,
    /// Visits that have been spawned and have not started: at most one for each thread.
    pending: AtomicUsize,
}

/// A team that wants helpers.
///
/// [`SharedPool::lead`] owns both. It withdraws the offer under the lock of [`Offers::open`], and then waits until
/// `helping` is zero before it drops them. A visit that has counted itself in `helping` while the offer was open may
/// therefore use the pointers until it counts itself out.
struct Offer {
    team: NonNull<Team>,
    /// Visits that may be using the team. Rises only under the lock of [`Offers::open`], while the offer is open.
    helping: NonNull<AtomicUsize>,
    /// Workers whose place no visit has taken yet.
    workers: Range<usize>,
}

// SAFETY: what the pointers refer to is `Sync`, and visits use it only while it exists (see `Offer`).
unsafe impl Send for Offer {}

impl SharedPool {
    pub fn new(pool: Arc<ThreadPool>) -> Self {
        Self { pool, offers: Arc::default() }
    }

    /// Runs `work` on one thread of the pool, which shares tasks with the others through the leader. A thread of
    /// another pool runs `work` itself, because it would take that pool's jobs if it waited.
    pub fn run<R: Send>(&self, work: impl FnOnce(Leader<'_>) -> R + Send) -> R {
        match rayon::current_thread_index() {
            Some(_) => self.lead(work),
            None => self.pool.install(|| self.lead(work)),
        }
    }

    /// Runs `work` on this thread, which may be any, while free threads of the pool join its team.
    pub fn lead<R>(&self, work: impl FnOnce(Leader<'_>) -> R) -> R {
        let size = self.pool.current_num_threads();
        let (mut team, helping) = (Team::new(size), AtomicUsize::new(0));
        let (leader, seats) = team.split();
        let team = seats.into_team();
        let offer = Offer { team: team.into(), helping: (&helping).into(), workers: 1..size };
        // Made before the offer, so that no unwinding leaves an offer behind.
        let _withdrawal = Withdrawal { team, helping: &helping, offers: &self.offers };
        self.offers.lock().push(offer);
        self.invite(size - 1);
        work(leader)
    }

    /// Spawns visits until `visits` are pending. A thread that is busy with other jobs finds them when it is free.
    fn invite(&self, visits: usize) {
        let one_more = |pending| (pending < visits).then_some(pending + 1);
        let pending = &self.offers.pending;
        while pending.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok() {
            let offers = self.offers.clone();
            self.pool.spawn(move || offers.visit());
        }
    }
}

impl Offers {
    fn lock(&self) -> MutexGuard<'_, Vec<Offer>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Helps the first team that has room until it is dismissed, if there is one.
    fn visit(&self) {
        self.pending.fetch_sub(1, Ordering::Relaxed);
        let mut open = self.lock();
        let has_room = |offer: &mut Offer| Some((offer.team, offer.helping, offer.workers.next()?));
        let Some((team, helping, worker)) = open.iter_mut().find_map(has_room) else { return };
        // SAFETY: the offer is open, so both exist until `helping` falls again (see `Offer`).
        let (team, helping) = unsafe { (team.as_ref(), helping.as_ref()) };
        helping.fetch_add(1, Ordering::Relaxed);
        drop(open);
        // SAFETY: `lead` has given up the team's seats, and the offer names each worker once.
        unsafe { Seat::new(team, worker) }.help();
        // Both may be gone after this.
        helping.fetch_sub(1, Ordering::Release);
    }
}

/// Withdraws an offer when it is dropped, and waits for the visits that have accepted it.
struct Withdrawal<'a> {
    team: &'a Team,
    helping: &'a AtomicUsize,
    offers: &'a Offers,
}

impl Drop for Withdrawal<'_> {
    fn drop(&mut self) {
        self.offers.lock().retain(|offer| offer.team != self.team.into());
        self.team.dismiss();
        let mut backoff = Backoff::default();
        while self.helping.load(Ordering::Acquire) > 0 {
            backoff.wait();
        }
    }
}

#[cfg(all(test, not(loom), not(miri)))]
mod tests {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use rayon::ThreadPoolBuilder;
    use rayon::prelude::*;

    use super::*;
    use crate::cpu::parallel::disjoint::Tasks;

    thread_local! {
        static DEPTH: Cell<usize> = const { Cell::new(0) };
    }

    /// Makes a pool whose threads have small stacks.
    fn pool(threads: usize) -> Arc<ThreadPool> {
        let builder = ThreadPoolBuilder::new().num_threads(threads).stack_size(128 << 10);
        Arc::new(builder.build().unwrap())
    }

    /// Makes a call, and returns the number of calls on this thread's stack.
    fn call(shared: &SharedPool) -> usize {
        let depth = DEPTH.get() + 1;
        DEPTH.set(depth);
        let done = AtomicUsize::new(0);
        shared.run(|mut leader| {
            leader.for_each(Tasks(6), |_, ()| {
                done.fetch_add(1, Ordering::Relaxed);
            });
        });
        assert_eq!(done.into_inner(), 6);
        DEPTH.set(depth - 1);
        depth
    }

    /// Returns the largest number of calls on one stack while tasks of a pool make calls.
    fn deepest(caller: &ThreadPool, shared: &SharedPool) -> usize {
        let tasks = (0..50_000).into_par_iter().with_max_len(1);
        caller.install(|| tasks.map(|_| call(shared)).max().unwrap())
    }

    #[test]
    fn calls_from_tasks_of_the_pool_do_not_stack_up() {
        for threads in 2..=4 {
            let pool = pool(threads);
            assert_eq!(deepest(&pool, &SharedPool::new(pool.clone())), 1);
        }
    }

    #[test]
    fn calls_from_tasks_of_another_pool_do_not_stack_up() {
        assert_eq!(deepest(&pool(3), &SharedPool::new(pool(2))), 1);
    }

    #[test]
    fn a_busy_pool_collects_no_visits() {
        let shared = SharedPool::new(pool(3));
        shared.pool.install(|| (0..1000).for_each(|_| assert_eq!(call(&shared), 1)));
        assert!(shared.offers.pending.load(Ordering::Relaxed) <= 2);
        assert!(shared.offers.lock().is_empty());
    }

    #[test]
    fn a_panic_withdraws_the_offer() {
        let shared = SharedPool::new(pool(2));
        for _ in 0..3 {
            let fail = || shared.run(|_| panic!("in a call"));
            assert!(catch_unwind(AssertUnwindSafe(fail)).is_err());
            assert!(shared.offers.lock().is_empty());
            assert_eq!(call(&shared), 1);
        }
    }
}
