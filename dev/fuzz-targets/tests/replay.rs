//! Kept inputs of the fuzz targets, those that once failed, and random changes of them break no promise.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use fuzz_targets::{Counting, TARGETS, Target};
use test_support::Dice;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Time for an input without optimization on a busy machine; libFuzzer allows a second.
const HANGING: Duration = Duration::from_secs(20);

/// Number of random inputs of each target, unless `FUZZ_INPUTS` sets it.
const RANDOM: u64 = 300;

/// Number of failures of a target after which it is left.
const MOST_FAILURES: usize = 10;

/// Returns the files of a target in a folder of `dev/fuzz`, in their order, with their names.
fn inputs(folder: &str, target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz").join(folder).join(target);
    let Ok(files) = std::fs::read_dir(folder) else { return Vec::new() };
    let file =
        |path: std::path::PathBuf| (path.display().to_string(), std::fs::read(path).unwrap());
    let mut inputs: Vec<_> = files.map(|entry| file(entry.unwrap().path())).collect();
    inputs.sort();
    inputs
}

/// Calls a target; returns a failure as text.
fn failure(target: Target, input: &[u8]) -> Option<String> {
    let started = Instant::now();
    if catch_unwind(AssertUnwindSafe(|| target(input))).is_err() {
        return Some("panics".to_owned());
    }
    let elapsed = started.elapsed();
    (elapsed > HANGING).then(|| format!("takes {elapsed:?}"))
}

fn replay(folder: &str, least: usize) {
    let mut failures = Vec::new();
    for &(name, target) in TARGETS {
        let inputs = inputs(folder, name);
        assert!(inputs.len() >= least, "{name} has {} inputs", inputs.len());
        let started = Instant::now();
        for (file, input) in &inputs {
            failures.extend(failure(target, input).map(|failure| format!("{file} {failure}")));
        }
        println!("{name}: {} inputs in {:?}", inputs.len(), started.elapsed());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn kept_inputs_break_no_promise() {
    replay("corpus", 4);
}

#[test]
fn inputs_that_failed_break_no_promise() {
    replay("regressions", 0);
}

/// Returns an input with a few random changes, or with the end of another.
fn changed(input: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut input = input.to_vec();
    for _ in 0..1 + dice.below(6) {
        let at = dice.below(input.len() + 1);
        let end = input.len().min(at + 1 + dice.below(8));
        match dice.below(8) {
            0 => input.truncate(at),
            1 => drop(input.drain(at..end)),
            2 => input.extend((0..dice.below(16)).map(|_| dice.below(256) as u8)),
            3 => input
                .splice(at..at, other[dice.below(other.len() + 1)..].iter().copied())
                .for_each(drop),
            4 => input[at..end].fill([0, 1, 0x7F, 0x80, 0xFF][dice.below(5)]),
            5 => input.splice(at..at, [dice.below(256) as u8]).for_each(drop),
            _ if at < end => input[at] = dice.below(256) as u8,
            _ => {}
        }
    }
    input
}

#[test]
fn random_inputs_break_no_promise() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let count = number("FUZZ_INPUTS").unwrap_or(RANDOM);
    let first = number("FUZZ_FROM").unwrap_or(0);
    let chosen = std::env::var("FUZZ_TARGET").ok();
    let mut failures = Vec::new();
    for &(name, target) in TARGETS {
        if chosen.as_ref().is_some_and(|chosen| chosen != name) {
            continue;
        }
        let kept = inputs("corpus", name);
        let (started, before) = (Instant::now(), failures.len());
        for seed in first..first + count {
            let mut dice = Dice(seed);
            let [one, other] = [dice.below(kept.len()), dice.below(kept.len())];
            let input = changed(&kept[one].1, &kept[other].1, &mut dice);
            if let Some(failure) = failure(target, &input) {
                failures.push(format!("FUZZ_TARGET={name} FUZZ_FROM={seed} {failure}"));
            }
            if failures.len() >= before + MOST_FAILURES {
                break;
            }
        }
        println!("{name}: {count} random inputs in {:?}", started.elapsed());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
