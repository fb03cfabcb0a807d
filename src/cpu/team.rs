//! One leader and its helpers, and the work dealt out to them.

use std::marker::PhantomData;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// One leader and its helpers, for the length of a call.
///
/// The leader offers one stage of tasks after the other and takes part in each. Helpers wait for the
/// next stage without sleeping: from stage to stage it takes less than a microsecond, where waking a
/// thread takes tens. A helper that never comes, because its thread is busy, is not missed: its tasks
/// are done by the others.
pub(crate) struct Team {
    size: usize,
    /// Tasks of the stage that nobody has taken, or [`DISMISSED`].
    left: AtomicUsize,
    /// The stage. Valid from when a task has been taken until it is done.
    stage: AtomicPtr<Stage>,
}

/// What `left` is when no stage will come any more.
const DISMISSED: usize = usize::MAX;

/// Looks at `left` before a helper lets other threads have the core: some tens of microseconds.
const SPINS: u32 = 10_000;

struct Stage {
    /// Runs a task on a worker.
    run: unsafe fn(task: *const (), worker: usize, index: usize),
    task: *const (),
    tasks: usize,
    /// Tasks that are not done.
    pending: AtomicUsize,
    panicked: AtomicBool,
}

impl Team {
    pub fn new(size: usize) -> Self {
        Self { size, left: AtomicUsize::new(0), stage: AtomicPtr::new(ptr::null_mut()) }
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
            tasks,
            pending: AtomicUsize::new(tasks),
            panicked: AtomicBool::new(false),
        };
        self.stage.store((&raw const stage).cast_mut(), Ordering::Relaxed);
        self.left.store(tasks, Ordering::Release);
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
        while self.left.load(Ordering::Relaxed) != DISMISSED {
            match catch_unwind(AssertUnwindSafe(|| self.take_task(worker))) {
                Ok(false) => wait(&mut spins),
                Ok(true) | Err(_) => spins = 0,
            }
        }
    }

    /// Tells the helpers that no stage will come any more.
    pub fn dismiss(&self) {
        self.left.store(DISMISSED, Ordering::Release);
    }

    /// Does one task, if there is one.
    fn take_task(&self, worker: usize) -> bool {
        let one_less = |left| (left != DISMISSED && left > 0).then(|| left - 1);
        let Ok(left) = self.left.fetch_update(Ordering::Acquire, Ordering::Relaxed, one_less)
        else {
            return false;
        };
        // SAFETY: a task of the stage has been taken, and `for_each` keeps the stage, and what it points
        // to, until `pending` says that all tasks are done, which this one is at the end of `Done`. The
        // store of `left` that the taking has read, at first or second hand, came after the stage's.
        unsafe {
            let stage = &*self.stage.load(Ordering::Relaxed);
            let _done = Done(stage);
            (stage.run)(stage.task, worker, stage.tasks - left);
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
        let untaken = self.team.left.swap(0, Ordering::Relaxed);
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

    /// Where a value would be; it need not be in the slice.
    pub fn address(&self, index: usize) -> *const T {
        self.start.wrapping_add(index)
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
