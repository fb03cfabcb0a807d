//! `distilbert bench`: how fast this machine computes a model, and what it takes.

mod energy;
mod measure;
mod report;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use distilbert::{Classifier, ClassifierBuilder, Error, ModelInfo, Precision};
use indicatif::ProgressBar;

use self::energy::{EnergyMeter, POWERCAP};
use self::measure::{Latency, Throughput, text_of};
use self::report::Report;
use crate::args::engine::WantedEngine;
use crate::args::model_folder::ModelFolder;
use crate::failure::Failure;
use crate::render::progress;

/// Tokens of the texts that are classified alone.
const LENGTHS: [usize; 4] = [8, 32, 128, 512];

/// Texts that are classified together, and the tokens of each: a chat message or a short review.
const BATCHES: [usize; 4] = [1, 8, 64, 512];
const BATCH_TOKENS: usize = 32;

/// Measure how fast this machine computes a model: latency, throughput, loading, memory
///
/// Texts are in English and go in as text: the tokenizer's time counts. With the times set, it takes about a
/// minute. Other work on the machine makes all figures worse.
#[derive(Args)]
#[command(after_help = "Examples:
  distilbert bench
  distilbert bench --model path/to/checkpoint --precision int8 --threads 1 --json")]
pub struct Arguments {
    #[command(flatten)]
    model: ModelFolder,

    #[command(flatten)]
    engine: WantedEngine,

    /// Seconds for each figure
    #[arg(long, value_name = "S", default_value_t = 2.0, value_parser = seconds)]
    seconds: f64,

    /// Tell also the joules that a thousand texts take, where the machine counts them
    #[arg(long)]
    energy: bool,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn seconds(text: &str) -> Result<f64, &'static str> {
    let seconds = text.parse().ok().filter(|seconds| (0.001..=3600.0).contains(seconds));
    seconds.ok_or("a number from 0.001 to 3600")
}

/// What was measured at one precision.
struct Measured {
    precision: Precision,
    load: Duration,
    /// Bytes that the loaded model takes, where the system tells.
    memory: Option<u64>,
    latencies: Vec<Latency>,
    throughputs: Vec<Throughput>,
}

pub fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let folder = arguments.model.find()?;
    let wanted = arguments.engine.precision();
    let builder = arguments.engine.apply(Classifier::builder(&folder));
    let meter = arguments.energy.then(|| EnergyMeter::find(Path::new(POWERCAP)));
    let (meter, why_no_energy) = match meter.transpose() {
        Ok(meter) => (meter, None),
        Err(reason) => (None, Some(reason)),
    };
    let precisions = wanted.map_or(Precision::ALL.to_vec(), |precision| vec![precision]);
    let progress = progress::figures(precisions.len() * (LENGTHS.len() + BATCHES.len()));
    let duration = Duration::from_secs_f64(arguments.seconds);
    let bench = Bench { builder, meter, duration, progress };
    let (mut measured, mut refused) = (Vec::new(), Vec::new());
    for precision in precisions {
        match bench.measure(precision) {
            Ok(figures) => measured.push(figures),
            Err(error) => refused.push((precision, error)),
        }
    }
    bench.progress.finish_and_clear();
    let Some(about) = measured.first().map(|(about, _)| about.clone()) else {
        // There is at least one precision.
        return refused
            .into_iter()
            .next()
            .map_or(Ok(ExitCode::SUCCESS), |(_, error)| Err(error.into()));
    };
    let measured = measured.into_iter().map(|(_, figures)| figures).collect();
    let report = Report { about, measured, refused, why_no_energy };
    let text = if arguments.json { format!("{}\n", report.json()) } else { report.table() };
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::Output)?;
    Ok(ExitCode::SUCCESS)
}

struct Bench {
    builder: ClassifierBuilder,
    meter: Option<EnergyMeter>,
    /// For each figure.
    duration: Duration,
    progress: ProgressBar,
}

impl Bench {
    fn measure(&self, precision: Precision) -> Result<(ModelInfo, Measured), Error> {
        let before = memory();
        let start = Instant::now();
        let classifier = self.builder.clone().precision(precision).build()?;
        let load = start.elapsed();
        // What a call needs beside the weights belongs to it.
        let limit = classifier.config().max_position_embeddings;
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
        let about = classifier.info().clone();
        Ok((about, Measured { precision, load, memory, latencies, throughputs }))
    }
}

/// Bytes of memory that this process has to itself, where the system tells.
fn memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}
