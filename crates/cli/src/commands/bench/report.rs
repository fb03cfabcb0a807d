//! Measurements as text or JSON.

use std::time::Duration;

use distilbert::{Error, ModelInfo, Precision};
use serde_json::{Value, json};

use super::Measured;
use crate::failure::chain;
use crate::render::terminal::{self, BOLD, DIM};

/// Measurements of one model.
pub struct Report {
    /// Info of the first precision.
    pub info: ModelInfo,
    pub measured: Vec<Measured>,
    /// Precisions in which the model could not be loaded or run.
    pub failed: Vec<(Precision, Error)>,
    /// Reason why energy was requested but not measured.
    pub no_energy: Option<String>,
}

impl Report {
    /// Returns the report as text.
    pub fn table(&self) -> String {
        let ModelInfo { folder, device, instruction_set, threads, .. } = &self.info;
        let (s, folder) = (terminal::plural(*threads), folder.to_string_lossy());
        let mut text = format!(
            "{BOLD}{}{BOLD:#} on {device}, {instruction_set}, {threads} thread{s}\n",
            terminal::escape(&folder)
        );
        for measured in &self.measured {
            text += &measured.table();
        }
        for (precision, error) in &self.failed {
            text += &format!("\n{BOLD}{precision}{BOLD:#}: {}\n", chain(error));
        }
        if let Some(reason) = &self.no_energy {
            text += &format!("\nEnergy was not measured: {reason}\n");
        }
        text
    }

    /// Returns the report as a JSON object.
    pub fn json(&self) -> Value {
        let failed = self
            .failed
            .iter()
            .map(|(precision, error)| json!({ "precision": precision, "error": chain(error) }));
        json!({
            "folder": self.info.folder.to_string_lossy(),
            "device": self.info.device.to_string(),
            "instruction_set": self.info.instruction_set.name(),
            "threads": self.info.threads,
            "precisions": self.measured.iter().map(Measured::json).collect::<Vec<_>>(),
            "refused": failed.collect::<Vec<_>>(),
            "no_energy": self.no_energy,
        })
    }
}

impl Measured {
    fn table(&self) -> String {
        let memory = match self.memory {
            Some(bytes) => format!(", {} of memory", terminal::size(bytes)),
            None => String::new(),
        };
        let load = milliseconds(self.load);
        let mut text =
            format!("\n{BOLD}{}{BOLD:#}  loaded in {load:.0} ms{memory}\n", self.precision);
        text += &format!(
            "{DIM}  {:>16}{:>12}{:>12}{:>12}{:>10}{DIM:#}\n",
            "one text", "median ms", "p95 ms", "p99 ms", "runs"
        );
        for latency in &self.latencies {
            let [median, p95, p99] = [latency.median, latency.p95, latency.p99].map(milliseconds);
            let tokens = format!("{} tokens", latency.tokens);
            text += &format!(
                "  {tokens:>16}{median:>12.2}{p95:>12.2}{p99:>12.2}{:>10}\n",
                latency.runs
            );
        }
        let has_energy = self.throughputs.iter().any(|found| found.joules_per_thousand.is_some());
        let energy = if has_energy { "J per 1000" } else { "" };
        let heading = format!("{:>16}{:>12}{:>12}{energy:>12}", "batch", "texts/s", "tokens/s");
        text += &format!("{DIM}  {}{DIM:#}\n", heading.trim_end());
        for found in &self.throughputs {
            let texts = format!("{} x {} tokens", found.batch, found.tokens);
            let joules = found.joules_per_thousand.map(|joules| format!("{joules:.1}"));
            let tokens = found.texts_per_second * found.tokens as f64;
            let line = format!(
                "  {texts:>16}{:>12.0}{tokens:>12.0}{:>12}",
                found.texts_per_second,
                joules.unwrap_or_default()
            );
            text += &format!("{}\n", line.trim_end());
        }
        text
    }

    fn json(&self) -> Value {
        let latency = self.latencies.iter().map(|latency| {
            json!({
                "tokens": latency.tokens,
                "runs": latency.runs,
                "median_ms": milliseconds(latency.median),
                "p95_ms": milliseconds(latency.p95),
                "p99_ms": milliseconds(latency.p99),
            })
        });
        let throughput = self.throughputs.iter().map(|found| {
            json!({
                "batch": found.batch,
                "tokens": found.tokens,
                "texts_per_second": found.texts_per_second,
                "joules_per_1000_texts": found.joules_per_thousand,
            })
        });
        json!({
            "precision": self.precision,
            "load_ms": milliseconds(self.load),
            "memory_bytes": self.memory,
            "latency": latency.collect::<Vec<_>>(),
            "throughput": throughput.collect::<Vec<_>>(),
        })
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
