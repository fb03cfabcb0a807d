//! Export of a model with pruned layers in a shape that Transformers loads.

use std::path::Path;

use serde_json::json;

use super::folder::{Content, Folder, Tensor};
use super::{Validation, classifier_config, float_tensors};
use crate::error::{CheckpointError, Result};
use crate::model::checkpoint::{Checkpoint, ENCODER_PREFIX};
use crate::model::config::Config;
use crate::model::files::{CONFIG, ModelFiles, read_json_object};
use crate::model::weights::Model;

/// Writes a model whose layers differ in heads or width as one whose layers have the same shape, with zeros in place of
/// what was pruned, so that Hugging Face Transformers can load it. It gives the same results within rounding, and costs
/// as much as the original did.
///
/// Each tensor keeps its type; the weights of an int8 checkpoint become F32.
///
/// ```no_run
/// distilbert::pad("path/to/pruned", "path/to/padded")?;
/// # Ok::<(), distilbert::Error>(())
/// ```
///
/// # Errors
/// Fails like [`convert`](crate::convert()).
pub fn pad(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
    let (from, to) = (from.as_ref(), to.as_ref());
    if !from.is_dir() {
        return Err(CheckpointError::NoModel { path: from.to_owned() }.into());
    }
    let checkpoint = Checkpoint::open(&ModelFiles::Folder(from.to_owned()))?;
    let config = from.join(CONFIG);
    let config = Model::load(Config::from_file(&config)?, &checkpoint, &Validation)?.config;
    let mut tensors = float_tensors(&checkpoint, None)?;
    for layer in 0..config.n_layers {
        let places = Places::of(&config, layer);
        for (name, [rows, columns]) in places.of_tensors() {
            let name = format!("{ENCODER_PREFIX}transformer.layer.{layer}.{name}");
            for suffix in ["weight", "bias"] {
                if let Some(tensor) = tensors.get_mut(&format!("{name}.{suffix}")) {
                    spread(tensor, rows, columns)?;
                }
            }
        }
    }
    checkpoint.check_unchanged()?;
    let mut json = read_json_object(&from.join(CONFIG))?;
    for field in ["pruned_heads", "hidden_dims", "intermediate_size"] {
        json.remove(field);
    }
    json.insert("hidden_dim".to_owned(), json!(config.largest_hidden_dim()));
    let dtype = checkpoint.is_int8().then_some(crate::precision::Precision::F32);
    let config = classifier_config(json, &config, &checkpoint, dtype);
    Folder { config, tensors, metadata: ("format", "pt") }.write(&checkpoint, from, to)
}

/// Places of values among those of the padded model.
struct Place {
    indices: Vec<usize>,
    len: usize,
}

/// Places of a layer's heads, value by value, and of its neurons.
struct Places {
    heads: Place,
    neurons: Place,
}

impl Places {
    fn of(config: &Config, layer: usize) -> Self {
        let size = config.head_size();
        let heads = config.kept_heads(layer).into_iter();
        let indices = heads.flat_map(|head| head * size..(head + 1) * size).collect();
        let neurons = (0..config.layer(layer).hidden_dim).collect();
        Self {
            heads: Place { indices, len: config.dim },
            neurons: Place { indices: neurons, len: config.largest_hidden_dim() },
        }
    }

    /// Returns the linear layers with the places of their outputs and inputs, where these change.
    fn of_tensors(&self) -> [(&'static str, [Option<&Place>; 2]); 6] {
        let (heads, neurons) = (Some(&self.heads), Some(&self.neurons));
        [
            ("attention.q_lin", [heads, None]),
            ("attention.k_lin", [heads, None]),
            ("attention.v_lin", [heads, None]),
            ("attention.out_lin", [None, heads]),
            ("ffn.lin1", [neurons, None]),
            ("ffn.lin2", [None, neurons]),
        ]
    }
}

/// Moves the rows and the columns of a matrix, or the values of a bias, to their places among zeros.
fn spread(tensor: &mut Tensor<'_>, rows: Option<&Place>, columns: Option<&Place>) -> Result<()> {
    let size = tensor.dtype.bitsize() / 8;
    let (height, width) = match *tensor.shape {
        [rows, columns] => (rows, columns),
        _ => (tensor.shape.iter().product(), 1),
    };
    let is_bias = tensor.shape.len() == 1;
    let columns = if is_bias { None } else { columns };
    let new_height = rows.map_or(height, |rows| rows.len);
    let new_width = columns.map_or(width, |columns| columns.len);
    if (new_height, new_width) == (height, width) {
        return Ok(());
    }
    let bytes = tensor.content.bytes()?;
    let mut padded = vec![0; new_height * new_width * size];
    for (row, values) in bytes.chunks_exact(width * size).enumerate() {
        let row = rows.map_or(row, |rows| rows.indices[row]);
        for (column, value) in values.chunks_exact(size).enumerate() {
            let column = columns.map_or(column, |columns| columns.indices[column]);
            padded[(row * new_width + column) * size..][..size].copy_from_slice(value);
        }
    }
    tensor.shape = if is_bias { vec![new_height] } else { vec![new_height, new_width] };
    tensor.content = Content::Bytes(padded);
    Ok(())
}
