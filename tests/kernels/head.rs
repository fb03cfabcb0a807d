//! `kernels/head.cu`: gathering the first tokens' rows, and the classifier.

use std::sync::LazyLock;

use half::f16;

use super::{Argument, Device, arguments, floats, module, random};
use ptx_machine::Module;

static MODULE: LazyLock<Module> = LazyLock::new(|| module("head"));

const ROWS: usize = 3;
const THREADS: u32 = 128;

#[test]
fn gathers_first_rows() {
    let (ends, dim) = ([3, 4, 9], 24);
    let rows = random(1, 9 * dim, 1.0);
    let mut device = Device::new(&MODULE);
    let [from, to] = [device.upload(&rows), device.room::<f16>(3 * dim)];
    let sequence_ends = device.upload(&ends);
    let bytes = (dim * size_of::<f16>()) as u32;
    let arguments = arguments![from, sequence_ends, to, bytes];
    device.launch("gather_first_rows", [3, 1, 1], THREADS, arguments);
    let expected: Vec<f16> =
        [0, 3, 4].iter().flat_map(|row| &rows[row * dim..][..dim]).copied().collect();
    assert_eq!(device.download::<f16>(to, 3 * dim), expected);
}

#[test]
fn f16_logits_match_float64() {
    for (labels, inputs) in [(1, 8), (7, 384), (9, 768), (2, 264)] {
        let (input, weight) = (random(1, ROWS * inputs, 1.0), random(2, labels * inputs, 1.0));
        let bias = floats(&random(3, labels, 1.0));
        let mut device = Device::new(&MODULE);
        let [from, w] = [&input, &weight].map(|values| device.upload(values));
        let b = device.upload(&bias);
        let logits = device.room::<f32>(ROWS * labels);
        device.launch(
            "classifier_f16",
            [(labels as u32).div_ceil(4), ROWS as u32, 1],
            THREADS,
            arguments![from, w, b, logits, labels as u32, inputs as u32],
        );
        for (index, found) in device.download::<f32>(logits, ROWS * labels).iter().enumerate() {
            let (row, label) = (index / labels, index % labels);
            let pairs = input[row * inputs..].iter().zip(&weight[label * inputs..][..inputs]);
            let product: f64 = pairs.map(|(a, b)| a.to_f64() * b.to_f64()).sum();
            let expected = product + f64::from(bias[label]);
            assert!((f64::from(*found) - expected).abs() <= 1e-5, "{found}, not {expected}");
        }
    }
}

#[test]
fn int8_logits_match_exact_sums() {
    for (labels, inputs) in [(1, 16), (7, 384), (9, 768)] {
        let input: Vec<u8> =
            random(1, ROWS * inputs, 128.0).iter().map(|x| (x.to_f32() + 128.0) as u8).collect();
        let weight: Vec<i8> =
            random(2, labels * inputs, 63.0).iter().map(|x| x.to_f32() as i8).collect();
        let row_scales = [0.01, 3.0, 0.02, 255.0, 0.03, 0.0];
        let scale = |label: usize| 0.001 * (label + 1) as f32;
        let column = |label: usize| {
            let sum: i32 = weight[label * inputs..][..inputs].iter().map(|&w| i32::from(w)).sum();
            [scale(label).to_bits(), sum as u32, (label as f32).to_bits(), 0]
        };
        let columns: Vec<u32> = (0..labels).flat_map(column).collect();
        let mut device = Device::new(&MODULE);
        let from = device.upload(&input);
        let scales = device.upload(&row_scales);
        let w = device.upload(&weight);
        let columns = device.upload(&columns);
        let logits = device.room::<f32>(ROWS * labels);
        device.launch(
            "classifier_int8",
            [(labels as u32).div_ceil(4), ROWS as u32, 1],
            THREADS,
            arguments![from, scales, w, columns, logits, labels as u32, inputs as u32],
        );
        for (index, found) in device.download::<f32>(logits, ROWS * labels).iter().enumerate() {
            let (row, label) = (index / labels, index % labels);
            let zero_point = row_scales[2 * row + 1] as i64;
            let pairs = input[row * inputs..].iter().zip(&weight[label * inputs..][..inputs]);
            let sum: i64 = pairs.map(|(&x, &w)| (i64::from(x) - zero_point) * i64::from(w)).sum();
            let expected = sum as f64 * f64::from(row_scales[2 * row]) * f64::from(scale(label))
                + label as f64;
            let error = (f64::from(*found) - expected).abs();
            assert!(error <= 1e-6 * expected.abs().max(1.0), "{found}, not {expected}");
        }
    }
}
