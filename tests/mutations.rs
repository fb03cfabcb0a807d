//! Damaged model files give an error or a model, but never a panic, and take little memory. This is the only test of its
//! process because it measures the memory of all threads and silences panics.

#![cfg(all(feature = "text", feature = "explain"))]

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

use distilbert::explain::ExplainOptions;
use distilbert::{Classifier, InstructionSet, ModelBytes, Precision, TokenBatch};
use rayon::{ThreadPool, ThreadPoolBuilder};
use test_support::Dice;
use test_support::counting::{Counting, peak};
use test_support::model_files::{Files, config, model_bytes, text, tokenizers, weights};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Number of damaged models.
const ROUNDS: u64 = if cfg!(debug_assertions) { 2000 } else { 200_000 };

/// Number of failures after which the test stops.
const MOST_FAILURES: usize = 20;

/// Time after which loading and computing counts as hanging; the usual time is below a millisecond.
const HANGING: Duration = Duration::from_secs(20);

/// Texts that a model must accept if it loads.
const TEXTS: [&str; 3] = ["w5 W17 <user>, café w5w6", "", "\u{1F600}\u{0}\u{301} [MASK] 你好"];

/// Damages a file: its structure more often than its values, which begin or end most weight files.
fn mutated(original: &[u8], dice: &mut Dice) -> Vec<u8> {
    const STRUCTURE: usize = 8000;
    let mut bytes = original.to_vec();
    for _ in 0..1 + dice.below(3) {
        if bytes.is_empty() {
            break;
        }
        let len = bytes.len();
        let at = match dice.below(4) {
            0 => dice.below(len),
            1 => len - 1 - dice.below(len.min(STRUCTURE)),
            _ => dice.below(len.min(STRUCTURE)),
        };
        let end = len.min(at + 1 + dice.below(40));
        match dice.below(10) {
            0 => bytes[at] ^= 1 << dice.below(8),
            1 => bytes[at] = dice.below(256) as u8,
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let block = bytes[at..end].to_vec();
                bytes.splice(at..at, block);
            }
            // Another block of the same file, a field that counts, or a number.
            5 => {
                let from = dice.below(len);
                let block = bytes[from..len.min(from + end - at)].to_vec();
                bytes[at..at + block.len().min(len - at)]
                    .copy_from_slice(&block[..block.len().min(len - at)]);
            }
            6 => bytes[at..end.min(at + 8)].fill([0, 0x7F, 0x80, 0xFF][dice.below(4)]),
            _ => {
                let token = JSON_TOKENS[dice.below(JSON_TOKENS.len())];
                replace_token(&mut bytes, at, token);
            }
        }
    }
    bytes
}

/// Values that a number, a keyword or a text of JSON is replaced by.
const JSON_TOKENS: [&str; 22] = [
    "0",
    "1",
    "-1",
    "2",
    "3",
    "8",
    "17",
    "255",
    "65536",
    "16777216",
    "2147483648",
    "18446744073709551615",
    "1e999",
    "0.5",
    "null",
    "true",
    "false",
    "\"\"",
    "\"[UNK]\"",
    "[]",
    "{}",
    "[[]]",
];

/// Replaces the number, keyword or text after `at`.
fn replace_token(bytes: &mut Vec<u8>, at: usize, token: &str) {
    let begins = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'"' | b'-');
    let Some(start) = bytes[at..].iter().position(begins).map(|offset| at + offset) else { return };
    let rest = &bytes[start + 1..];
    let len = match bytes[start] {
        b'"' => rest.iter().position(|&byte| byte == b'"').map(|len| len + 1),
        _ => rest.iter().position(|byte| !begins(byte) || *byte == b'"'),
    };
    let end = start + 1 + len.unwrap_or(0);
    bytes.splice(start..end, token.bytes());
}

/// Builds a model of which one file or a few are damaged, and returns it with the names of those and the total size.
fn damaged(
    formats: &[Files],
    tokenizers: &[Files],
    seed: u64,
) -> (ModelBytes, Vec<&'static str>, usize) {
    let mut dice = Dice(seed);
    let mut files = formats[dice.below(formats.len())].clone();
    files.extend(tokenizers[dice.below(tokenizers.len())].clone());
    files.insert("config.json", text(&config()));
    let names: Vec<&'static str> = files.keys().copied().collect();
    let chosen: Vec<_> =
        (0..1 + dice.below(8) / 6).map(|_| names[dice.below(names.len())]).collect();
    for name in &chosen {
        let bytes = mutated(&files[name], &mut dice);
        files.insert(name, bytes.into());
    }
    let size = files.values().map(|bytes| bytes.len()).sum();
    (model_bytes(files), chosen, size)
}

/// Precisions of the portable instruction set.
const PRECISIONS: [Precision; 3] = [Precision::F32, Precision::F16, Precision::Int8];

/// Loads a model and uses it in every way; returns `true` if it loaded.
fn use_model(model: ModelBytes, pool: &Arc<ThreadPool>, seed: u64) -> bool {
    let precision = PRECISIONS[seed as usize % PRECISIONS.len()];
    // With a pool of one thread, loading starts no threads of its own.
    let builder = Classifier::builder_from(model)
        .precision(precision)
        .thread_pool(pool.clone())
        .instruction_set(InstructionSet::Portable);
    let classifier = match builder.build() {
        Ok(classifier) => classifier,
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "several lines: {error}");
            return false;
        }
    };
    let _ = classifier.classify_batch(&TEXTS);
    for text in TEXTS {
        let _ = classifier.classify(text);
    }
    let _ = classifier.explain(TEXTS[0], &ExplainOptions::default());
    let _ = classifier.logits(&TokenBatch::from_rows(&[[1, 5, 2]]).unwrap());
    let _ = format!("{:?}", classifier.info());
    true
}

#[test]
fn damaged_models_give_an_error_or_load() {
    let (mut formats, tokenizers) = (weights(), tokenizers());
    if !cfg!(feature = "tensorflow") {
        formats.pop();
    }
    let pool = Arc::new(ThreadPoolBuilder::new().num_threads(1).build().unwrap());
    for (format, tokenizer) in
        formats.iter().flat_map(|format| tokenizers.iter().map(move |files| (format, files)))
    {
        let files = format.iter().chain(tokenizer).map(|(name, bytes)| (*name, bytes.clone()));
        let model = model_bytes(files).file("config.json", text(&config()));
        assert!(use_model(model, &pool, 0), "the originals should load");
    }
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let first = number("MUTATIONS_FROM").unwrap_or(0);
    let rounds = number("MUTATIONS").unwrap_or(ROUNDS);
    let (mut loaded, mut refused, mut most) = (0, 0, 0);
    let mut failures = Vec::new();
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    for seed in first..first + rounds {
        let (model, names, size) = damaged(&formats, &tokenizers, seed);
        let started = Instant::now();
        let mut result = Ok(false);
        let memory = peak(|| {
            result = panic::catch_unwind(AssertUnwindSafe(|| use_model(model, &pool, seed)));
        });
        let failure = match result {
            Err(payload) => {
                let text = payload.downcast_ref::<String>().cloned();
                let text =
                    text.or_else(|| payload.downcast_ref::<&str>().map(|text| text.to_string()));
                Some(format!("panicked: {}", text.unwrap_or_default()))
            }
            Ok(_) if memory > 16 * size + (64 << 20) => {
                Some(format!("took {memory} bytes for {size}"))
            }
            Ok(_) if started.elapsed() > HANGING => Some(format!("took {:?}", started.elapsed())),
            Ok(is_loaded) => {
                if is_loaded {
                    loaded += 1
                } else {
                    refused += 1
                }
                None
            }
        };
        most = most.max(memory);
        failures
            .extend(failure.map(|failure| format!("MUTATIONS_FROM={seed} {names:?} {failure}")));
        if failures.len() >= MOST_FAILURES {
            break;
        }
    }
    panic::set_hook(hook);
    println!("{loaded} loaded, {refused} refused, at most {most} bytes");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    if rounds >= 1000 {
        assert!(
            loaded > rounds / 20 && refused > rounds / 20,
            "{loaded} loaded, {refused} refused"
        );
    }
}
