//! This crate as one of the engines that `benches/peers/run.py` compares.
//!
//! `peer_distilbert FOLDER THREADS` loads a model and prints `{"version": "…"}`. Each line on
//! standard input, `{"rows": [[ids…]…], "repeats": n, "warmup": w}`, is answered by a line
//! `{"logits": […], "milliseconds": […]}`: the time of each of n calls of `Classifier::logits`,
//! after w that are not timed, and the last one's logits. Build it with `--no-default-features`: with
//! the feature `text`, the folder would need a tokenizer.

use std::env;
use std::error::Error;
use std::io::{self, BufRead, Write};
use std::time::Instant;

use distilbert::{Classifier, TokenBatch};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(folder), Some(threads)) = (arguments.next(), arguments.next()) else {
        return Err("usage: peer_distilbert FOLDER THREADS".into());
    };
    let classifier = Classifier::builder(folder).threads(threads.parse()?).build()?;
    answer(&json!({ "version": env!("CARGO_PKG_VERSION") }))?;
    for line in io::stdin().lock().lines() {
        let request = serde_json::from_str(&line?)?;
        answer(&measure(&classifier, &request)?)?;
    }
    Ok(())
}

fn answer(value: &Value) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{value}")?;
    stdout.flush()
}

fn measure(classifier: &Classifier, request: &Value) -> Result<Value, Box<dyn Error>> {
    let rows = list(&request["rows"])?.iter().map(ids).collect::<Result<Vec<_>, _>>()?;
    let batch = TokenBatch::from_rows(&rows)?;
    for _ in 0..number(&request["warmup"])? {
        classifier.logits(&batch)?;
    }
    let (mut logits, mut milliseconds) = (Vec::new(), Vec::new());
    for _ in 0..number(&request["repeats"])? {
        let start = Instant::now();
        logits = classifier.logits(&batch)?;
        milliseconds.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(json!({ "logits": logits, "milliseconds": milliseconds }))
}

fn ids(row: &Value) -> Result<Vec<u32>, Box<dyn Error>> {
    list(row)?.iter().map(|id| Ok(number(id)?.try_into()?)).collect()
}

fn list(value: &Value) -> Result<&Vec<Value>, Box<dyn Error>> {
    value.as_array().ok_or_else(|| format!("{value} is not a list").into())
}

fn number(value: &Value) -> Result<u64, Box<dyn Error>> {
    value.as_u64().ok_or_else(|| format!("{value} is not a whole number").into())
}
