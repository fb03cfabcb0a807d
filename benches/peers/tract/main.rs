//! tract, one of the engines that `benches/peers/run.py` compares.
//!
//! `peer_tract FOLDER THREADS` speaks the protocol of worker.py. The graph is optimized for each shape, which is timed
//! only for the first text.

use std::path::PathBuf;

use peer_protocol::{Engine, Error, Run, serve};
use tract_linalg::multithread::{Executor, multithread_tract_scope};
use tract_onnx::prelude::*;

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, threads] = arguments.as_slice() else {
        return Err("usage: peer_tract FOLDER THREADS".into());
    };
    let graph = PathBuf::from(folder).join("tract.onnx");
    let executor = match threads.parse()? {
        1 => Executor::SingleThread,
        threads => Executor::multithread(threads),
    };
    serve("0.22.5", || Ok(Tract { graph, executor }))
}

struct Tract {
    graph: PathBuf,
    executor: Executor,
}

impl Engine for Tract {
    fn prepare<'a>(&'a mut self, rows: &[Vec<u32>]) -> Result<Run<'a>, Error> {
        let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
        let shape = (rows.len(), longest);
        let at = |row: &Vec<u32>, column: usize| row.get(column).map(|&id| i64::from(id));
        let ids = tract_ndarray::Array2::from_shape_fn(shape, |(row, column)| {
            at(&rows[row], column).unwrap_or(0)
        });
        let mask = tract_ndarray::Array2::from_shape_fn(shape, |(row, column)| {
            i64::from(at(&rows[row], column).is_some())
        });
        let fact = InferenceFact::dt_shape(i64::datum_type(), [rows.len(), longest]);
        let model = tract_onnx::onnx()
            .model_for_path(&self.graph)?
            .with_input_fact(0, fact.clone())?
            .with_input_fact(1, fact)?
            .into_optimized()?
            .into_runnable()?;
        let inputs: TVec<TValue> =
            tvec!(ids.into_tensor().into(), mask.into_tensor().into());
        let executor = self.executor.clone();
        Ok(Box::new(move || {
            let outputs =
                multithread_tract_scope(executor.clone(), || model.run(inputs.clone()))?;
            Ok(outputs[0].to_array_view::<f32>()?.iter().copied().collect())
        }))
    }
}
