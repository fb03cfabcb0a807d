//! `tf_model.h5`: where in the HDF5 file each tensor lies, and what PyTorch calls it.
//!
//! The library parses the file's structure alone. The values stay where they are, in one run for each
//! tensor, as Keras writes them.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use hdf5_pure::{
    Dataset, Datatype, DatatypeByteOrder, File, FloatingPointLayout, FormatError, Group, Layout,
    ReadSeekSource, Source,
};

use super::weight_file::{StoredTensor, ValueKind};

/// Groups within groups; Transformers' files have 8.
const DEEPEST: usize = 32;

/// Bytes of structure that are read of a file, be it as large as it may: a layer takes 24 kB.
const MOST_STRUCTURE: u64 = 16 << 20;

/// What PyTorch calls the parts of the model, at which its names of tensors begin.
const PARTS: [&str; 3] = ["distilbert", "pre_classifier", "classifier"];

const HALF: FloatingPointLayout = FloatingPointLayout {
    bit_offset: 0,
    bit_precision: 16,
    exponent_location: 10,
    exponent_size: 5,
    mantissa_location: 0,
    mantissa_size: 10,
    exponent_bias: 15,
};

/// The tensors of a file by their names in PyTorch, or what is wrong with it.
pub(super) fn tensors(file: &fs::File) -> Result<BTreeMap<String, StoredTensor>, String> {
    let handle = file.try_clone().map_err(|error| error.to_string())?;
    let source = ReadSeekSource::new(handle).map_err(|error| error.to_string())?;
    let limited = Limited { source, left: AtomicU64::new(MOST_STRUCTURE) };
    let file = File::from_source(limited).map_err(|error| error.to_string())?;
    let mut tensors = BTreeMap::new();
    collect(&file.root(), &mut Vec::new(), &mut tensors)?;
    Ok(tensors)
}

/// Hands out so many bytes and then no more. In a hostile file each node of a tree can have the next one as
/// all its children, so that a reader finds more of them than its memory holds.
struct Limited<S> {
    source: S,
    left: AtomicU64,
}

impl<S: Source> Source for Limited<S> {
    fn len(&self) -> u64 {
        self.source.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), FormatError> {
        let taken = |left: u64| left.checked_sub(buffer.len() as u64);
        match self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken) {
            Ok(_) => self.source.read_at(offset, buffer),
            Err(_) => Err(FormatError::Source(format!(
                "its structure takes more than {MOST_STRUCTURE} bytes"
            ))),
        }
    }
}

/// Adds the tensors of a group, which lies at a path, and of the groups in it.
fn collect(
    group: &Group,
    path: &mut Vec<String>,
    tensors: &mut BTreeMap<String, StoredTensor>,
) -> Result<(), String> {
    if path.len() > DEEPEST {
        return Err(format!("it has groups more than {DEEPEST} deep"));
    }
    for (name, dataset) in group.iter_datasets().map_err(|error| error.to_string())? {
        path.push(name);
        let (name, transposed) = pytorch_name(path);
        let tensor =
            stored(&dataset, transposed).map_err(|reason| format!("`{name}`: {reason}"))?;
        if tensors.contains_key(&name) {
            return Err(format!("it has two tensors `{name}`"));
        }
        tensors.insert(name, tensor);
        path.pop();
    }
    for (name, group) in group.iter_groups().map_err(|error| error.to_string())? {
        path.push(name);
        collect(&group, path, tensors)?;
        path.pop();
    }
    Ok(())
}

/// What PyTorch calls the tensor at a path, and whether it has it transposed, as Transformers says it
/// (`modeling_tf_pytorch_utils.py`). In `classifier/tf_distil_bert_…_1/classifier/kernel:0` the first
/// two name a layer of Keras and the model, whose name depends on its class and on how many were made.
fn pytorch_name(path: &[String]) -> (String, bool) {
    let start = path.iter().rposition(|part| PARTS.contains(&part.as_str())).unwrap_or(0);
    let path = path[start..].join("/").replace("_._", "/");
    let path = path.strip_suffix(":0").unwrap_or(&path);
    let mut parts: Vec<&str> = path.split('/').collect();
    let transposed = parts.last() == Some(&"kernel");
    if let Some(variable) = parts.last_mut() {
        *variable = match *variable {
            "kernel" | "gamma" | "embeddings" => "weight",
            "beta" => "bias",
            other => other,
        };
    }
    (parts.join("."), transposed)
}

fn stored(dataset: &Dataset, transposed: bool) -> Result<StoredTensor, String> {
    let damaged = |error: hdf5_pure::Error| error.to_string();
    let datatype = dataset.datatype().map_err(damaged)?;
    let (start, len) = match dataset.layout().map_err(damaged)? {
        Layout::Contiguous { address: Some(address), size } => (address, size),
        Layout::Contiguous { address: None, .. } => return Err("it has no values".to_owned()),
        _ => return Err("its values are not in one run".to_owned()),
    };
    let too_large = || "it is too large".to_owned();
    let mut shape = dataset
        .shape()
        .map_err(damaged)?
        .into_iter()
        .map(usize::try_from)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| too_large())?;
    let values = shape.iter().try_fold(1, |values: usize, &size| values.checked_mul(size));
    let needed = values
        .and_then(|values| values.checked_mul(datatype.type_size() as usize))
        .ok_or_else(too_large)?;
    let (Ok(start), Ok(len)) = (usize::try_from(start), usize::try_from(len)) else {
        return Err(too_large());
    };
    if len != needed {
        return Err(format!("its shape {shape:?} takes {needed} bytes, found {len}"));
    }
    if len == 0 {
        return Err(format!("its shape {shape:?} leaves no values"));
    }
    let end = start.checked_add(len).ok_or_else(too_large)?;
    let transposed = transposed && shape.len() == 2;
    if transposed {
        shape.reverse();
    }
    Ok(StoredTensor { kind: kind(&datatype), shape, transposed, bytes: start..end })
}

fn kind(datatype: &Datatype) -> ValueKind {
    match datatype {
        Datatype::FloatingPoint {
            size: 4,
            byte_order: DatatypeByteOrder::LittleEndian,
            layout,
        } if *layout == FloatingPointLayout::IEEE754_BINARY32 => ValueKind::F32,
        Datatype::FloatingPoint {
            size: 2,
            byte_order: DatatypeByteOrder::LittleEndian,
            layout,
        } if *layout == HALF => ValueKind::F16,
        other => ValueKind::Other(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_tensorflow_have_their_names_in_pytorch() {
        const MODEL: &str = "tf_distil_bert_for_sequence_classification";
        for (path, name, transposed) in [
            (
                format!("distilbert/{MODEL}/distilbert/embeddings/word_embeddings/weight:0"),
                "distilbert.embeddings.word_embeddings.weight",
                false,
            ),
            (
                format!(
                    "distilbert/{MODEL}_1/distilbert/embeddings/position_embeddings/embeddings:0"
                ),
                "distilbert.embeddings.position_embeddings.weight",
                false,
            ),
            (
                format!(
                    "distilbert/{MODEL}/distilbert/transformer/layer_._11/attention/q_lin/kernel:0"
                ),
                "distilbert.transformer.layer.11.attention.q_lin.weight",
                true,
            ),
            (
                format!(
                    "distilbert/{MODEL}/distilbert/transformer/layer_._0/sa_layer_norm/gamma:0"
                ),
                "distilbert.transformer.layer.0.sa_layer_norm.weight",
                false,
            ),
            (
                format!("distilbert/{MODEL}/distilbert/embeddings/LayerNorm/beta:0"),
                "distilbert.embeddings.LayerNorm.bias",
                false,
            ),
            (format!("pre_classifier/{MODEL}/pre_classifier/bias:0"), "pre_classifier.bias", false),
            (format!("classifier/{MODEL}_2/classifier/kernel:0"), "classifier.weight", true),
            ("classifier/classifier/kernel:0".to_owned(), "classifier.weight", true),
            ("vocab_projector/bias:0".to_owned(), "vocab_projector.bias", false),
            ("lonely:0".to_owned(), "lonely", false),
        ] {
            let parts: Vec<String> = path.split('/').map(str::to_owned).collect();
            assert_eq!(pytorch_name(&parts), (name.to_owned(), transposed), "{path}");
        }
    }
}
