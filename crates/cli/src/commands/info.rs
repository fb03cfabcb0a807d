//! `distilbert info`: what a model is, and how this machine computes it.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use distilbert::{Classifier, CudaDevice, Device, InstructionSet};
use serde_json::json;

use crate::args::engine::WantedEngine;
use crate::args::model_folder::ModelFolder;
use crate::failure::{Failure, chain};
use crate::render::terminal::{self, BOLD};

/// Columns of the table's first column.
const NAMES: usize = 15;

/// Show a model's sizes and labels, and how it is computed
#[derive(Args)]
#[command(after_help = "Example:\n  distilbert info --model models/emotion --json")]
pub struct Arguments {
    #[command(flatten)]
    model: ModelFolder,

    #[command(flatten)]
    engine: WantedEngine,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let builder = Classifier::builder(arguments.model.find()?);
    let classifier = arguments.engine.apply(builder).build()?;
    let text = if arguments.json { json(&classifier) } else { table(&classifier) };
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::Output)?;
    Ok(ExitCode::SUCCESS)
}

fn table(classifier: &Classifier) -> String {
    let (info, config) = (classifier.info(), classifier.config());
    let labels = classifier.labels();
    let rows = [
        ("folder", info.folder.display().to_string()),
        ("problem type", classifier.problem_type().as_str().to_owned()),
        ("labels", format!("{}: {}", labels.len(), labels.join(", "))),
        ("parameters", grouped(info.parameters)),
        ("layers", config.n_layers.to_string()),
        ("heads", format!("{} of {}", config.n_heads, config.head_size())),
        ("dim", config.dim.to_string()),
        ("hidden dim", config.hidden_dim.to_string()),
        ("vocabulary", grouped(config.vocab_size)),
        ("max positions", config.max_position_embeddings.to_string()),
        (
            "checkpoint",
            format!(
                "{}, {}",
                info.dtypes.join(" and "),
                terminal::size(info.checkpoint_bytes as u64)
            ),
        ),
        (
            "instructions",
            format!(
                "{}, {} (this machine has {})",
                info.instruction_set,
                why(),
                detected().join(", ")
            ),
        ),
        ("precision", info.precision.to_string()),
        ("threads", info.threads.to_string()),
        ("device", info.device.to_string()),
        ("GPUs", gpus()),
    ];
    rows.into_iter()
        .map(|(name, value)| format!("{BOLD}{name:NAMES$}{BOLD:#}{}\n", terminal::visible(&value)))
        .collect()
}

fn json(classifier: &Classifier) -> String {
    let (info, config) = (classifier.info(), classifier.config());
    let object = json!({
        "folder": info.folder.to_string_lossy(),
        "problem_type": classifier.problem_type().as_str(),
        "labels": classifier.labels(),
        "parameters": info.parameters,
        "n_layers": config.n_layers,
        "n_heads": config.n_heads,
        "dim": config.dim,
        "hidden_dim": config.hidden_dim,
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.max_position_embeddings,
        "dtypes": info.dtypes,
        "checkpoint_bytes": info.checkpoint_bytes,
        "instruction_set": info.instruction_set.name(),
        "instruction_set_reason": why(),
        "detected_instruction_sets": detected(),
        "precision": info.precision.name(),
        "threads": info.threads,
        "device": info.device.to_string(),
        "cuda_devices": CudaDevice::list().unwrap_or_default().iter().map(gpu_json).collect::<Vec<_>>(),
    });
    format!("{object}\n")
}

/// Why it is this instruction set.
fn why() -> String {
    match std::env::var_os(InstructionSet::ENVIRONMENT) {
        Some(name) if !name.is_empty() => format!("as {} says", InstructionSet::ENVIRONMENT),
        _ => "the best there is".to_owned(),
    }
}

fn detected() -> Vec<&'static str> {
    InstructionSet::detected().into_iter().map(InstructionSet::name).collect()
}

/// The GPUs that could be computed on, or why there are none.
fn gpus() -> String {
    match CudaDevice::list() {
        Err(error) => format!("none ({})", chain(&error)),
        Ok(devices) if devices.is_empty() => "none".to_owned(),
        Ok(devices) => devices.iter().map(gpu).collect::<Vec<_>>().join("; "),
    }
}

fn gpu(device: &CudaDevice) -> String {
    let CudaDevice { ordinal, name, compute_capability: (major, minor), memory_bytes, .. } = device;
    format!(
        "cuda:{ordinal} {name}, compute capability {major}.{minor}, {}",
        terminal::size(*memory_bytes as u64)
    )
}

fn gpu_json(device: &CudaDevice) -> serde_json::Value {
    let (major, minor) = device.compute_capability;
    json!({
        "device": Device::Cuda(device.ordinal).to_string(),
        "name": device.name,
        "compute_capability": format!("{major}.{minor}"),
        "memory_bytes": device.memory_bytes,
    })
}

/// A whole number with its thousands set apart.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let numbers = [0, 999, 1000, 22_713_735].map(grouped);
        assert_eq!(numbers, ["0", "999", "1,000", "22,713,735"]);
    }
}
