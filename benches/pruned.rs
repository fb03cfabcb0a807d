//! A pruned model compared with the one it was pruned from: `cargo bench --bench pruned`, on one thread; `THREADS` sets
//! another number.
//!
//! `PRUNED=FOLDER` names the pruned model and `ORIGINAL=FOLDER` the other one, which is the bundled model by default, as
//! models/emotion-small is the pruned one. A model that is stored in int8 is timed in int8 only. Rounds are interleaved,
//! and a ratio is the original's time divided by the pruned model's in the same round: above 1, the pruned model is faster.
//! Before anything is timed, the labels of both are compared.

use std::path::PathBuf;
use std::time::Instant;

use distilbert::{Classifier, Precision, TokenBatch};
use test_support::{bundled_model, root, token_goldens};

const ROUNDS: usize = 21;

/// Shortest duration of a turn, in seconds.
const TURN: f64 = 0.1;

/// Rows and tokens per row.
const SHAPES: [(usize, usize); 7] =
    [(1, 8), (1, 16), (1, 32), (1, 128), (1, 512), (8, 128), (64, 16)];

fn main() {
    // `cargo bench` passes options that are for other harnesses.
    let threads = std::env::var("THREADS").map_or(1, |count| count.parse().unwrap());
    let original = folder("ORIGINAL").unwrap_or_else(bundled_model);
    let pruned = folder("PRUNED").unwrap_or_else(|| root().join("models/emotion-small"));
    println!("| precision | texts × tokens | original ÷ pruned | quartiles |\n|---|---|---|---|");
    for precision in [Precision::F32, Precision::Int8] {
        let load = |folder: &PathBuf| {
            Classifier::builder(folder).precision(precision).threads(threads).build()
        };
        let Ok(pruned) = load(&pruned) else { continue };
        let models = [load(&original).unwrap(), pruned];
        check(&models);
        for (rows, tokens) in SHAPES {
            let [low, median, high] = quartiles(ratios(&models, &batch(rows, tokens)));
            println!("| {precision} | {rows}×{tokens} | {median:.2} | {low:.2} to {high:.2} |");
        }
    }
}

fn folder(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from)
}

/// Fails unless the models give the same label to most texts, as they would not if one of them were broken.
fn check(models: &[Classifier; 2]) {
    let rows: Vec<Vec<u32>> =
        token_goldens().into_iter().map(|(_, row)| row).filter(|row| row.len() <= 512).collect();
    let batch = TokenBatch::from_rows(&rows).unwrap();
    let [original, pruned] = models.each_ref().map(|model| model.classify_tokens(&batch).unwrap());
    let pairs = original.iter().zip(&pruned);
    let same = pairs.filter(|(original, pruned)| original.label() == pruned.label()).count();
    let share = same as f64 / rows.len() as f64;
    assert!(share >= 0.6, "only {:.0}% of the labels are the original's", 100.0 * share);
}

/// Returns the original's time divided by the pruned model's, for each round.
fn ratios(models: &[Classifier; 2], batch: &TokenBatch) -> Vec<f64> {
    let time = |model: &Classifier, repeats: usize| {
        let start = Instant::now();
        for _ in 0..repeats {
            model.logits(batch).unwrap();
        }
        start.elapsed().as_secs_f64() / repeats as f64
    };
    let repeats = models.each_ref().map(|model| {
        let once = time(model, 3);
        (TURN / once).ceil().max(1.0) as usize
    });
    let round = |_| time(&models[0], repeats[0]) / time(&models[1], repeats[1]);
    (0..ROUNDS).map(round).collect()
}

fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values[quarter * (values.len() - 1) / 4])
}

/// Returns rows of arbitrary words.
fn batch(rows: usize, tokens: usize) -> TokenBatch {
    let row = |row: usize| -> Vec<u32> {
        let words = (0..tokens - 2).map(|at| 1000 + (37 * at + 101 * row) as u32 % 20000);
        [101].into_iter().chain(words).chain([102]).collect()
    };
    TokenBatch::from_rows(&(0..rows).map(row).collect::<Vec<_>>()).unwrap()
}
