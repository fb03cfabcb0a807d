//! Threads, and the work dealt out to them.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{Error, Result};

/// The engine's own threads.
pub(crate) struct Threads {
    /// None with one thread: everything then runs on the caller's.
    pool: Option<ThreadPool>,
}

impl Threads {
    pub fn new(count: usize) -> Result<Self> {
        if count <= 1 {
            return Ok(Self { pool: None });
        }
        let pool = ThreadPoolBuilder::new()
            .num_threads(count)
            .thread_name(|index| format!("distilbert-{index}"))
            .build()
            .map_err(|error| Error::Threads { threads: count, reason: error.to_string() })?;
        Ok(Self { pool: Some(pool) })
    }

    /// The machine's physical cores, as far as this process may use them: a second thread on a core
    /// gains nothing where the arithmetic units are busy.
    pub fn default_count() -> usize {
        let allowed = std::thread::available_parallelism().map_or(1, |count| count.get());
        num_cpus::get_physical().clamp(1, allowed)
    }

    pub fn count(&self) -> usize {
        self.pool.as_ref().map_or(1, ThreadPool::current_num_threads)
    }

    /// Enters the pool once, so that the work inside is dealt out without crossing over again.
    pub fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match &self.pool {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }
}

/// Runs `task` for each of `0..tasks`, on as many threads as there are `workers`, each with a worker
/// of its own. Which thread takes which task is left to chance, so a task's result must not depend
/// on the worker.
///
/// Called inside [`Threads::install`]. Allocates nothing.
pub(crate) fn for_each_task<W: Send>(
    workers: &mut [W],
    tasks: usize,
    task: impl Fn(&mut W, usize) + Sync,
) {
    let workers = {
        let used = workers.len().min(tasks);
        &mut workers[..used]
    };
    let next = AtomicUsize::new(0);
    fan_out(workers, &|worker| {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= tasks {
                return;
            }
            task(worker, index);
        }
    });
}

fn fan_out<W: Send>(workers: &mut [W], work: &(impl Fn(&mut W) + Sync)) {
    match workers {
        [] => {}
        [worker] => work(worker),
        _ => {
            let (left, right) = workers.split_at_mut(workers.len() / 2);
            rayon::join(|| fan_out(left, work), || fan_out(right, work));
        }
    }
}

/// A slice that tasks write to in parts which do not overlap.
pub(crate) struct Parts<'a, T = f32> {
    start: *mut T,
    len: usize,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: a `Parts` gives out nothing but slices of values that may be sent, and only through `part`,
// whose caller keeps them apart.
unsafe impl<T: Send> Sync for Parts<'_, T> {}

impl<'a, T> Parts<'a, T> {
    pub fn new(values: &'a mut [T]) -> Self {
        Self { start: values.as_mut_ptr(), len: values.len(), borrow: PhantomData }
    }

    /// A part of the slice.
    ///
    /// # Safety
    /// No two parts that are held at the same time overlap.
    #[expect(clippy::mut_from_ref, reason = "that is the point: the caller keeps the parts apart")]
    #[inline(always)]
    pub unsafe fn part(&self, range: Range<usize>) -> &mut [T] {
        assert!(
            range.start <= range.end && range.end <= self.len,
            "the part reaches past the slice"
        );
        // SAFETY: the range lies in the slice, which is borrowed alone for `'a`; the caller holds
        // no other part that overlaps it.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once_whatever_the_number_of_threads() {
        for threads in 1..=4 {
            let pool = Threads::new(threads).unwrap();
            assert_eq!(pool.count(), threads);
            for tasks in [0, 1, 2, 3, 100] {
                let mut counts = vec![0.0; tasks];
                let parts = Parts::new(&mut counts);
                pool.install(|| {
                    for_each_task(&mut vec![(); threads], tasks, |(), index| {
                        // SAFETY: each task takes the part of its own index.
                        let part = unsafe { parts.part(index..index + 1) };
                        part[0] += 1.0;
                    });
                });
                assert!(counts.iter().all(|&count| count == 1.0));
            }
        }
    }
}
