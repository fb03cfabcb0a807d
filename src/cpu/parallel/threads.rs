//! The threads that compute a call.

use std::sync::Arc;
use std::time::Duration;

use rayon::ThreadPool;

use super::crew::Crew;
#[cfg(feature = "text")]
use super::disjoint::Tasks;
use super::shared_pool::SharedPool;
use super::team::{Leader, Team};
use crate::error::{DeviceError, Result};
use crate::sync::PerProcess;

/// Maximum number of threads of a call: more than any machine needs, but few enough that a mistaken number does not
/// exhaust it.
const MAX_THREADS: usize = 4096;

/// Source of the threads of a call.
pub(crate) struct Threads {
    count: usize,
    /// Time for which helpers of our own wait for the next call before they sleep.
    spin: Duration,
    source: Source,
}

enum Source {
    /// Only the caller's thread.
    Caller,
    /// The caller's thread and helpers of our own; `None` if the system refused the threads to a forked child.
    Crew(PerProcess<Option<Crew>>),
    /// Threads of a pool that others may use as well. They do not exist in a forked child.
    Pool(PerProcess<SharedPool>),
}

impl Threads {
    /// Default time for which helpers wait for the next call before they sleep: callers that tokenize a text or format
    /// a result in between are back by then, and waking a helper can take longer than this.
    pub const SPIN: Duration = Duration::from_micros(80);

    /// Uses only the caller's thread.
    pub const CALLER: Self = Self { count: 1, spin: Duration::ZERO, source: Source::Caller };

    /// Starts threads until there are `count`, the caller's included.
    ///
    /// # Errors
    /// [`DeviceError::Threads`] if the system refuses one, or if `count` is absurdly large.
    pub fn new(count: usize) -> Result<Self> {
        Self::spinning(count, Self::SPIN)
    }

    /// Starts threads like [`new`](Self::new), which wait for the next call for the time `spin` before they sleep.
    ///
    /// # Errors
    /// Fails like [`new`](Self::new).
    pub fn spinning(count: usize, spin: Duration) -> Result<Self> {
        if count <= 1 {
            return Ok(Self::CALLER);
        }
        let refused = |reason| DeviceError::Threads { threads: count, reason };
        if count > MAX_THREADS {
            return Err(refused(format!("at most {MAX_THREADS} are possible")).into());
        }
        let crew = crew(count, spin).map_err(|error| refused(error.to_string()))?;
        Ok(Self { count, spin, source: Source::Crew(PerProcess::new(Some(crew))) })
    }

    /// Uses the threads of a pool.
    pub fn from_pool(pool: Arc<ThreadPool>) -> Self {
        let count = pool.current_num_threads();
        let source = Source::Pool(PerProcess::new(SharedPool::new(pool)));
        Self { count, spin: Duration::ZERO, source }
    }

    /// Returns the number of physical cores that this process may use: a second thread on a core gains nothing
    /// where the arithmetic units are busy.
    pub fn default_count() -> usize {
        num_cpus::get_physical().clamp(1, allowed_cores())
    }

    /// Returns `true` if calls run only on the caller's thread.
    pub fn is_caller(&self) -> bool {
        matches!(self.source, Source::Caller)
    }

    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns the number of calls that gain from computing at the same time.
    pub fn concurrent_calls(&self) -> usize {
        match &self.source {
            Source::Caller => allowed_cores(),
            Source::Crew(_) => 1,
            Source::Pool(_) => self.count,
        }
    }

    /// Runs `work` on one thread, which shares tasks with the others through the leader.
    ///
    /// Waits until threads are free. Whatever `work` needs should be taken by `work` itself, so that it is not held
    /// by calls that wait.
    pub fn run<R: Send>(&self, work: impl FnOnce(Leader<'_>) -> R + Send) -> R {
        match &self.source {
            Source::Crew(crew) => match self.of_process(crew) {
                Some(crew) => crew.run(work),
                None => run_alone(work),
            },
            Source::Pool(pool) if self.count > 1 => match pool.get() {
                Some(pool) => pool.run(work),
                None => run_alone(work),
            },
            _ => run_alone(work),
        }
    }

    /// Calls `task` with each index below `tasks`, on this thread and on others that are free, and returns when all
    /// calls have returned. Returns `false` without calling it if no other threads could help.
    ///
    /// Never waits for other calls: a caller that finds the threads busy has better things to do.
    #[cfg(feature = "text")]
    pub fn try_share(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) -> bool {
        let lead = |mut leader: Leader<'_>| leader.for_each(Tasks(tasks), |index, ()| task(index));
        match &self.source {
            Source::Crew(crew) => {
                self.of_process(crew).is_some_and(|crew| crew.try_run(lead).is_some())
            }
            Source::Pool(pool) if self.count > 1 => match pool.get() {
                Some(pool) => {
                    pool.lead(lead);
                    true
                }
                None => false,
            },
            _ => false,
        }
    }

    /// Returns this process's crew. A child makes threads of its own, or does without.
    fn of_process<'a>(&self, of: &'a PerProcess<Option<Crew>>) -> Option<&'a Crew> {
        of.get_or_make(|| crew(self.count, self.spin).ok()).as_ref()
    }

    /// Runs `work` like [`run`](Self::run), but never waits for threads of a pool. A caller may thus hold a lock that
    /// those threads wait for.
    #[cfg(feature = "explain")]
    pub fn run_without_pool<R: Send>(&self, work: impl FnOnce(Leader<'_>) -> R + Send) -> R {
        match &self.source {
            Source::Pool(_) => run_alone(work),
            _ => self.run(work),
        }
    }
}

/// Starts a crew of `count` threads, the caller's included. Helpers spin only if all threads have a core: one that spins
/// must not keep another from computing.
fn crew(count: usize, spin: Duration) -> std::io::Result<Crew> {
    Crew::new(count - 1, if count <= allowed_cores() { spin } else { Duration::ZERO })
}

/// Runs `work` only on this thread.
fn run_alone<R>(work: impl FnOnce(Leader<'_>) -> R) -> R {
    work(Team::new(1).split().0)
}

/// Returns the number of cores that this process may use.
fn allowed_cores() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use rayon::ThreadPoolBuilder;
    use rayon::prelude::*;

    use super::*;
    use crate::cpu::parallel::disjoint::{Chunks, Tasks};

    /// `all`, or `few` under Miri, which is slow.
    fn repetitions(all: usize, few: usize) -> usize {
        if cfg!(miri) { few } else { all }
    }

    fn pool(count: usize) -> Arc<ThreadPool> {
        Arc::new(ThreadPoolBuilder::new().num_threads(count).build().unwrap())
    }

    /// Threads of our own and, except under Miri, a pool's: Miri faults Rayon's own pointers.
    fn each_kind(count: usize) -> Vec<Threads> {
        let mut kinds = vec![Threads::new(count).unwrap()];
        if !cfg!(miri) {
            kinds.push(Threads::from_pool(pool(count)));
        }
        assert!(kinds.iter().all(|threads| threads.count() == count));
        kinds
    }

    #[test]
    fn every_task_runs_once_on_any_number_of_threads() {
        let stages = repetitions(50, 3);
        for (count, threads) in (1..=4).flat_map(|n| each_kind(n).into_iter().map(move |t| (n, t)))
        {
            for tasks in [0, 1, 2, 3, repetitions(100, 9)] {
                let mut counts = vec![0; tasks];
                let mut by_worker = vec![0; count];
                threads.run(|mut leader| {
                    for _ in 0..stages {
                        let parts = Chunks::new(&mut counts, 1);
                        leader.for_each_with(&mut by_worker, parts, |worker, _, part| {
                            *worker += 1;
                            part[0] += 1;
                        });
                    }
                });
                assert!(counts.iter().all(|&count| count == stages));
                assert_eq!(by_worker.iter().sum::<usize>(), stages * tasks);
            }
        }
    }

    #[test]
    fn a_worker_runs_one_task_at_a_time() {
        for threads in each_kind(3) {
            threads.run(|mut leader| {
                let mut busy: Vec<AtomicBool> = (0..3).map(|_| AtomicBool::new(false)).collect();
                leader.for_each_with(&mut busy, Tasks(repetitions(1000, 30)), |busy, _, ()| {
                    assert!(!busy.swap(true, Ordering::SeqCst));
                    std::hint::black_box((0..100).sum::<usize>());
                    busy.store(false, Ordering::SeqCst);
                });
            });
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri faults Rayon's own pointers")]
    fn a_call_from_within_a_busy_pool_finishes() {
        let pool = pool(2);
        for threads in [Threads::from_pool(pool.clone()), Threads::new(2).unwrap()] {
            let sums: Vec<usize> = pool.install(|| {
                (0..64usize).into_par_iter().map(|tasks| count_tasks(&threads, tasks)).collect()
            });
            assert!(sums.into_iter().eq(0..64));
        }
    }

    fn count_tasks(threads: &Threads, tasks: usize) -> usize {
        let done = AtomicUsize::new(0);
        threads.run(|mut leader| {
            leader.for_each(Tasks(tasks), |_, ()| {
                done.fetch_add(1, Ordering::Relaxed);
            });
        });
        done.into_inner()
    }

    #[test]
    #[cfg(feature = "text")]
    fn shared_tasks_run_once_each_unless_the_threads_are_busy() {
        let tasks = repetitions(100, 5);
        let share = |threads: &Threads| {
            let counts: Vec<_> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
            let is_shared = threads.try_share(tasks, &|index| {
                counts[index].fetch_add(1, Ordering::Relaxed);
            });
            let expected = usize::from(is_shared);
            assert!(counts.into_iter().all(|count| count.into_inner() == expected));
            is_shared
        };
        assert!(!share(&Threads::CALLER));
        for threads in each_kind(2) {
            assert!(share(&threads));
            // A busy pool helps nobody, but makes nobody wait either.
            let has_turns = matches!(threads.source, Source::Crew(_));
            threads.run(|_| assert_eq!(share(&threads), !has_turns));
        }
    }

    #[test]
    fn concurrent_calls_take_turns() {
        for threads in each_kind(2) {
            std::thread::scope(|scope| {
                for caller in 0..4 {
                    let threads = &threads;
                    scope.spawn(move || {
                        for call in 0..repetitions(500, 3) {
                            assert_eq!(count_tasks(threads, caller + call % 3), caller + call % 3);
                        }
                    });
                }
            });
        }
    }

    #[test]
    fn a_panicking_task_ends_its_call_with_its_payload() {
        let tasks = repetitions(100, 10);
        for threads in each_kind(2) {
            for bad in [0, 7, tasks - 1] {
                let call = || {
                    threads.run(|mut leader| {
                        leader.for_each(Tasks(tasks), |index, ()| {
                            if index == bad {
                                std::panic::panic_any(index);
                            }
                        });
                    });
                };
                let payload = catch_unwind(AssertUnwindSafe(call)).unwrap_err();
                assert_eq!(payload.downcast_ref(), Some(&bad));
            }
            assert_eq!(count_tasks(&threads, 10), 10);
        }
    }

    #[test]
    fn a_call_during_unwinding_succeeds() {
        struct Calls<'a>(&'a Threads, &'a AtomicUsize);
        impl Drop for Calls<'_> {
            fn drop(&mut self) {
                assert!(std::thread::panicking());
                self.1.fetch_add(count_tasks(self.0, 10), Ordering::Relaxed);
            }
        }
        for threads in each_kind(2) {
            let counted = AtomicUsize::new(0);
            let unwind = || {
                let _calls = Calls(&threads, &counted);
                panic!("the caller");
            };
            assert!(catch_unwind(AssertUnwindSafe(unwind)).is_err());
            assert_eq!(counted.into_inner(), 10);
        }
    }

    #[test]
    fn the_first_error_is_returned() {
        for threads in each_kind(2) {
            let fail = |index, ()| if index % 3 == 2 { Err(index) } else { Ok(()) };
            let result = threads.run(|mut leader| leader.try_for_each(Tasks(20), fail));
            assert_eq!(result, Err(2));
        }
    }
}
