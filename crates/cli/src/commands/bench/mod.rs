//! `distilbert bench`: latency, throughput, load time and memory.

mod energy;
mod measure;
mod report;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use distilbert::{ClassifierBuilder, Error, InstructionSet, ModelInfo, Precision};
use indicatif::ProgressBar;

use self::energy::{EnergyMeter, POWERCAP};
use self::measure::{Latency, Throughput, text_of};
use self::report::Report;
use crate::args::model::ModelOptions;
use crate::failure::Failure;
use crate::render::{json, progress, terminal};

/// Numbers of tokens of the texts classified alone.
const LENGTHS: [usize; 4] = [8, 32, 128, 512];

/// Numbers of texts per batch.
const BATCHES: [usize; 4] = [1, 8, 64, 512];

/// Number of tokens of each text of a batch: a chat message or a short review.
const BATCH_TOKENS: usize = 32;

/// Measure latency, throughput, load time and memory on this machine
///
/// The texts are in English, and times include tokenization. With the default settings, the benchmark takes
/// about a minute. Other load on the machine skews the results.
#[derive(Args)]
#[command(after_help = "Examples:
  distilbert bench
  distilbert bench --model path/to/checkpoint --precision int8 --threads 1 --json")]
pub struct Arguments {
    #[command(flatten)]
    model: ModelOptions,

    /// Seconds per measurement
    #[arg(long, value_name = "S", default_value_t = 2.0, value_parser = seconds)]
    seconds: f64,

    /// Also measure joules per thousand texts, if the machine has energy counters
    #[arg(long)]
    energy: bool,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Parses a number of seconds.
fn seconds(text: &str) -> Result<f64, &'static str> {
    let seconds = text.parse().ok().filter(|seconds| (0.001..=3600.0).contains(seconds));
    seconds.ok_or("expected a number from 0.001 to 3600")
}

/// Measurements in one precision.
struct Measured {
    precision: Precision,
    load: Duration,
    /// Bytes of memory of the loaded model, if known.
    memory: Option<u64>,
    latencies: Vec<Latency>,
    throughputs: Vec<Throughput>,
}

pub fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let builder = arguments.model.builder()?;
    let requested = arguments.model.engine.precision();
    let meter = arguments.energy.then(|| EnergyMeter::find(Path::new(POWERCAP)));
    let (meter, no_energy) = match meter.transpose() {
        Ok(meter) => (meter, None),
        Err(reason) => (None, Some(reason)),
    };
    let precisions = requested.map_or_else(supported, |precision| vec![precision]);
    let progress = progress::measurements(precisions.len() * (LENGTHS.len() + BATCHES.len()));
    let duration = Duration::from_secs_f64(arguments.seconds);
    let bench = Bench { builder, meter, duration, progress };
    let (mut measured, mut failed) = (Vec::new(), Vec::new());
    for precision in precisions {
        match bench.measure(precision) {
            Ok(measurement) => measured.push(measurement),
            Err(error) => failed.push((precision, error)),
        }
    }
    bench.progress.finish_and_clear();
    let Some(info) = measured.first().map(|(info, _)| info.clone()) else {
        // There is at least one precision.
        let error = failed.into_iter().next();
        return error.map_or(Ok(ExitCode::SUCCESS), |(_, error)| Err(error.into()));
    };
    let measured = measured.into_iter().map(|(_, measured)| measured).collect();
    let report = Report { info, measured, failed, no_energy };
    if arguments.json {
        json::print(&report.json())?;
    } else {
        terminal::print(&report.table())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the precisions that this CPU computes in. If the instruction set is invalid, loading reports why.
fn supported() -> Vec<Precision> {
    let all = |_| Precision::ALL.to_vec();
    InstructionSet::choose(None).map_or_else(all, |set| set.precisions().collect())
}

/// Benchmark of one model.
struct Bench {
    builder: ClassifierBuilder,
    meter: Option<EnergyMeter>,
    /// Duration of each measurement.
    duration: Duration,
    progress: ProgressBar,
}

impl Bench {
    /// Loads the model in one precision and measures it.
    fn measure(&self, precision: Precision) -> Result<(ModelInfo, Measured), Error> {
        let before = memory();
        let start = Instant::now();
        let classifier = self.builder.clone().precision(precision).build()?;
        let load = start.elapsed();
        // Memory includes the buffers of a call.
        let limit = classifier.max_tokens();
        let mut lengths: Vec<usize> = LENGTHS.iter().map(|&length| length.min(limit)).collect();
        lengths.dedup();
        classifier.classify(&text_of(&classifier, limit)?)?;
        let memory = before.zip(memory()).map(|(before, after)| after.saturating_sub(before));

        let mut latencies = Vec::new();
        for length in lengths {
            latencies.push(measure::latency(&classifier, length, self.duration)?);
            self.progress.inc(1);
        }
        let mut throughputs = Vec::new();
        for batch in BATCHES {
            let tokens = BATCH_TOKENS.min(limit);
            let meter = self.meter.as_ref();
            throughputs.push(measure::throughput(
                &classifier,
                batch,
                tokens,
                self.duration,
                meter,
            )?);
            self.progress.inc(1);
        }
        Ok((
            classifier.info().clone(),
            Measured { precision, load, memory, latencies, throughputs },
        ))
    }
}

/// Returns the bytes of anonymous memory of this process, if known.
fn memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}
