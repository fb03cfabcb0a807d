//! One leader and its helpers, and the work dealt out to them.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// One leader and its helpers, for the length of a call.
///
/// The leader offers one stage of tasks after the other and takes part in each. Helpers wait for the
/// next stage without sleeping: from stage to stage it takes less than a microsecond, where waking a
/// thread takes tens.
///
/// Each worker has a share of tasks that follow one another, since a task fetches ahead what the next
/// one reads, and that must be for its own core: with tasks dealt out in turn, a text of 16 tokens gains
/// 6 % from a second core in `int8`, with shares 70 %. Who is done takes from the ends of the others'
/// shares, so a helper that never comes, because its thread is busy, is not missed.
pub(crate) struct Team {
    size: usize,
    /// What is left of each worker's share. Workers beyond the last have none of their own.
    shares: [Share; MOST_SHARES],
    /// The stage. Valid from when a task has been taken until it is done.
    stage: AtomicPtr<Stage>,
    /// Whether no stage will come any more.
    is_dismissed: AtomicBool,
}

/// On a stack, for no call allocates: 4 KiB.
const MOST_SHARES: usize = 32;

/// Looks for a task before a helper lets other threads have the core: some tens of microseconds.
const SPINS: u32 = 10_000;

/// The tasks of a share that nobody has taken: the first in the lower 32 bits, the one past the last in
/// the upper. Each is in a pair of cache lines of its own, for lines are fetched in pairs.
#[repr(align(128))]
struct Share(AtomicU64);

impl Share {
    fn pack(tasks: Range<u64>) -> u64 {
        tasks.start | tasks.end << 32
    }

    fn unpack(packed: u64) -> Range<u64> {
        packed & u64::from(u32::MAX)..packed >> 32
    }

    fn offer(&self, tasks: Range<u64>) {
        self.0.store(Self::pack(tasks), Ordering::Release);
    }

    /// Takes the first task, or the last.
    fn take(&self, end: End) -> Option<usize> {
        let one_less = |packed| {
            let Range { start, end: past } = Self::unpack(packed);
            (start < past).then(|| match end {
                End::First => Self::pack(start + 1..past),
                End::Last => Self::pack(start..past - 1),
            })
        };
        let packed = self.0.fetch_update(Ordering::Acquire, Ordering::Relaxed, one_less).ok()?;
        let tasks = Self::unpack(packed);
        Some(match end {
            End::First => tasks.start,
            End::Last => tasks.end - 1,
        } as usize)
    }

    /// Takes all, and says how many they are.
    fn empty(&self) -> usize {
        let tasks = Self::unpack(self.0.swap(0, Ordering::Relaxed));
        (tasks.end - tasks.start) as usize
    }
}

/// Of a share.
#[derive(Clone, Copy)]
enum End {
    First,
    Last,
}

struct Stage {
    /// Runs a task on a worker.
    run: unsafe fn(task: *const (), worker: usize, index: usize),
    task: *const (),
    /// Tasks that are not done.
    pending: AtomicUsize,
    panicked: AtomicBool,
}

impl Team {
    pub fn new(size: usize) -> Self {
        Self {
            size,
            shares: [const { Share(AtomicU64::new(0)) }; MOST_SHARES],
            stage: AtomicPtr::new(ptr::null_mut()),
            is_dismissed: AtomicBool::new(false),
        }
    }

    /// The most workers that a stage has.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Runs `task(worker, index)` for each index below `tasks`, and returns when all are done. A worker,
    /// below [`size`](Self::size), has one task at a time. Which worker takes which task is left to
    /// chance, so a task's result must not depend on it. Called by the leader alone.
    pub fn for_each<F: Fn(usize, usize) + Sync>(&self, tasks: usize, task: F) {
        /// # Safety
        /// `task` points to an `F`.
        unsafe fn run<F: Fn(usize, usize)>(task: *const (), worker: usize, index: usize) {
            // SAFETY: the caller's.
            let task = unsafe { &*task.cast::<F>() };
            task(worker, index);
        }
        if self.size == 1 || tasks <= 1 {
            (0..tasks).for_each(|index| task(0, index));
            return;
        }
        let stage = Stage {
            run: run::<F>,
            task: (&raw const task).cast(),
            pending: AtomicUsize::new(tasks),
            panicked: AtomicBool::new(false),
        };
        self.stage.store((&raw const stage).cast_mut(), Ordering::Relaxed);
        let tasks = u32::try_from(tasks).expect("a task takes microseconds, so many take an hour");
        let (shares, tasks) = (self.shares(), u64::from(tasks));
        let count = shares.len() as u64;
        for (index, share) in (0..).zip(shares) {
            share.offer(index * tasks / count..(index + 1) * tasks / count);
        }
        {
            let _end = StageEnd { team: self, stage: &stage };
            while self.take_task(0) {}
        }
        assert!(!stage.panicked.load(Ordering::Relaxed), "a task panicked");
    }

    /// As [`for_each`](Self::for_each), for tasks that may fail; gives the error of the first that did.
    pub fn try_for_each<E: Send>(
        &self,
        tasks: usize,
        task: impl Fn(usize, usize) -> Result<(), E> + Sync,
    ) -> Result<(), E> {
        let first = Mutex::new(None);
        self.for_each(tasks, |worker, index| {
            if let Err(error) = task(worker, index) {
                let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
                if first.as_ref().is_none_or(|&(earlier, _)| index < earlier) {
                    *first = Some((index, error));
                }
            }
        });
        match first.into_inner().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some((_, error)) => Err(error),
        }
    }

    /// Helps as this worker, not 0, until the team is dismissed. A task that panics does so in the
    /// leader's `for_each`.
    pub fn help(&self, worker: usize) {
        let mut spins = 0;
        while !self.is_dismissed.load(Ordering::Relaxed) {
            match catch_unwind(AssertUnwindSafe(|| self.take_task(worker))) {
                Ok(false) => wait(&mut spins),
                Ok(true) | Err(_) => spins = 0,
            }
        }
    }

    /// Tells the helpers that no stage will come any more.
    pub fn dismiss(&self) {
        self.is_dismissed.store(true, Ordering::Relaxed);
    }

    fn shares(&self) -> &[Share] {
        &self.shares[..self.size.min(MOST_SHARES)]
    }

    /// Does one task, if there is one.
    fn take_task(&self, worker: usize) -> bool {
        let shares = self.shares();
        let own = shares.get(worker).and_then(|share| share.take(End::First));
        let Some(index) = own.or_else(|| shares.iter().find_map(|share| share.take(End::Last)))
        else {
            return false;
        };
        // SAFETY: a task of the stage has been taken, and `for_each` keeps the stage, and what it points
        // to, until `pending` says that all tasks are done, which this one is at the end of `Done`. The
        // offer of the share that the taking has read, at first or second hand, came after the stage's.
        unsafe {
            let stage = &*self.stage.load(Ordering::Relaxed);
            let _done = Done(stage);
            (stage.run)(stage.task, worker, index);
        }
        true
    }
}

/// Waits for the tasks that others have taken, also where the leader panics: the stage is its own.
struct StageEnd<'a> {
    team: &'a Team,
    stage: &'a Stage,
}

impl Drop for StageEnd<'_> {
    fn drop(&mut self) {
        // None is left unless the leader panics.
        let untaken = self.team.shares().iter().map(Share::empty).sum();
        self.stage.pending.fetch_sub(untaken, Ordering::Relaxed);
        let mut spins = 0;
        while self.stage.pending.load(Ordering::Acquire) > 0 {
            wait(&mut spins);
        }
    }
}

/// Counts a task as done, also where it panics: the leader waits for it.
struct Done<'a>(&'a Stage);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        let Stage { panicked, pending, .. } = self.0;
        if std::thread::panicking() {
            panicked.store(true, Ordering::Relaxed);
        }
        // The stage may be gone after this.
        pending.fetch_sub(1, Ordering::Release);
    }
}

/// Waits a little, on the core at first; `spins` counts the times.
pub(crate) fn wait(spins: &mut u32) {
    *spins += 1;
    if *spins < SPINS {
        std::hint::spin_loop();
    } else {
        std::thread::yield_now();
    }
}
