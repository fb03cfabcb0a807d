//! Protocol of the Rust engines under comparison; worker.py describes it.

use std::io::{self, BufRead, Write};
use std::time::Instant;

use serde_json::{Value, json};

pub type Error = Box<dyn std::error::Error>;

/// Computation on prepared inputs that returns the logits, row-major.
pub type Run<'a> = Box<dyn FnMut() -> Result<Vec<f32>, Error> + 'a>;

/// Text that a loaded model answers first.
const FIRST_TEXT: [u32; 8] = [101, 2023, 2003, 1037, 3978, 3793, 1012, 102];

/// Loaded engine: prepares rows of token ids.
pub trait Engine {
    fn prepare<'a>(&'a mut self, rows: &[Vec<u32>]) -> Result<Run<'a>, Error>;
}

/// Answers requests until standard input ends.
pub fn serve<E: Engine>(
    version: &str,
    load: impl FnOnce() -> Result<E, Error>,
) -> Result<(), Error> {
    let start = Instant::now();
    let mut engine = load()?;
    engine.prepare(&[FIRST_TEXT.to_vec()])?()?;
    let load_ms = start.elapsed().as_secs_f64() * 1e3;
    answer(&json!({ "version": version, "load_ms": load_ms }))?;
    for line in io::stdin().lock().lines() {
        let request = serde_json::from_str(&line?)?;
        answer(&measure(&mut engine, &request)?)?;
    }
    Ok(())
}

fn answer(value: &Value) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{value}")?;
    stdout.flush()
}

fn measure(engine: &mut impl Engine, request: &Value) -> Result<Value, Error> {
    let (warmup, repeats) = (number(&request["warmup"])?, number(&request["repeats"])?);
    let mut milliseconds = vec![0.0; repeats as usize];
    let mut logits = Vec::new();
    // Batches run one after the other, so the time of a run is their sum.
    for batch in list(&request["batches"])? {
        let rows = list(batch)?.iter().map(ids).collect::<Result<Vec<_>, _>>()?;
        let mut run = engine.prepare(&rows)?;
        for _ in 0..warmup {
            run()?;
        }
        let mut last = Vec::new();
        for sum in &mut milliseconds {
            let start = Instant::now();
            last = run()?;
            *sum += start.elapsed().as_secs_f64() * 1e3;
        }
        logits.extend(last);
    }
    Ok(json!({ "logits": logits, "milliseconds": milliseconds }))
}

fn ids(row: &Value) -> Result<Vec<u32>, Error> {
    list(row)?.iter().map(|id| Ok(number(id)?.try_into()?)).collect()
}

fn list(value: &Value) -> Result<&Vec<Value>, Error> {
    value.as_array().ok_or_else(|| format!("{value} is not a list").into())
}

fn number(value: &Value) -> Result<u64, Error> {
    value.as_u64().ok_or_else(|| format!("{value} is not an integer").into())
}
