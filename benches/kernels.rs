//! Each kernel on each available instruction set, with the shapes of DistilBERT-base and on one thread:
//! `cargo bench --features kernels --bench kernels`.
//!
//! Every output is compared with a naive float64 loop before it is timed. Throughput of matrix products is given in
//! operations, two per multiply-add, and as a fraction of the f32 peak that the instruction set reached a moment before;
//! throughput of other kernels in bytes read.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use distilbert::kernels::{self, Epilogue, Run};
use distilbert::{InstructionSet, Precision};

const ROWS: [usize; 7] = [1, 8, 16, 32, 64, 128, 512];
const DIM: usize = 768;
const HIDDEN_DIM: usize = 3072;
const HEADS: usize = 12;

/// Linear layers of a transformer layer.
const LAYERS: [Layer; 4] = [
    Layer { name: "query_key_value", inputs: DIM, outputs: 3 * DIM, epilogue: Epilogue::Bias },
    Layer { name: "out", inputs: DIM, outputs: DIM, epilogue: Epilogue::BiasResidual },
    Layer { name: "ffn_in", inputs: DIM, outputs: HIDDEN_DIM, epilogue: Epilogue::BiasGelu },
    Layer { name: "ffn_out", inputs: HIDDEN_DIM, outputs: DIM, epilogue: Epilogue::BiasResidual },
];

struct Layer {
    name: &'static str,
    inputs: usize,
    outputs: usize,
    epilogue: Epilogue,
}

fn main() {
    for &set in InstructionSet::ALL {
        let Some(peak) = peak(set) else {
            println!("skipped {set}: not available on this machine");
            continue;
        };
        println!("{set}: peak of multiply-adds in registers: {peak:.1} GFLOP/s");
        let mut criterion = Criterion::default()
            .with_measurement(Rates(peak))
            .sample_size(20)
            .warm_up_time(Duration::from_millis(100))
            .measurement_time(Duration::from_millis(400))
            .configure_from_args();
        let has_own_floats = !matches!(
            set,
            InstructionSet::AvxVnni
                | InstructionSet::Avx512Vnni
                | InstructionSet::Avx512Amx
                | InstructionSet::Dotprod
                | InstructionSet::I8mm
        );
        for &precision in Precision::ALL {
            if matches!(precision, Precision::Int8 | Precision::Bf16) || has_own_floats {
                linear_layers(&mut criterion, set, precision);
            }
            // In f16, attention is the same as in f32.
            if precision == Precision::Int8 || (precision == Precision::F32 && has_own_floats) {
                attentions(&mut criterion, set, precision);
            }
        }
        if has_own_floats {
            others(&mut criterion, set);
        }
        criterion.final_summary();
    }
}

fn linear_layers(criterion: &mut Criterion<Rates>, set: InstructionSet, precision: Precision) {
    let mut group = criterion.benchmark_group(format!("{set}/{precision}"));
    group.sampling_mode(SamplingMode::Flat);
    for Layer { name, inputs, outputs, epilogue } in LAYERS {
        let weights = random(1, outputs * inputs);
        for rows in ROWS {
            let input = random(2, rows * inputs);
            let Some(mut run) =
                kernels::linear(set, precision, epilogue, (&input, &weights, inputs))
            else {
                continue;
            };
            let mut output = vec![0.0; rows * outputs];
            run(&mut output);
            // Upper bound of the rounding errors of the factors and the sum.
            let error = match precision {
                Precision::Int8 => 2e-2,
                Precision::F16 => 1e-3,
                Precision::Bf16 => 1e-2,
                _ => 1e-5,
            } * (inputs as f64).sqrt();
            check(name, &output, error, |index| {
                let (row, column) = (index / outputs, index % outputs);
                let sum = dot(&input[row * inputs..], &weights[column * inputs..], inputs);
                match epilogue {
                    Epilogue::BiasGelu => sum * 0.5 * (1.0 + libm::erf(sum / 2f64.sqrt())),
                    _ => sum,
                }
            });
            group.throughput(Throughput::Elements((2 * rows * inputs * outputs) as u64));
            group.bench_with_input(BenchmarkId::new(name, rows), &(), |bencher, ()| {
                bencher.iter(|| run(&mut output));
            });
        }
    }
    group.finish();
}

fn attentions(criterion: &mut Criterion<Rates>, set: InstructionSet, precision: Precision) {
    let mut group = criterion.benchmark_group(format!("{set}/{precision}"));
    group.sampling_mode(SamplingMode::Flat);
    for rows in ROWS {
        let input: Vec<f32> = random(3, rows * 3 * DIM).iter().map(|x| 2.0 * x).collect();
        let Some(run) = kernels::attention(set, precision, (HEADS, DIM / HEADS), &input) else {
            continue;
        };
        // In int8, a step of the values, plus the effect of the probabilities' errors.
        let error = if precision == Precision::Int8 { 0.05 } else { 1e-5 };
        let mut run = verified("attention", run, rows * DIM, error, |index| {
            attention(&input, index / DIM, index % DIM)
        });
        group.throughput(Throughput::Elements((4 * rows * rows * DIM) as u64));
        group.bench_function(BenchmarkId::new("attention", rows), |bencher| {
            bencher.iter(&mut run);
        });
    }
    group.finish();
}

/// Benchmarks the kernels without weights.
fn others(criterion: &mut Criterion<Rates>, set: InstructionSet) {
    let mut group = criterion.benchmark_group(set.to_string());
    group.sampling_mode(SamplingMode::Flat);
    for rows in ROWS {
        let input = random(4, rows * DIM);
        group.throughput(Throughput::Bytes(4 * input.len() as u64));
        if let Some(run) = kernels::layer_norm(set, DIM, &input) {
            let mut run = verified("layer_norm", run, input.len(), 1e-5, |index| {
                let row = input[index / DIM * DIM..][..DIM].iter().map(|&x| f64::from(x));
                let mean = row.clone().sum::<f64>() / DIM as f64;
                let variance = row.map(|x| (x - mean).powi(2)).sum::<f64>() / DIM as f64;
                (f64::from(input[index]) - mean) / variance.sqrt()
            });
            group.bench_function(BenchmarkId::new("layer_norm", rows), |bencher| {
                bencher.iter(&mut run);
            });
        }
        if let Some(run) = kernels::softmax(set, DIM, &input) {
            let mut run = verified("softmax", run, input.len(), 1e-6, |index| {
                let row = &input[index / DIM * DIM..][..DIM];
                let largest = row.iter().copied().fold(f32::MIN, f32::max);
                (f64::from(input[index]) - f64::from(largest)).exp()
            });
            group.bench_function(BenchmarkId::new("softmax", rows), |bencher| {
                bencher.iter(&mut run);
            });
        }
        if let Some(mut run) = kernels::quantize(set, DIM, &input) {
            let mut output = vec![0.0; input.len()];
            run(&mut output);
            check("quantize", &output, 0.51 * 2.0 / 255.0, |index| f64::from(input[index]));
            group.bench_function(BenchmarkId::new("quantize", rows), |bencher| {
                bencher.iter(|| run(&mut []));
            });
        }
    }
    group.finish();
}

/// Checks a kernel's output once and returns the kernel.
fn verified(
    name: &str,
    mut run: Run,
    len: usize,
    error: f64,
    expected: impl Fn(usize) -> f64,
) -> impl FnMut() {
    let mut output = vec![0.0; len];
    run(&mut output);
    check(name, &output, error, expected);
    move || run(&mut output)
}

/// Compares outputs with float64: all of a small run, a few hundred of a large one.
fn check(name: &str, output: &[f32], error: f64, expected: impl Fn(usize) -> f64) {
    const CHECKED: usize = 500;
    for index in (0..output.len()).step_by((output.len() / CHECKED).max(1)) {
        let (found, expected) = (f64::from(output[index]), expected(index));
        // Written so that NaN fails as well.
        let is_close = (found - expected).abs() <= error;
        assert!(is_close, "{name}: output {index} is {found}, not {expected}");
    }
}

/// Computes one value of attention's output.
fn attention(input: &[f32], query: usize, column: usize) -> f64 {
    let head = column / (DIM / HEADS) * (DIM / HEADS);
    let scale = 1.0 / ((DIM / HEADS) as f64).sqrt();
    let (mut total, mut sum) = (0.0, 0.0);
    for token in input.chunks_exact(3 * DIM) {
        let score = dot(&input[query * 3 * DIM + head..], &token[DIM + head..], DIM / HEADS);
        let share = (scale * score).exp();
        total += share;
        sum += share * f64::from(token[2 * DIM + column]);
    }
    sum / total
}

fn dot(a: &[f32], b: &[f32], len: usize) -> f64 {
    a[..len].iter().zip(&b[..len]).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// Returns values in [−1, 1), determined by the seed.
fn random(seed: u32, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
    (0..len)
        .map(|_| {
            // Marsaglia's xorshift.
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

/// Measures the peak GFLOP/s of an instruction set on one core, the best of several runs; `None` if the CPU lacks it.
fn peak(set: InstructionSet) -> Option<f64> {
    const STEPS: usize = 1_000_000;
    let mut best = 0f64;
    for _ in 0..20 {
        let start = Instant::now();
        let (operations, value) = kernels::multiply_add(set, black_box(STEPS))?;
        black_box(value);
        best = best.max(operations as f64 / start.elapsed().as_nanos() as f64);
    }
    Some(best)
}

/// Measurement of time that also reports throughput relative to a peak in GFLOP/s.
struct Rates(f64);

impl Measurement for Rates {
    type Intermediate = <WallTime as Measurement>::Intermediate;
    type Value = <WallTime as Measurement>::Value;

    fn start(&self) -> Self::Intermediate {
        WallTime.start()
    }

    fn end(&self, start: Self::Intermediate) -> Self::Value {
        WallTime.end(start)
    }

    fn add(&self, a: &Self::Value, b: &Self::Value) -> Self::Value {
        WallTime.add(a, b)
    }

    fn zero(&self) -> Self::Value {
        WallTime.zero()
    }

    fn to_f64(&self, value: &Self::Value) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        self
    }
}

impl ValueFormatter for Rates {
    fn scale_values(&self, typical: f64, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_values(typical, values)
    }

    /// Converts values in nanoseconds.
    fn scale_throughputs(
        &self,
        typical: f64,
        throughput: &Throughput,
        values: &mut [f64],
    ) -> &'static str {
        match *throughput {
            Throughput::Elements(operations) => {
                let rate = |nanoseconds: f64| operations as f64 / nanoseconds;
                values.iter_mut().for_each(|value| *value = rate(*value));
                let share = 100.0 * rate(typical) / self.0;
                // Criterion requires a static string; there are only a few hundred.
                format!("Gop/s, {share:.0}% of the f32 peak").leak()
            }
            _ => WallTime.formatter().scale_throughputs(typical, throughput, values),
        }
    }

    fn scale_for_machines(&self, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_for_machines(values)
    }
}
