//! A leader, its helpers, and the tasks that they share.

use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::sync::PoisonError;

use super::disjoint::{DisjointMut, Split};
use super::sync::{
    AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Backoff, Lifetime, Mutex, Ordering,
};

/// State shared by one leader and its helpers, for the length of a call or for many calls.
///
/// The leader runs stages of tasks one after another and takes part in each. Between stages, helpers spin
/// instead of sleeping: the next stage starts within a microsecond, but waking a thread takes tens.
///
/// Each worker starts with a share of consecutive tasks, because a task prefetches data for the next one into
/// the cache of its own core. In `int8`, a second core speeds up a text of 16 tokens by 70% with shares, but only by 6%
/// if tasks are dealt out in turn. A worker that runs out takes tasks from the ends of the other shares, so a helper
/// that never arrives because its thread is busy does not delay the call.
pub(super) struct Team {
    size: usize,
    /// Remaining tasks of each worker. Workers past the last share only take from others.
    shares: [Share; MAX_SHARES],
    /// Current stage. Valid from when one of its tasks has been taken until that task is counted as finished.
    stage: AtomicPtr<Stage<'static>>,
    /// `true` once no further stage will come.
    is_dismissed: AtomicBool,
}

/// The team of a call lives on the stack, because no call allocates: 4 KiB.
const MAX_SHARES: usize = if cfg!(loom) { 2 } else { 32 };

/// Tasks of a share that nobody has taken: the first in the lower 32 bits, the end in the upper 32. Each share
/// has a pair of cache lines of its own, because lines are fetched in pairs.
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

    /// Takes the task at one end.
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

    /// Takes all remaining tasks and returns their number.
    ///
    /// Leaves an empty share alone, because the leader may be about to offer its tasks. Swapping in a zero would be
    /// sound, since the offer would come later in the modification order, but loom does not know that order.
    fn empty(&self) -> usize {
        let all = |packed| (!Self::unpack(packed).is_empty()).then_some(0);
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, all) {
            Ok(packed) => Self::unpack(packed).count(),
            Err(_) => 0,
        }
    }
}

/// End of a share.
#[derive(Clone, Copy)]
enum End {
    First,
    Last,
}

/// Tasks that run between two calls of the leader.
struct Stage<'a> {
    /// Runs a task, given the worker and the task's index.
    task: &'a (dyn Fn(usize, usize) + Sync),
    /// Tasks that have not finished.
    pending: AtomicUsize,
    /// Payload of the first panic.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    lifetime: Lifetime,
}

impl Stage<'_> {
    /// Keeps the first payload. Others are leaked, because dropping one may panic again.
    fn record(&self, payload: Box<dyn Any + Send>) {
        let mut first = self.panic.lock().unwrap_or_else(PoisonError::into_inner);
        match *first {
            None => *first = Some(payload),
            Some(_) => std::mem::forget(payload),
        }
    }
}

impl Team {
    pub fn new(size: usize) -> Self {
        Self {
            size,
            shares: std::array::from_fn(|_| Share(AtomicU64::new(0))),
            stage: AtomicPtr::new(ptr::null_mut()),
            is_dismissed: AtomicBool::new(false),
        }
    }

    /// Returns the team's only leader and the seats of all its helpers.
    pub fn split(&mut self) -> (Leader<'_>, Seats<'_>) {
        let team = &*self;
        (Leader { team }, Seats { team })
    }

    /// Tells the helpers that no further stage will come.
    pub fn dismiss(&self) {
        self.is_dismissed.store(true, Ordering::Relaxed);
    }

    fn shares(&self) -> &[Share] {
        &self.shares[..self.size.min(MAX_SHARES)]
    }

    /// Runs one task and returns `true`, or returns `false` if none is left. Never unwinds.
    fn run_task(&self, worker: usize) -> bool {
        let shares = self.shares();
        let own = shares.get(worker).and_then(|share| share.take(End::First));
        let Some(index) = own.or_else(|| shares.iter().find_map(|share| share.take(End::Last)))
        else {
            return false;
        };
        // SAFETY: a task of the stage has been taken and is not counted as finished yet, so `Leader::run` keeps
        // the stage alive. The task was read from a share, directly or through other takers' updates (a release
        // sequence), that `run` offered after it had stored this stage.
        let stage = unsafe { &*self.stage.load(Ordering::Relaxed) };
        stage.lifetime.read();
        let mut finished = 1;
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| (stage.task)(worker, index))) {
            stage.record(payload);
            // Nobody needs the results of the rest.
            finished += shares.iter().map(Share::empty).sum::<usize>();
        }
        // The stage may be gone after this.
        stage.pending.fetch_sub(finished, Ordering::Release);
        true
    }
}

/// The thread that starts stages. There is one for each team, and it cannot be cloned.
pub(crate) struct Leader<'a> {
    team: &'a Team,
}

impl<'a> Leader<'a> {
    /// Makes the leader of a team.
    ///
    /// # Safety
    /// The team has no other leader until this one is dropped.
    pub(super) unsafe fn new(team: &'a Team) -> Self {
        Self { team }
    }
}

impl Leader<'_> {
    /// Returns a leader in place of this one, which cannot be used in the meantime.
    pub fn reborrow(&mut self) -> Leader<'_> {
        Leader { team: self.team }
    }

    /// Returns the number of workers, the leader included.
    pub fn size(&self) -> usize {
        self.team.size
    }

    /// Calls `task` with each part and its index, and returns when all calls have returned. It is up to chance which
    /// worker gets a part, so results must not depend on the worker.
    ///
    /// # Panics
    /// If a task panics, with its payload.
    pub fn for_each<S: Split>(&mut self, split: S, task: impl Fn(usize, S::Part) + Sync) {
        self.run(split.parts(), &|_, index| {
            // SAFETY: `run` calls this once for each index below `parts`.
            task(index, unsafe { split.part(index) });
        });
    }

    /// Calls `task` with each part, its index, and scratch that no other call uses in the meantime.
    ///
    /// # Panics
    /// If there is less scratch than workers, or if a task panics, with its payload.
    pub fn for_each_with<T: Send, S: Split>(
        &mut self,
        scratch: &mut [T],
        split: S,
        task: impl Fn(&mut T, usize, S::Part) + Sync,
    ) {
        assert!(scratch.len() >= self.size(), "each worker needs scratch");
        let scratch = DisjointMut::new(scratch);
        self.run(split.parts(), &|worker, index| {
            // SAFETY: `run` calls this once for each index below `parts`, and a worker runs one task at a time.
            let (scratch, part) = unsafe { (scratch.get(worker), split.part(index)) };
            task(scratch, index, part);
        });
    }

    /// Calls `task` with each part and its index. Returns the error of the lowest index that failed.
    ///
    /// # Errors
    /// If a task returns one.
    ///
    /// # Panics
    /// If a task panics, with its payload.
    pub fn try_for_each<S: Split, E: Send>(
        &mut self,
        split: S,
        task: impl Fn(usize, S::Part) -> Result<(), E> + Sync,
    ) -> Result<(), E> {
        let first = std::sync::Mutex::new(None);
        self.for_each(split, |index, part| {
            if let Err(error) = task(index, part) {
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

    /// Calls `task(worker, index)` once for each index below `tasks`. No two calls that run at the same time
    /// have the same worker, which is below [`size`](Self::size).
    fn run(&mut self, tasks: usize, task: &(dyn Fn(usize, usize) + Sync)) {
        if self.team.size == 1 || tasks <= 1 {
            (0..tasks).for_each(|index| task(0, index));
            return;
        }
        let total = u32::try_from(tasks).expect("a stage has at most u32::MAX tasks");
        let stage = Stage {
            task,
            pending: AtomicUsize::new(tasks),
            panic: Mutex::new(None),
            lifetime: Lifetime::default(),
        };
        let erased = (&raw const stage).cast::<Stage<'static>>().cast_mut();
        self.team.stage.store(erased, Ordering::Relaxed);
        let (shares, total) = (self.team.shares(), u64::from(total));
        let count = shares.len() as u64;
        for (index, share) in (0..).zip(shares) {
            share.offer(index * total / count..(index + 1) * total / count);
        }
        // Nothing unwinds from here until all tasks have finished: the stage is on this stack.
        while self.team.run_task(0) {}
        let mut backoff = Backoff::default();
        while stage.pending.load(Ordering::Acquire) > 0 {
            backoff.wait();
        }
        stage.lifetime.end();
        let payload = stage.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(stage);
        if let Some(payload) = payload {
            resume_unwind(payload);
        }
    }
}

/// The right to make seats for helpers, each of which exists once.
pub(super) struct Seats<'a> {
    team: &'a Team,
}

impl<'a> Seats<'a> {
    /// Returns the team, for which [`Seat::new`] makes the seats.
    pub fn into_team(self) -> &'a Team {
        self.team
    }
}

/// A helper's place in a team: the right to run tasks as one worker.
pub(super) struct Seat<'a> {
    team: &'a Team,
    worker: usize,
}

impl<'a> Seat<'a> {
    /// Makes a seat.
    ///
    /// # Safety
    /// The team's [`Seats`] have been given up or were never made, the worker is above zero and below the team's size,
    /// and it has no other seat.
    pub unsafe fn new(team: &'a Team, worker: usize) -> Self {
        Self { team, worker }
    }

    /// Runs tasks until the team is dismissed. A task's panic is raised by the leader's call.
    pub fn help(self) {
        self.help_while(|| !self.team.is_dismissed.load(Ordering::Relaxed));
    }

    /// Runs tasks while a condition holds.
    pub fn help_while(&self, is_wanted: impl Fn() -> bool) {
        let mut backoff = Backoff::default();
        while is_wanted() {
            if self.run_task() {
                backoff.reset();
            } else {
                backoff.wait();
            }
        }
    }

    /// Runs one task and returns `true`, or returns `false` if none is left.
    pub fn run_task(&self) -> bool {
        self.team.run_task(self.worker)
    }
}
