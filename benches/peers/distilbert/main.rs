//! This crate, one of the engines that `benches/peers/run.py` compares.
//!
//! `peer_distilbert FOLDER THREADS PRECISION` loads a model and speaks the protocol of worker.py.
//! `peer_distilbert quantize FROM TO` writes an int8 copy of a model.
//! `peer_distilbert knows PRECISION` fails if the crate has no such precision.

use std::env;

use distilbert::{Classifier, Precision, TokenBatch};
use peer_protocol::{Engine, Error, Run, serve};

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["quantize", from, to] => Ok(distilbert::quantize(from, to)?),
        ["knows", precision] => Ok(precision.parse::<Precision>().map(drop)?),
        [folder, threads, precision] => run(folder, threads.parse()?, precision.parse()?),
        _ => Err("usage: peer_distilbert FOLDER THREADS PRECISION".into()),
    }
}

fn run(folder: &str, threads: usize, precision: Precision) -> Result<(), Error> {
    serve(env!("CARGO_PKG_VERSION"), || {
        let builder = Classifier::builder(folder).threads(threads).precision(precision);
        Ok(Distilbert(builder.build()?))
    })
}

struct Distilbert(Classifier);

impl Engine for Distilbert {
    fn prepare<'a>(&'a mut self, rows: &[Vec<u32>]) -> Result<Run<'a>, Error> {
        let batch = TokenBatch::from_rows(rows)?;
        Ok(Box::new(move || Ok(self.0.logits(&batch)?)))
    }
}
