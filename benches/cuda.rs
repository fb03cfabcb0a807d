//! A whole model of DistilBERT-base's size on an NVIDIA GPU, from token ids to logits:
//! `cargo bench --features cuda --bench cuda`. Without a GPU, it prints that it was skipped.
//!
//! Before anything is timed, logits are compared with the float64 goldens and the CPU, and the logits of each batch bit for
//! bit with those of its rows alone.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use criterion::Criterion;
use distilbert::{Classifier, Precision};
use support::{Batch, Model, batches, time_batches};
use test_support::cuda::{TOLERANCE, assert_close, assert_int8_close, cpu, gpu, hardware, logits};

fn main() {
    let Some(device) = hardware() else { return };
    let model = Model::generate();
    let single = [8, 16, 32, 64, 128, 256, 512].map(|tokens| (1, tokens));
    let batches = batches(single.into_iter().chain([(8, 128), (256, 128)]));
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    for precision in [Precision::F16, Precision::Int8] {
        let gpu = gpu(&model.folder(precision), device, precision);
        model.check(&gpu);
        compare_with_the_cpu(&gpu, &model, &batches);
        time_batches(&mut criterion, &format!("{precision}/{device}"), &gpu, &batches);
    }
    criterion.final_summary();
}

/// Compares each row with the CPU on its own; its logits are bit-identical in a batch.
fn compare_with_the_cpu(gpu: &Classifier, model: &Model, batches: &[Batch]) {
    let rows: BTreeSet<&Vec<u32>> = batches.iter().flat_map(|(_, rows)| rows).collect();
    let rows: Vec<&Vec<u32>> = rows.into_iter().collect();
    let on_cpu = |precision| logits(&cpu(&model.folder(precision), precision), &rows);
    let (found, exact) = (logits(gpu, &rows), on_cpu(Precision::F32));
    if gpu.info().precision == Precision::Int8 {
        assert_int8_close(&found, &on_cpu(Precision::Int8), &exact);
    } else {
        assert_close(&found, &exact, TOLERANCE);
    }
}
