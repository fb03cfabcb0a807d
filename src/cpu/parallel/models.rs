//! Models of the team's protocol and of turns. Loom runs them through every interleaving with at most two preemptions
//! and every outcome of the memory model; for whole crews, through some of them with at most one preemption.
//!
//! ```text
//! CARGO_TARGET_DIR=target/loom RUSTFLAGS="--cfg loom" \
//!   cargo test --release --package distilbert --no-default-features --lib cpu::parallel
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use loom::cell::UnsafeCell;

use super::crew::Crew;
use super::disjoint::Tasks;
use super::sync::{Arc, AtomicBool, Ordering, thread};
use super::team::{Leader, Seat, Team};
use crate::sync::Turns;

/// Checks every execution with at most two preemptions.
fn model(execution: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(execution);
}

/// Checks as many executions with at most one preemption as fit in 15 seconds: whole crews have too many.
fn model_partly(execution: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(1);
    builder.max_duration = Some(Duration::from_secs(15));
    builder.check(execution);
}

/// Counters that loom checks for data races.
struct Cells(Vec<UnsafeCell<usize>>);

// SAFETY: loom checks the accesses.
unsafe impl Sync for Cells {}

// SAFETY: as above.
unsafe impl Send for Cells {}

impl Cells {
    fn new(count: usize) -> Self {
        Self((0..count).map(|_| UnsafeCell::new(0)).collect())
    }

    fn add(&self, index: usize) {
        // SAFETY: loom fails the model if another access overlaps.
        self.0[index].with_mut(|value| unsafe { *value += 1 });
    }

    fn value(&self, index: usize) -> usize {
        // SAFETY: loom fails the model if a write overlaps.
        self.0[index].with(|value| unsafe { *value })
    }
}

/// Runs stages of tasks, each of which writes a cell that the leader reads after the stage.
fn lead(mut leader: Leader<'_>, stages: usize, tasks: usize) {
    let cells = Cells::new(tasks);
    let mut scratch: Vec<Cells> = (0..leader.size()).map(|_| Cells::new(1)).collect();
    for stage in 1..=stages {
        leader.for_each_with(&mut scratch, Tasks(tasks), |scratch, index, ()| {
            scratch.add(0);
            cells.add(index);
        });
        assert!((0..tasks).all(|index| cells.value(index) == stage));
    }
    assert_eq!(scratch.iter().map(|scratch| scratch.value(0)).sum::<usize>(), stages * tasks);
}

/// Leads a team whose helpers run `help` on threads that start at any time, even after the last stage.
fn with_helpers(
    helpers: usize,
    help: impl Fn(Seat<'_>) + Copy + Sync + Send + 'static,
    [stages, tasks]: [usize; 2],
) {
    model(move || {
        let mut team = Box::new(Team::new(helpers + 1));
        let team: *mut Team = &raw mut *team;
        // SAFETY: the team outlives the threads, which are joined below.
        let (leader, seats) = unsafe { &mut *team }.split();
        let team = seats.into_team();
        let threads: Vec<_> = (1..=helpers)
            .map(|worker| {
                // SAFETY: the team's seats have been given up, and each worker gets one new seat.
                let seat = unsafe { Seat::new(team, worker) };
                thread::spawn(move || help(seat))
            })
            .collect();
        lead(leader, stages, tasks);
        team.dismiss();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn one_helper_and_two_stages() {
    with_helpers(1, |seat| seat.help(), [2, 2]);
}

#[test]
fn one_helper_and_more_tasks_than_workers() {
    with_helpers(1, |seat| seat.help(), [1, 3]);
}

/// Two waiting helpers could alternate forever, so these give up.
#[test]
fn two_helpers_of_which_one_has_no_share() {
    let help = |seat: Seat<'_>| {
        seat.run_task();
    };
    with_helpers(2, help, [1, 2]);
}

/// Checks a crew whose helper sleeps at once, and one whose helper spins first.
fn model_crew(execution: impl Fn(Crew) + Copy + Sync + Send + 'static) {
    for spin in [Duration::ZERO, Duration::from_micros(1)] {
        model_partly(move || execution(Crew::new(1, spin).unwrap()));
    }
}

#[test]
fn a_crew_serves_one_call_after_another_and_closes() {
    model_crew(|crew| (0..2).for_each(|_| crew.run(|leader| lead(leader, 1, 2))));
}

/// The leader's task waits for the helper's, so a helper that sleeps through the call fails the model.
#[test]
fn each_call_wakes_the_helper() {
    model_crew(|crew| {
        for _ in 0..2 {
            let has_helped = AtomicBool::new(false);
            crew.run(|mut leader| {
                leader.for_each(Tasks(2), |index, ()| {
                    if index == 1 {
                        has_helped.store(true, Ordering::Relaxed);
                    }
                    while !has_helped.load(Ordering::Relaxed) {
                        thread::yield_now();
                    }
                });
            });
        }
    });
}

#[test]
fn concurrent_calls_of_a_crew_take_turns() {
    model_crew(|crew| {
        let crew = Arc::new(crew);
        let other = crew.clone();
        let thread = thread::spawn(move || other.run(|leader| lead(leader, 1, 2)));
        crew.run(|leader| lead(leader, 1, 2));
        thread.join().unwrap();
    });
}

#[test]
fn a_call_that_does_not_wait_runs_in_a_turn_or_not_at_all() {
    model_crew(|crew| {
        let crew = Arc::new(crew);
        let other = crew.clone();
        let thread = thread::spawn(move || other.try_run(|leader| lead(leader, 1, 2)));
        crew.run(|leader| lead(leader, 1, 2));
        thread.join().unwrap();
    });
}

#[test]
fn a_panic_reaches_the_leader_and_the_next_stage_runs() {
    for bad in 0..2usize {
        model_crew(move |crew| {
            crew.run(|mut leader| {
                // Without a panic hook, whose locks loom cannot see.
                let fail = |index, ()| {
                    if index == bad {
                        resume_unwind(Box::new(7));
                    }
                };
                let stage = || leader.for_each(Tasks(2), fail);
                let payload = catch_unwind(AssertUnwindSafe(stage)).unwrap_err();
                assert_eq!(payload.downcast_ref(), Some(&7));
                lead(leader, 1, 2);
            });
        });
    }
}

#[test]
fn a_caller_that_does_not_wait_takes_a_free_turn() {
    model(|| {
        let shared = Arc::new((Turns::new(1), Cells::new(1)));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let shared = shared.clone();
                thread::spawn(move || {
                    let turn = shared.0.try_take();
                    turn.iter().for_each(|_| shared.1.add(0));
                    usize::from(turn.is_some())
                })
            })
            .collect();
        let turn = shared.0.take();
        shared.1.add(0);
        drop(turn);
        let taken: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(shared.1.value(0), 1 + taken);
    });
}

/// Two threads and this one take turns, one at a time.
fn take_turns(turns: Turns) {
    let shared = Arc::new((turns, Cells::new(1)));
    let call = |(turns, cells): &(Turns, Cells)| {
        let _turn = turns.take();
        cells.add(0);
    };
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let shared = shared.clone();
            thread::spawn(move || call(&shared))
        })
        .collect();
    call(&shared);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(shared.1.value(0), 3);
}

#[test]
fn turns_exclude_each_other_and_reach_every_caller() {
    model(|| take_turns(Turns::new(1)));
}

#[test]
fn turns_reach_every_caller_after_one_has_retired() {
    model(|| {
        let turns = Turns::new(2);
        turns.take().retire();
        take_turns(turns);
    });
}

#[test]
fn a_turn_retires_while_others_wait() {
    model(|| {
        let turns = Arc::new(Turns::new(2));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let turns = turns.clone();
                thread::spawn(move || drop(turns.take()))
            })
            .collect();
        turns.take().retire();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        drop(turns.take());
    });
}
