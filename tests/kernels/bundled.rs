//! The bundled model's matrices in int8: both backends compute the same integers.

use distilbert::kernels::{Epilogue, linear};
use distilbert::{InstructionSet, Precision, quantize};
use half::f16;
use tempfile::TempDir;

use super::{Device, arguments, module};
use ptx_machine::Argument;
use test_support::bundled_model;
use test_support::generator::Tensor;

/// Number of input rows.
const ROWS: usize = 5;

#[test]
fn int8_products_match_cpu() {
    let folder = TempDir::new().unwrap();
    let stored = folder.path().join("int8");
    quantize(bundled_model(), &stored).unwrap();
    let (floats, bytes) = (Tensor::read_all(&bundled_model()), Tensor::read_all(&stored));
    let words = floats["distilbert.embeddings.word_embeddings.weight"].values();
    let linear_module = module("linear");
    let quantize_module = module("quantize");
    let set = *InstructionSet::detected().last().unwrap();
    let mut compared = 0;
    for (name, tensor) in &bytes {
        if !name.starts_with("distilbert.transformer")
            || !name.ends_with(".weight")
            || tensor.shape.len() != 2
        {
            continue;
        }
        let &[outputs, inputs] = tensor.shape.as_slice() else { unreachable!() };
        // Word embeddings from the middle of the vocabulary, concatenated.
        let rows: Vec<f16> =
            words[2_000_000..][..ROWS * inputs].iter().map(|&value| f16::from_f32(value)).collect();

        let mut device = Device::new(&quantize_module);
        let from = device.upload(&rows);
        let (to, scales) = (device.room::<u8>(rows.len()), device.room::<f32>(2 * ROWS));
        let arguments = arguments![from, to, scales, inputs as u32];
        device.launch("quantize", [ROWS as u32, 1, 1], 128, arguments);
        let quantized: Vec<u8> = device.download(to, rows.len());
        let row_scales: Vec<f32> = device.download(scales, 2 * ROWS);

        let weights: Vec<i8> = tensor.bytes.iter().map(|&byte| byte as i8).collect();
        let columns = columns(&weights, inputs, &bytes[&format!("{name}_scale")].values());
        let mut device = Device::new(&linear_module);
        let (from, row_scales) = (device.upload(&quantized), device.upload(&row_scales));
        let (weight, columns) = (device.upload(&weights), device.upload(&columns));
        let to = device.room::<f16>(ROWS * outputs);
        let sizes = [ROWS, outputs, inputs, outputs].map(|size| size as u32);
        let arguments = arguments![
            from, row_scales, weight, columns, to, sizes[0], sizes[1], sizes[2], sizes[3]
        ];
        let grid = [outputs.div_ceil(32) as u32, 1, 1];
        device.launch("linear_int8_bias_16x32", grid, 64, arguments);
        let found: Vec<f16> = device.download(to, ROWS * outputs);

        // The CPU quantizes the weights and the rows on its own.
        let input: Vec<f32> = rows.iter().map(|half| half.to_f32()).collect();
        let weights = floats[name].values();
        let operands = (input.as_slice(), weights.as_slice(), inputs);
        let mut expected = vec![0.0; ROWS * outputs];
        linear(set, Precision::Int8, Epilogue::Bias, operands).unwrap()(&mut expected);
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(*found, f16::from_f32(*expected), "{name}");
        }
        compared += found.len();
    }
    assert!(compared > 5 * 6 * 3000, "only {compared} values");
}

/// Returns the scale and the sum of each column of the weights, padded to 16 bytes.
fn columns(weights: &[i8], inputs: usize, scales: &[f32]) -> Vec<u32> {
    let column = |(column, scale): (&[i8], &f32)| {
        let sum: i32 = column.iter().copied().map(i32::from).sum();
        [scale.to_bits(), sum as u32, 0, 0]
    };
    weights.chunks(inputs).zip(scales).flat_map(column).collect()
}
