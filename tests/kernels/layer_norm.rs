//! `kernels/layer_norm.cu`.

use std::sync::LazyLock;

use half::f16;

use super::{Argument, Device, arguments, assert_half_close, floats, module, quantized, random};
use ptx_machine::{Error, Module};

static MODULE: LazyLock<Module> = LazyLock::new(|| module("layer_norm"));

pub const THREADS: u32 = 128;
pub const EPS: f32 = 1e-12;

pub struct Case {
    pub dim: usize,
    pub states: Vec<f16>,
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
}

impl Case {
    pub fn new(rows: usize, dim: usize) -> Self {
        let states = random(1, rows * dim, 3.0);
        let states = states.iter().map(|x| f16::from_f32(x.to_f32() + 1.0)).collect();
        let [weight, bias] = [2, 3].map(|seed| floats(&random(seed, dim, 1.0)));
        Self { dim, states, weight, bias }
    }

    pub fn run(&self, module: &Module) -> Result<Vec<f16>, Error> {
        let mut device = Device::new(module);
        let states = device.upload(&self.states);
        let [weight, bias] = [&self.weight, &self.bias].map(|values| device.upload(values));
        let rows = (self.states.len() / self.dim) as u32;
        let arguments = arguments![states, weight, bias, self.dim as u32, EPS];
        device.try_launch("layer_norm", [rows, 1, 1], THREADS, arguments)?;
        Ok(device.download(states, self.states.len()))
    }

    pub fn expected(&self) -> Vec<f64> {
        let states: Vec<f64> = self.states.iter().map(|x| x.to_f64()).collect();
        normalized(&states, &self.weight, &self.bias)
    }
}

/// Normalizes rows with naive float64 loops.
pub fn normalized(states: &[f64], weight: &[f32], bias: &[f32]) -> Vec<f64> {
    let dim = weight.len();
    let row = |row: &[f64]| {
        let mean = row.iter().sum::<f64>() / dim as f64;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / dim as f64;
        let inverse = 1.0 / (variance + f64::from(EPS)).sqrt();
        let value =
            |i: usize| (row[i] - mean) * inverse * f64::from(weight[i]) + f64::from(bias[i]);
        (0..dim).map(value).collect::<Vec<f64>>()
    };
    states.chunks(dim).flat_map(row).collect()
}

pub const DIMS: [usize; 7] = [8, 16, 264, 384, 768, 1024, 2048];

#[test]
fn rows_of_every_width_match_float64() {
    for dim in DIMS {
        let case = Case::new(if dim == 16 { 512 } else { 3 }, dim);
        for (found, expected) in case.run(&MODULE).unwrap().into_iter().zip(case.expected()) {
            assert_half_close(found, expected, 1e-5);
        }
    }
}

/// Normalized values are quantized before they are rounded to f16, so the bytes are within one step of those that the f16
/// values would give.
#[test]
fn quantizes_normalized_rows() {
    for dim in DIMS {
        let case = Case::new(3, dim);
        let mut device = Device::new(&MODULE);
        let states = device.upload(&case.states);
        let [weight, bias] = [&case.weight, &case.bias].map(|values| device.upload(values));
        let bytes = device.room::<u8>(3 * dim);
        let scales = device.room::<f32>(3 * 2);
        device.launch(
            "layer_norm_quantize",
            [3, 1, 1],
            THREADS,
            arguments![states, weight, bias, bytes, scales, dim as u32, EPS],
        );
        let found = device.download::<f16>(states, 3 * dim);
        assert_eq!(found, case.run(&MODULE).unwrap());
        let (bytes, scales) =
            (device.download::<u8>(bytes, 3 * dim), device.download::<f32>(scales, 6));
        for (row, expected) in case.expected().chunks(dim).enumerate() {
            let expected: Vec<f32> = expected.iter().map(|&x| x as f32).collect();
            let ([scale, _], expected) = quantized(&expected);
            assert!((scales[2 * row] / scale - 1.0).abs() < 1e-5);
            for (found, expected) in bytes[row * dim..].iter().zip(expected) {
                assert!(found.abs_diff(expected) <= 1);
            }
        }
    }
}
