//! A whole model of DistilBERT-base's size on an NVIDIA GPU, from token ids on the host to logits on the
//! host: `cargo bench --bench cuda --features cuda`. Without a GPU it says so and ends.
//!
//! Logits are compared with the goldens in float64 before anything is timed, and those of each batch with
//! those of its rows alone, bit for bit.

mod support;

use criterion::Criterion;
use distilbert::{Classifier, Device, Precision};
use support::{Model, batches};

fn main() {
    let model = Model::generate();
    let mut criterion = Criterion::default().configure_from_args();
    for precision in [Precision::F16, Precision::Int8] {
        let builder = Classifier::builder(model.folder(precision)).device(Device::Cuda(0));
        let classifier = match builder.precision(precision).build() {
            Ok(classifier) => classifier,
            Err(error) => return println!("skipped: {error}"),
        };
        model.check(&classifier);
        let large = [(8, 128), (32, 32), (32, 128), (256, 128)];
        batches(&mut criterion, &format!("cuda/{precision}"), &classifier, &large);
    }
    criterion.final_summary();
}
