//! Seeded defects, each of which the machine or a comparison must catch for its own reason.
//!
//! `CUDA_DEFECTS` names the folder in which `dev/defects/seed.py kernels` compiled them, one folder per
//! defect; without it, the tests are skipped.

use std::path::PathBuf;

use super::linear::{Bytes, Halves, SHAPES, Size};
use super::{attention, layer_norm, read};
use ptx_machine::{Error, Module};

/// A module with a defect, if there are any.
fn module(defect: &str, operation: &str) -> Option<Module> {
    let Some(folder) = std::env::var_os("CUDA_DEFECTS") else {
        println!("skipped {defect}: CUDA_DEFECTS names no folder");
        return None;
    };
    Some(read(&PathBuf::from(folder).join(defect), operation))
}

/// Checks that running it ends in an error that says one of these.
#[track_caller]
fn caught<T>(defect: &str, result: Result<T, Error>, reasons: &[&str]) {
    let Err(error) = result else { panic!("{defect} was not caught") };
    let error = error.to_string();
    println!("{defect}: {error}");
    assert!(reasons.iter().any(|reason| error.contains(reason)), "{defect}: {error}");
}

const SIZE: Size = Size { rows: 70, outputs: 128, inputs: 512 };

#[test]
fn missing_barriers_are_races() {
    let defect = "layer_norm_missing_barrier";
    if let Some(module) = module(defect, "layer_norm") {
        caught(defect, layer_norm::Case::new(2, 768).run(&module), &["a race"]);
    }
    let defect = "linear_missing_barrier";
    if let Some(module) = module(defect, "linear") {
        for shape in SHAPES {
            caught(defect, Halves::new(SIZE).run(&module, shape, "bias"), &["a race", "in flight"]);
            caught(defect, Bytes::new(SIZE).run(&module, shape, "bias"), &["a race", "in flight"]);
        }
    }
    let defect = "attention_missing_barrier";
    if let Some(module) = module(defect, "attention") {
        caught(defect, attention::Case::new(2, 64, &[150]).run(&module), &["a race", "in flight"]);
    }
}

#[test]
fn a_wait_one_group_short_reads_what_is_not_there() {
    let defect = "linear_wait";
    if let Some(module) = module(defect, "linear") {
        for shape in SHAPES {
            caught(defect, Halves::new(SIZE).run(&module, shape, "bias"), &["in flight"]);
        }
    }
    let defect = "attention_wait";
    if let Some(module) = module(defect, "attention") {
        caught(defect, attention::Case::new(2, 64, &[150]).run(&module), &["in flight"]);
    }
}

#[test]
fn missing_row_guards_reach_past_the_output() {
    let defect = "linear_no_row_guard";
    if let Some(module) = module(defect, "linear") {
        for shape in SHAPES {
            caught(
                defect,
                Halves::new(SIZE).run(&module, shape, "bias"),
                &["outside global memory"],
            );
        }
    }
    let defect = "attention_no_row_guard";
    if let Some(module) = module(defect, "attention") {
        let case = attention::Case::new(2, 64, &[70]);
        caught(defect, case.run(&module), &["outside global memory"]);
    }
}

/// No access is wrong with these: the values are.
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
        assert!(found.iter().enumerate().any(is_far), "{defect} was not caught");
    }
    let defect = "linear_scale_index";
    if let Some(module) = module(defect, "linear") {
        let layer = Bytes::new(SIZE);
        let (found, _) = layer.run(&module, SHAPES[2], "bias").unwrap();
        let is_far = |(index, found): (usize, &half::f16)| {
            far(found.to_f64(), layer.expected(index, "bias"))
        };
        assert!(found.iter().enumerate().any(is_far), "{defect} was not caught");
    }
    for defect in ["attention_fragment_order", "attention_no_key_guard"] {
        if let Some(module) = module(defect, "attention") {
            let case = attention::Case::new(2, 64, &[70]);
            let found = case.run(&module).unwrap();
            let wrong = found.iter().zip(case.expected()).any(|(found, expected)| {
                (found.to_f64() - expected).abs() > 10.0 * attention::TOLERANCE
            });
            assert!(wrong, "{defect} was not caught");
        }
    }
}
