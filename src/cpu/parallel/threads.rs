//! The threads that a call is spread over.

use std::ops::Range;
use std::sync::Arc;

use rayon::ThreadPool;

use crate::cpu::parallel::crew::Crew;
use crate::cpu::parallel::team::Team;
use crate::error::{Error, Result};

/// Where the threads of a call come from.
pub(crate) enum Threads {
    /// The caller's thread alone.
    Caller,
    /// The caller's and helpers of our own.
    Crew(Crew),
    /// Those of a pool that others may use as well.
    Pool(Arc<ThreadPool>),
}

impl Threads {
    pub fn new(count: usize) -> Result<Self> {
        if count <= 1 {
            return Ok(Self::Caller);
        }
        match Crew::new(count - 1) {
            Ok(crew) => Ok(Self::Crew(crew)),
            Err(error) => Err(Error::Threads { threads: count, reason: error.to_string() }),
        }
    }

    /// The machine's physical cores, as far as this process may use them: a second thread on a core
    /// gains nothing where the arithmetic units are busy.
    pub fn default_count() -> usize {
        let allowed = std::thread::available_parallelism().map_or(1, |count| count.get());
        num_cpus::get_physical().clamp(1, allowed)
    }

    /// Whether calls have nothing but the caller's own thread.
    pub fn is_one(&self) -> bool {
        matches!(self, Self::Caller)
    }

    pub fn count(&self) -> usize {
        match self {
            Self::Caller => 1,
            Self::Crew(crew) => crew.helpers() + 1,
            Self::Pool(pool) => pool.current_num_threads(),
        }
    }

    /// Runs `work` on one thread, which deals tasks out to the others through the team.
    pub fn run<R: Send>(&self, work: impl FnOnce(&Team) -> R + Send) -> R {
        let size = self.count();
        let team = &Team::new(size);
        match self {
            Self::Crew(crew) => crew.run(team, || work(team)),
            Self::Pool(pool) if size > 1 => pool.install(|| {
                let lead = || {
                    let _dismissal = Dismissal(team);
                    work(team)
                };
                rayon::join(lead, || help_all(team, 1..size)).0
            }),
            _ => work(team),
        }
    }
}

/// Puts a helper on each thread of the pool that is free.
fn help_all(team: &Team, workers: Range<usize>) {
    match workers.len() {
        0 => {}
        1 => team.help(workers.start),
        len => {
            let middle = workers.start + len / 2;
            rayon::join(
                || help_all(team, workers.start..middle),
                || help_all(team, middle..workers.end),
            );
        }
    }
}

/// Ends a team, also where the leader panics.
struct Dismissal<'a>(&'a Team);

impl Drop for Dismissal<'_> {
    fn drop(&mut self) {
        self.0.dismiss();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use rayon::ThreadPoolBuilder;
    use rayon::prelude::*;

    use super::*;
    use crate::cpu::parallel::disjoint::Parts;

    fn pool(count: usize) -> Arc<ThreadPool> {
        Arc::new(ThreadPoolBuilder::new().num_threads(count).build().unwrap())
    }

    /// Own threads, and a pool's.
    fn of_either_kind(count: usize) -> [Threads; 2] {
        let kinds = [Threads::new(count).unwrap(), Threads::Pool(pool(count))];
        assert!(kinds.iter().all(|threads| threads.count() == count));
        kinds
    }

    #[test]
    fn every_task_of_every_stage_runs_once_whatever_the_number_of_threads() {
        for (count, threads) in (1..=4).flat_map(|n| of_either_kind(n).map(|kind| (n, kind))) {
            for tasks in [0, 1, 2, 3, 100] {
                let mut counts = vec![0.0; tasks];
                threads.run(|team| {
                    for _ in 0..50 {
                        let parts = Parts::new(&mut counts);
                        team.for_each(tasks, |worker, index| {
                            assert!(worker < count);
                            // SAFETY: each task takes the part of its own index.
                            let part = unsafe { parts.part(index..index + 1) };
                            part[0] += 1.0;
                        });
                    }
                });
                assert!(counts.iter().all(|&count| count == 50.0));
            }
        }
    }

    #[test]
    fn a_worker_has_one_task_at_a_time() {
        for threads in of_either_kind(3) {
            threads.run(|team| {
                let busy: Vec<AtomicBool> = (0..3).map(|_| AtomicBool::new(false)).collect();
                team.for_each(1000, |worker, _| {
                    assert!(!busy[worker].swap(true, Ordering::SeqCst));
                    std::hint::black_box((0..100).sum::<usize>());
                    busy[worker].store(false, Ordering::SeqCst);
                });
            });
        }
    }

    #[test]
    fn a_call_from_within_a_busy_pool_finishes() {
        let pool = pool(2);
        for threads in [Threads::Pool(pool.clone()), Threads::new(2).unwrap()] {
            let sums: Vec<usize> = pool.install(|| {
                (0..64usize).into_par_iter().map(|tasks| count_tasks(&threads, tasks)).collect()
            });
            assert!(sums.into_iter().eq(0..64));
        }
    }

    fn count_tasks(threads: &Threads, tasks: usize) -> usize {
        let done = AtomicUsize::new(0);
        threads.run(|team| {
            team.for_each(tasks, |_, _| {
                done.fetch_add(1, Ordering::Relaxed);
            });
        });
        done.into_inner()
    }

    #[test]
    fn calls_at_the_same_time_take_turns() {
        for threads in of_either_kind(2) {
            std::thread::scope(|scope| {
                for caller in 0..4 {
                    let threads = &threads;
                    scope.spawn(move || {
                        for call in 0..500 {
                            assert_eq!(count_tasks(threads, caller + call % 3), caller + call % 3);
                        }
                    });
                }
            });
        }
    }

    #[test]
    fn a_task_that_panics_ends_the_call_and_nothing_else() {
        for threads in of_either_kind(2) {
            for bad in [0, 7, 99] {
                let call =
                    || threads.run(|team| team.for_each(100, |_, index| assert!(index != bad)));
                assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
            }
            assert_eq!(count_tasks(&threads, 10), 10);
        }
    }
}
