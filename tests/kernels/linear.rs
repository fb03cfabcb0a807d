//! `kernels/linear.cu`: matrix products with their epilogues.

use std::sync::LazyLock;

use half::f16;

use super::{Argument, Device, arguments, assert_half_close, floats, module, random};
use ptx_machine::{Counts, Error, Module};

static MODULE: LazyLock<Module> = LazyLock::new(|| module("linear"));

/// Rows, outputs and threads per block.
#[derive(Clone, Copy, Debug)]
pub struct Shape(u32, u32, u32);

pub const SHAPES: [Shape; 4] =
    [Shape(16, 32, 64), Shape(32, 32, 128), Shape(64, 64, 128), Shape(128, 128, 256)];
const EPILOGUES: [&str; 4] = ["bias", "bias_gelu", "bias_relu", "bias_residual"];

impl Shape {
    fn grid(self, rows: usize, outputs: usize) -> [u32; 3] {
        [(outputs as u32).div_ceil(self.1), (rows as u32).div_ceil(self.0), 1]
    }

    fn kernel(self, of: &str, epilogue: &str) -> String {
        format!("linear_{of}_{epilogue}_{}x{}", self.0, self.1)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub rows: usize,
    pub outputs: usize,
    pub inputs: usize,
}

/// Filler between the output rows, which must stay unchanged.
const GAP: usize = 8;
const HELD: f32 = 0.25;

/// Output without the filler between rows, and the counts of the launch.
type Computed = Result<(Vec<f16>, Counts), Error>;

fn read(device: &Device, output: u64, Size { rows, outputs, .. }: Size) -> Vec<f16> {
    let stride = outputs + GAP;
    let values = device.download::<f16>(output, (rows - 1) * stride + outputs);
    let mut found = Vec::new();
    for row in values.chunks(stride) {
        found.extend(&row[..outputs]);
        assert!(row[outputs..].iter().all(|value| value.to_f32() == HELD), "between the rows");
    }
    found
}

fn output(device: &mut Device, Size { rows, outputs, .. }: Size) -> u64 {
    let len = (rows - 1) * (outputs + GAP) + outputs;
    device.upload(&vec![f16::from_f32(HELD); len])
}

pub struct Halves {
    pub size: Size,
    pub input: Vec<f16>,
    pub weight: Vec<f16>,
    pub bias: Vec<f32>,
}

impl Halves {
    pub fn new(size: Size) -> Self {
        let Size { rows, outputs, inputs } = size;
        let input = random(1, rows * inputs, 1.0);
        let weight = random(2, outputs * inputs, 1.0);
        Self { size, input, weight, bias: floats(&random(3, outputs, 1.0)) }
    }

    pub fn run(&self, module: &Module, shape: Shape, epilogue: &str) -> Computed {
        let Size { rows, outputs, inputs } = self.size;
        let mut device = Device::new(module);
        let to = output(&mut device, self.size);
        let from = device.upload(&self.input);
        let weight = device.upload(&self.weight);
        let bias = device.upload(&self.bias);
        let sizes = [rows, outputs, inputs, outputs + GAP].map(|size| size as u32);
        let counts = device.try_launch(
            &shape.kernel("f16", epilogue),
            shape.grid(rows, outputs),
            shape.2,
            arguments![from, weight, bias, to, sizes[0], sizes[1], sizes[2], sizes[3]],
        )?;
        Ok((read(&device, to, self.size), counts))
    }

    /// Computes the layer with naive float64 loops.
    pub fn expected(&self, index: usize, epilogue: &str) -> f64 {
        let Size { outputs, inputs, .. } = self.size;
        let (row, output) = (index / outputs, index % outputs);
        let pairs = self.input[row * inputs..].iter().zip(&self.weight[output * inputs..]);
        let product: f64 = pairs.take(inputs).map(|(a, b)| a.to_f64() * b.to_f64()).sum();
        finished(product + f64::from(self.bias[output]), epilogue)
    }
}

fn finished(sum: f64, epilogue: &str) -> f64 {
    match epilogue {
        "bias_gelu" => sum * 0.5 * (1.0 + libm::erf(sum / 2f64.sqrt())),
        "bias_relu" => sum.max(0.0),
        "bias_residual" => sum + f64::from(HELD),
        _ => sum,
    }
}

/// Int8 inputs, each row with its own scale and zero point.
pub struct Bytes {
    pub size: Size,
    pub input: Vec<u8>,
    pub row_scales: Vec<f32>,
    pub weight: Vec<i8>,
    pub column_scales: Vec<f32>,
    pub bias: Vec<f32>,
}

impl Bytes {
    pub fn new(size: Size) -> Self {
        let Size { rows, outputs, inputs } = size;
        let of = |seed, len, scale| floats(&random(seed, len, scale)).into_iter();
        Self {
            size,
            input: of(1, rows * inputs, 128.0).map(|x| (x + 128.0) as u8).collect(),
            row_scales: of(2, rows, 1.0)
                .flat_map(|x| [0.01 + 0.001 * x.abs(), (x * 100.0 + 128.0).round()])
                .collect(),
            weight: of(3, outputs * inputs, 64.0).map(|x| x.clamp(-63.0, 63.0) as i8).collect(),
            column_scales: of(4, outputs, 0.001).map(|x| 0.001 + x.abs()).collect(),
            bias: of(5, outputs, 1.0).collect(),
        }
    }

    fn weights(&self, output: usize) -> &[i8] {
        &self.weight[output * self.size.inputs..][..self.size.inputs]
    }

    pub fn run(&self, module: &Module, shape: Shape, epilogue: &str) -> Computed {
        let Size { rows, outputs, inputs } = self.size;
        let mut device = Device::new(module);
        let to = output(&mut device, self.size);
        let from = device.upload(&self.input);
        let row_scales = device.upload(&self.row_scales);
        let weight = device.upload(&self.weight);
        let column = |output: usize| {
            let sum: i32 = self.weights(output).iter().map(|&weight| i32::from(weight)).sum();
            let [scale, bias] = [self.column_scales[output], self.bias[output]].map(f32::to_bits);
            [scale, sum as u32, bias, 0]
        };
        let columns: Vec<u32> = (0..outputs).flat_map(column).collect();
        let columns = device.upload(&columns);
        let sizes = [rows, outputs, inputs, outputs + GAP].map(|size| size as u32);
        let counts = device.try_launch(
            &shape.kernel("int8", epilogue),
            shape.grid(rows, outputs),
            shape.2,
            arguments![
                from, row_scales, weight, columns, to, sizes[0], sizes[1], sizes[2], sizes[3]
            ],
        )?;
        Ok((read(&device, to, self.size), counts))
    }

    /// Computes the layer with a naive loop and exact sums.
    pub fn expected(&self, index: usize, epilogue: &str) -> f64 {
        let Size { outputs, inputs, .. } = self.size;
        let (row, output) = (index / outputs, index % outputs);
        let (scale, zero_point) = (self.row_scales[2 * row], self.row_scales[2 * row + 1] as i64);
        let pairs = self.input[row * inputs..].iter().zip(self.weights(output));
        let sum: i64 = pairs.map(|(&x, &w)| (i64::from(x) - zero_point) * i64::from(w)).sum();
        let value = sum as f64 * f64::from(scale) * f64::from(self.column_scales[output]);
        finished(value + f64::from(self.bias[output]), epilogue)
    }
}

/// Returns sizes around the block size of every shape, and depths from one slab to more than are in flight at once.
fn sizes() -> Vec<Size> {
    let rows = [1, 2, 3, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 512];
    let depths = [(64, 64), (192, 128), (128, 320), (64, 768)];
    let size = |index: usize, &rows| {
        let (outputs, inputs) = depths[index % depths.len()];
        Size { rows, outputs, inputs }
    };
    rows.iter().enumerate().map(|(index, rows)| size(index, rows)).collect()
}

#[test]
fn f16_products_match_float64_bit_identically_for_every_shape() {
    for size in sizes() {
        let layer = Halves::new(size);
        for epilogue in EPILOGUES {
            let outputs = SHAPES.map(|shape| layer.run(&MODULE, shape, epilogue).unwrap().0);
            assert!(outputs.iter().all(|output| *output == outputs[0]), "{size:?} {epilogue}");
            for (index, &found) in outputs[0].iter().enumerate() {
                let besides = 2e-6 * (size.inputs as f64);
                assert_half_close(found, layer.expected(index, epilogue), besides);
            }
        }
    }
}

#[test]
fn int8_products_match_exact_sums_bit_identically_for_every_shape() {
    for size in sizes() {
        let layer = Bytes::new(size);
        for epilogue in EPILOGUES {
            let outputs = SHAPES.map(|shape| layer.run(&MODULE, shape, epilogue).unwrap().0);
            assert!(outputs.iter().all(|output| *output == outputs[0]), "{size:?} {epilogue}");
            for (index, &found) in outputs[0].iter().enumerate() {
                assert_half_close(found, layer.expected(index, epilogue), 1e-5);
            }
        }
    }
}

/// With unit scales and biases that cancel the sums, any nonzero output is an error in a sum.
#[test]
fn int8_sums_are_exact() {
    for size in sizes() {
        let Size { outputs, .. } = size;
        let mut layer = Bytes::new(Size { rows: 1, ..size });
        layer.row_scales[0] = 1.0;
        layer.column_scales.fill(1.0);
        layer.bias.fill(0.0);
        layer.bias = (0..outputs).map(|index| -layer.expected(index, "bias") as f32).collect();
        assert!(layer.bias.iter().any(|bias| bias.abs() > 1000.0));
        for shape in SHAPES {
            let found = layer.run(&MODULE, shape, "bias").unwrap().0;
            assert!(found.iter().all(|found| found.to_f32() == 0.0), "{size:?} {shape:?}");
        }
    }
}

#[test]
fn rows_are_bit_identical_in_any_batch() {
    let layer = Halves::new(Size { rows: 70, outputs: 64, inputs: 192 });
    let batch = layer.run(&MODULE, SHAPES[3], "bias_gelu").unwrap().0;
    for row in [0, 1, 40, 69] {
        let input = layer.input[row * 192..][..192].to_vec();
        let alone =
            Halves { size: Size { rows: 1, ..layer.size }, input, ..Halves::new(layer.size) };
        let alone = alone.run(&MODULE, SHAPES[0], "bias_gelu").unwrap().0;
        assert_eq!(alone, batch[row * 64..][..64]);
    }
}

#[test]
fn memory_accesses_are_wide_and_conflict_free() {
    let size = Size { rows: 256, outputs: 256, inputs: 768 };
    for shape in SHAPES {
        for counts in [
            Halves::new(size).run(&MODULE, shape, "bias").unwrap().1,
            Bytes::new(size).run(&MODULE, shape, "bias").unwrap().1,
        ] {
            assert!(counts.mma > 0);
            assert_eq!(counts.shared_conflict_passes, 0, "{shape:?}");
            let loads = counts.global_bytes_loaded / 16;
            let wide = counts.global_accesses_of_16_bytes;
            assert!(10 * wide >= 9 * loads, "{shape:?}: {wide} of {loads} loads are wide");
        }
    }
}
