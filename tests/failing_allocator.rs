//! If the system refuses memory, a call fails or the process aborts with Rust's message; it never hangs or returns another
//! answer. Each case is a process of its own, because one that aborts can't go on.

#![cfg(all(unix, feature = "text", feature = "explain"))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use distilbert::explain::ExplainOptions;
use distilbert::{Batcher, Classifier, Prediction, Result};
use test_support::model_files::{config, model_bytes, text, tokenizers, weights};

/// System allocator that refuses one call, or all calls from then on.
struct Failing;

#[global_allocator]
static ALLOCATOR: Failing = Failing;

/// Number of calls before the one that is refused.
static BEFORE: AtomicUsize = AtomicUsize::new(NEVER);
/// Number of calls that are refused.
static REFUSED: AtomicUsize = AtomicUsize::new(0);

const NEVER: usize = usize::MAX / 2;

fn is_refused() -> bool {
    let taken =
        BEFORE.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |before| before.checked_sub(1));
    let take = |left: usize| left.checked_sub(1);
    taken.is_err() && REFUSED.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok()
}

// SAFETY: every call is forwarded to the system allocator unchanged, or fails, which the contract allows.
unsafe impl GlobalAlloc for Failing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_refused() {
            return std::ptr::null_mut();
        }
        // SAFETY: guaranteed by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if is_refused() {
            return std::ptr::null_mut();
        }
        // SAFETY: guaranteed by the caller.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: guaranteed by the caller.
        unsafe { System.dealloc(at, layout) }
    }
}

/// Runs a call with the allocator armed, and returns its result with the number of calls of the allocator.
fn armed<T>(before: usize, refused: usize, run: impl FnOnce() -> T) -> (T, usize) {
    REFUSED.store(refused, Ordering::SeqCst);
    BEFORE.store(before, Ordering::SeqCst);
    let result = run();
    let left = BEFORE.swap(NEVER, Ordering::SeqCst);
    (result, before - left)
}

const TEXTS: [&str; 3] = ["w5 W17 <user>, café w5w6", "w7", "\u{1F600} [UNK] 你好"];

fn classifier() -> Result<Classifier> {
    let [_, tokenizer] = tokenizers();
    let files = weights().swap_remove(0).into_iter().chain(tokenizer);
    let model = model_bytes(files).file("config.json", text(&config()));
    Classifier::builder_from(model).threads(2).build()
}

fn logits(predictions: &[Prediction]) -> Vec<f32> {
    predictions.iter().flat_map(Prediction::logits).copied().collect()
}

/// Returns the numbers that a scenario computes after `prepare`, with the allocator armed.
fn answers(scenario: &str, before: usize, refused: usize) -> (Result<Vec<f32>>, usize) {
    match scenario {
        "load" => armed(before, refused, || {
            classifier().and_then(|loaded| Ok(logits(&loaded.classify_batch(&TEXTS)?)))
        }),
        "classify" => {
            let classifier = classifier().unwrap();
            armed(before, refused, || Ok(logits(&classifier.classify_batch(&TEXTS)?)))
        }
        "explain" => {
            let classifier = classifier().unwrap();
            armed(before, refused, || {
                let explanation = classifier.explain(TEXTS[0], &ExplainOptions::default())?;
                Ok(explanation.words().iter().map(|word| word.relevance).collect())
            })
        }
        _ => {
            let classifier = Arc::new(classifier().unwrap());
            armed(before, refused, || {
                let batcher = Batcher::builder(classifier).workers(2).build()?;
                let pending = TEXTS.map(|text| batcher.submit(text));
                let waited = pending.into_iter().map(|pending| pending?.wait());
                Ok(logits(&waited.collect::<Result<Vec<_>>>()?))
            })
        }
    }
}

/// Scenario, number of calls before the refused one, and number of refused calls, for a child.
const CASE: &str = "DISTILBERT_TEST_FAILING_ALLOCATOR";

/// Part of a child's output.
const CALLS: &str = "calls of the allocator: ";

#[test]
fn child() {
    let Ok(case) = std::env::var(CASE) else { return };
    let parts: Vec<&str> = case.split(' ').collect();
    let [scenario, before, refused] = parts[..] else { panic!("{case}") };
    let expected = answers(scenario, NEVER, 0).0.unwrap();
    let (found, calls) = answers(scenario, before.parse().unwrap(), refused.parse().unwrap());
    match found {
        Ok(found) => assert_eq!(found, expected, "another answer"),
        Err(error) => println!("failed: {error}"),
    }
    println!("{CALLS}{calls}");
}

/// Runs a case in a child, and returns its output, or `None` if it aborted for want of memory.
fn run(scenario: &str, before: usize, refused: usize) -> Option<String> {
    let case = format!("{scenario} {before} {refused}");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(CASE, &case)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let started = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if started.elapsed() > Duration::from_secs(60) => {
                child.kill().unwrap();
                panic!("{case}: hangs");
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let mut output = String::new();
    child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    if status.success() {
        return Some(output);
    }
    let is_documented = status.signal() == Some(6) && errors.contains("memory allocation of");
    assert!(is_documented, "{case}: {status}\n{output}\n{errors}");
    None
}

/// Refuses memory at calls all over a scenario.
fn check(scenario: &str) {
    let output = run(scenario, NEVER, 0).unwrap();
    let (_, calls) = output.split_once(CALLS).unwrap();
    let calls: usize = calls.lines().next().unwrap().parse().unwrap();
    assert!(calls > 10, "{output}");
    let (mut aborted, mut failed, mut answered) = (0, 0, 0);
    // The first calls, and a spread of the others.
    let spread = (0..24).map(|index| 4 + index * calls / 24);
    for before in (0..4).chain(spread) {
        for refused in [1, NEVER] {
            match run(scenario, before, refused) {
                None => aborted += 1,
                Some(output) if output.contains("failed: ") => failed += 1,
                Some(_) => answered += 1,
            }
        }
    }
    println!("{scenario}: {calls} calls; {aborted} aborted, {failed} failed, {answered} answered");
    assert!(aborted + failed > 0, "nothing was refused");
}

#[test]
fn loading_fails_or_aborts() {
    check("load");
}

#[test]
fn classifying_fails_or_aborts() {
    check("classify");
}

#[test]
fn explaining_fails_or_aborts() {
    check("explain");
}

#[test]
fn batching_fails_or_aborts() {
    check("batcher");
}
