//! `distilbert info`: a model's sizes and labels, and how this machine runs it.

use std::process::ExitCode;

use clap::Args;
use distilbert::{Classifier, CudaDevice, Device, InstructionSet, ModelInfo, Precision};
use serde_json::{Value, json};

use crate::args::model::ModelOptions;
use crate::failure::{Failure, chain};
use crate::render::json;
use crate::render::terminal::{self, BOLD};

/// Width of the first column.
const NAMES: usize = 15;

/// Show a model's sizes and labels, and how this machine runs it
#[derive(Args)]
#[command(after_help = "Example:\n  distilbert info --model models/emotion --json")]
pub struct Arguments {
    #[command(flatten)]
    model: ModelOptions,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let classifier = arguments.model.builder()?.build()?;
    if arguments.json {
        json::print(&object(&classifier))?;
    } else {
        terminal::print(&table(&classifier))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the description as text.
fn table(classifier: &Classifier) -> String {
    let (info, config) = (classifier.info(), classifier.config());
    let labels = classifier.labels();
    let rows = [
        ("folder", info.folder.display().to_string()),
        ("problem type", classifier.problem_type().as_str().to_owned()),
        ("labels", format!("{}: {}", labels.len(), labels.join(", "))),
        ("parameters", grouped(info.parameters)),
        ("layers", config.n_layers.to_string()),
        ("heads", format!("{} of size {}", config.n_heads, config.head_size())),
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
            "instruction set",
            format!(
                "{}, {} (supported: {})",
                info.instruction_set,
                reason(),
                detected().join(", ")
            ),
        ),
        ("precision", info.precision.to_string()),
        (
            "bf16",
            if has_bf16(info) { "supported by the CPU" } else { "not supported by the CPU" }
                .to_owned(),
        ),
        ("threads", info.threads.to_string()),
        ("device", info.device.to_string()),
        ("GPUs", gpus()),
    ];
    rows.into_iter()
        .map(|(name, value)| format!("{BOLD}{name:NAMES$}{BOLD:#}{}\n", terminal::escape(&value)))
        .collect()
}

/// Returns the description as a JSON object.
fn object(classifier: &Classifier) -> Value {
    let (info, config) = (classifier.info(), classifier.config());
    json!({
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
        "instruction_set_reason": reason(),
        "detected_instruction_sets": detected(),
        "precision": info.precision,
        "threads": info.threads,
        "cpu_supports_bf16": has_bf16(info),
        "device": info.device.to_string(),
        "cuda_devices": CudaDevice::list().unwrap_or_default().iter().map(gpu_json).collect::<Vec<_>>(),
    })
}

/// Returns `true` if the CPU can compute in bf16.
fn has_bf16(info: &ModelInfo) -> bool {
    info.instruction_set.supports(Precision::Bf16)
}

/// Returns the reason for the choice of the instruction set.
fn reason() -> String {
    match std::env::var_os(InstructionSet::ENVIRONMENT) {
        Some(name) if !name.is_empty() => format!("set by {}", InstructionSet::ENVIRONMENT),
        _ => "best supported".to_owned(),
    }
}

/// Returns the names of the supported instruction sets.
fn detected() -> Vec<&'static str> {
    InstructionSet::detected().into_iter().map(InstructionSet::name).collect()
}

/// Returns the GPUs of this machine, or the reason why none can be used.
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

/// Formats an integer with commas between groups of three digits.
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
    fn separates_thousands() {
        let numbers = [0, 999, 1000, 22_713_735].map(grouped);
        assert_eq!(numbers, ["0", "999", "1,000", "22,713,735"]);
    }
}
