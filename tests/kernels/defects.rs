//! Seeded defects, each of which the PTX machine or a comparison must detect for the right reason.
//!
//! `CUDA_DEFECTS` is the folder with the output of `dev/defects/seed.py kernels`, one folder per defect. Without it, the
//! tests are skipped.

use std::path::PathBuf;

use super::linear::{Bytes, Halves, SHAPES, Size};
use super::{attention, layer_norm, read};
use ptx_machine::{Error, Module};

/// Loads a module with a defect, if the defects were compiled.
fn module(defect: &str, operation: &str) -> Option<Module> {
    let Some(folder) = std::env::var_os("CUDA_DEFECTS") else {
        println!("skipped {defect}: CUDA_DEFECTS is not set");
        return None;
    };
    Some(read(&PathBuf::from(folder).join(defect), operation))
}

/// Checks that a launch fails with one of these messages.
#[track_caller]
fn detected<T>(defect: &str, result: Result<T, Error>, reasons: &[&str]) {
    let Err(error) = result else { panic!("{defect} was not detected") };
    let error = error.to_string();
    println!("{defect}: {error}");
    assert!(reasons.iter().any(|reason| error.contains(reason)), "{defect}: {error}");
}

const SIZE: Size = Size { rows: 70, outputs: 128, inputs: 512 };

#[test]
fn missing_barriers_are_races() {
    let defect = "layer_norm_missing_barrier";
    if let Some(module) = module(defect, "layer_norm") {
        detected(defect, layer_norm::Case::new(2, 768).run(&module), &["a race"]);
    }
    let defect = "linear_missing_barrier";
    if let Some(module) = module(defect, "linear") {
        for shape in SHAPES {
            detected(
                defect,
                Halves::new(SIZE).run(&module, shape, "bias"),
                &["a race", "in flight"],
            );
            detected(
                defect,
                Bytes::new(SIZE).run(&module, shape, "bias"),
                &["a race", "in flight"],
            );
        }
    }
    let defect = "attention_missing_barrier";
    if let Some(module) = module(defect, "attention") {
        detected(
            defect,
            attention::Case::new(2, 64, &[150]).run(&module),
            &["a race", "in flight"],
        );
    }
}

#[test]
fn short_wait_reads_unfinished_copies() {
    let defect = "linear_wait";
    if let Some(module) = module(defect, "linear") {
        for shape in SHAPES {
            detected(defect, Halves::new(SIZE).run(&module, shape, "bias"), &["in flight"]);
        }
    }
    let defect = "attention_wait";
    if let Some(module) = module(defect, "attention") {
        detected(defect, attention::Case::new(2, 64, &[150]).run(&module), &["in flight"]);
    }
}

#[test]
fn missing_row_guards_write_out_of_bounds() {
    let defect = "linear_no_row_guard";
    if let Some(module) = module(defect, "linear") {
        for shape in SHAPES {
            detected(
                defect,
                Halves::new(SIZE).run(&module, shape, "bias"),
                &["outside global memory"],
            );
        }
    }
    let defect = "attention_no_row_guard";
    if let Some(module) = module(defect, "attention") {
        let case = attention::Case::new(2, 64, &[70]);
        detected(defect, case.run(&module), &["outside global memory"]);
    }
}

/// These defects make no invalid access, only wrong values.
#[test]
fn wrong_fragments_keys_and_scales_give_wrong_values() {
    let far = |found: f64, expected: f64| (found - expected).abs() > 0.05;
    let defect = "linear_fragment_order";
    if let Some(module) = module(defect, "linear") {
        let layer = Halves::new(SIZE);
        let (found, _) = layer.run(&module, SHAPES[2], "bias").unwrap();
        let is_far = |(index, found): (usize, &half::f16)| {
            far(found.to_f64(), layer.expected(index, "bias"))
        };
        assert!(found.iter().enumerate().any(is_far), "{defect} was not detected");
    }
    let defect = "linear_scale_index";
    if let Some(module) = module(defect, "linear") {
        let layer = Bytes::new(SIZE);
        let (found, _) = layer.run(&module, SHAPES[2], "bias").unwrap();
        let is_far = |(index, found): (usize, &half::f16)| {
            far(found.to_f64(), layer.expected(index, "bias"))
        };
        assert!(found.iter().enumerate().any(is_far), "{defect} was not detected");
    }
    for defect in ["attention_fragment_order", "attention_no_key_guard"] {
        if let Some(module) = module(defect, "attention") {
            let case = attention::Case::new(2, 64, &[70]);
            let found = case.run(&module).unwrap();
            let wrong = found.iter().zip(case.expected()).any(|(found, expected)| {
                (found.to_f64() - expected).abs() > 10.0 * attention::TOLERANCE
            });
            assert!(wrong, "{defect} was not detected");
        }
    }
}
