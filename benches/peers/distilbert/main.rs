//! This crate, one of the engines that `benches/peers/run.py` compares.
//!
//! `peer_distilbert FOLDER THREADS PRECISION` loads a model and speaks the protocol of worker.py.
//! `peer_distilbert quantize FROM TO` writes an int8 copy of a model.

use std::env;

use distilbert::{Classifier, TokenBatch};
use peer_protocol::{Engine, Error, Run, serve};

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [first, second, third] = arguments.as_slice() else {
        return Err("usage: peer_distilbert FOLDER THREADS PRECISION".into());
    };
    if first == "quantize" {
        return Ok(distilbert::quantize(second, third)?);
    }
    let (threads, precision) = (second.parse()?, third.parse()?);
    serve(env!("CARGO_PKG_VERSION"), || {
        let builder = Classifier::builder(first).threads(threads).precision(precision);
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
