//! Weight files that another thread truncates, extends and rewrites in place while they are read.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use distilbert::{CheckpointError, Classifier, Error, Precision, TokenBatch, convert, quantize};
use tempfile::TempDir;

use crate::{logits, small_batch};
use test_support::Dice;
use test_support::generator::GeneratedModel;

/// Longer than a tick of the clock that stamps files, so that every change has a time of its own.
const TICK: Duration = Duration::from_millis(25);

/// Loads and conversions per test, if there is time for them.
const ROUNDS: usize = 400;

/// Time after which a test stops early.
const TIME_LIMIT: Duration = Duration::from_secs(9);

/// Precisions in which models are loaded; every CPU has them.
const PRECISIONS: [Precision; 3] = [Precision::F32, Precision::F16, Precision::Int8];

/// Length of the signature or header length that both formats begin with.
const PREFIX: usize = 8;

/// A model folder and two valid contents of its weight file.
struct Model<'a> {
    folder: &'a Path,
    weights: &'a Path,
    contents: [Vec<u8>; 2],
}

impl Model<'_> {
    /// Returns the logits of both contents.
    fn expected(&self, precision: Precision, batch: &TokenBatch) -> [Vec<f32>; 2] {
        self.contents.each_ref().map(|content| {
            std::fs::write(self.weights, content).unwrap();
            logits(self.folder, precision, batch)
        })
    }

    /// Damages the weight file and restores one of its contents, until `stop` is set. The restored file lasts
    /// up to `TICK + window`.
    ///
    /// The file begins with an invalid prefix whenever the rest of it mixes two contents.
    fn disturb(&self, window: Duration, stop: &AtomicBool) {
        let mut dice = Dice(3);
        let file = File::options().write(true).open(self.weights).unwrap();
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(TICK + window.mul_f64(dice.below(100) as f64 / 100.0));
            let content = &self.contents[dice.below(2)];
            match dice.below(3) {
                0 => file.set_len(dice.below(content.len()) as u64).unwrap(),
                1 => file.set_len((content.len() + 1 + dice.below(5000)) as u64).unwrap(),
                _ => file.write_all_at(&[0xFF; PREFIX], 0).unwrap(),
            }
            std::thread::sleep(TICK);
            file.write_all_at(&[0xFF; PREFIX], 0).unwrap();
            file.set_len(content.len() as u64).unwrap();
            file.write_all_at(&content[PREFIX..], PREFIX as u64).unwrap();
            std::thread::sleep(TICK);
            file.write_all_at(&content[..PREFIX], 0).unwrap();
        }
    }
}

/// Sets the flag when dropped, also by a panic.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Loads the model, or what `convert` or `quantize` writes of it, and returns the logits with their precision.
fn load(
    model: &Model<'_>,
    round: usize,
    batch: &TokenBatch,
) -> Result<(Precision, Vec<f32>), Error> {
    let build = |folder: &Path, precision| {
        let builder = Classifier::builder(folder).precision(precision).threads(1 + round % 2);
        Ok((precision, builder.build()?.logits(batch)?))
    };
    let out = TempDir::new().unwrap();
    let converted = |precision, result: Result<(), Error>| match result {
        Ok(()) => build(out.path(), precision),
        Err(error) => {
            let files = std::fs::read_dir(out.path()).unwrap();
            assert_eq!(files.count(), 0, "files were written despite: {error}");
            Err(error)
        }
    };
    match round % 6 {
        0 => converted(Precision::Int8, quantize(model.folder, out.path())),
        1 => converted(Precision::F32, convert(model.folder, out.path(), None)),
        2 => converted(Precision::F32, convert(model.folder, out.path(), Precision::F32)),
        other => build(model.folder, PRECISIONS[other - 3]),
    }
}

fn check(model: &Model<'_>) {
    let batch = small_batch();
    let expected: Vec<_> =
        PRECISIONS.iter().map(|&precision| model.expected(precision, &batch)).collect();
    let started = Instant::now();
    load(model, 0, &batch).unwrap();
    let window = 2 * started.elapsed();
    let (mut loaded, mut refused) = (0, 0);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stop = StopOnDrop(&stop);
        scope.spawn(|| model.disturb(window, &stop));
        let started = Instant::now();
        for round in 0.. {
            let is_enough = round >= ROUNDS && loaded > 0 && refused > 0;
            if is_enough || started.elapsed() > TIME_LIMIT {
                break;
            }
            match load(model, round, &batch) {
                Ok((precision, logits)) => {
                    let index = PRECISIONS.iter().position(|&other| other == precision);
                    let valid = &expected[index.unwrap()];
                    assert!(valid.contains(&logits), "{precision}: neither content's logits");
                    loaded += 1;
                }
                Err(
                    error @ (Error::Checkpoint(CheckpointError::FileChanged { .. })
                    | Error::Checkpoint(CheckpointError::Damaged { .. })),
                ) => {
                    assert!(!error.to_string().contains('\n'), "{error}");
                    refused += 1;
                }
                Err(other) => panic!("{other}"),
            }
        }
    });
    println!("{loaded} loaded, {refused} refused");
    assert!(loaded > 0 && refused > 0, "{loaded} loaded, {refused} refused");
}

#[test]
fn changing_safetensors_load_correctly_or_are_refused() {
    let folder = TempDir::new().unwrap();
    let weights = folder.path().join("model.safetensors");
    let config = GeneratedModel::small().config;
    let contents = [1, 2].map(|seed| {
        GeneratedModel::new(config.clone(), seed).write(folder.path());
        std::fs::read(&weights).unwrap()
    });
    check(&Model { folder: folder.path(), weights: &weights, contents });
}

#[cfg(feature = "tensorflow")]
#[test]
fn changing_tensorflow_weights_load_correctly_or_are_refused() {
    let folder = TempDir::new().unwrap();
    crate::copy_companions(folder.path());
    let original = std::fs::read(crate::tensorflow_model().join("tf_model.h5")).unwrap();
    let tensors = test_support::generator::Tensor::read_all(crate::twin().path());
    let words = &tensors["distilbert.embeddings.word_embeddings.weight"].bytes;
    let start = original.windows(words.len()).position(|bytes| bytes == words).unwrap();
    let mut negated = original.clone();
    // The sign is the highest bit of the last of a value's four bytes.
    negated[start..start + words.len()]
        .iter_mut()
        .skip(3)
        .step_by(4)
        .for_each(|byte| *byte ^= 0x80);
    let weights = folder.path().join("tf_model.h5");
    check(&Model { folder: folder.path(), weights: &weights, contents: [original, negated] });
}
