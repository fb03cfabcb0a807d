//! Structure of `tf_model.h5`, which locates each tensor, and translation of the tensors' names to PyTorch's.
//!
//! The HDF5 library parses only the structure, through bounded positioned reads. Keras writes the values of a tensor as
//! one contiguous run, which is read when the tensor is requested.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hdf5_pure::{
    Dataset, Datatype, DatatypeByteOrder, File, FloatingPointLayout, FormatError, Group,
    Layout as DataLayout,
};

use super::source::Source;
use super::weight_file::{Dtype, Layout, StoredTensor};
use crate::boundary::guarded;
use crate::error::Result as LoadResult;

/// Deepest nesting of groups; Transformers writes 8 levels.
const MAX_DEPTH: usize = 32;

/// Maximum number of bytes of structure read from a file; a transformer layer takes 24 kB.
const MAX_STRUCTURE: u64 = 16 << 20;

/// Parts of the model at which PyTorch's tensor names begin.
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

/// Returns the tensors of a file by their PyTorch names.
///
/// # Errors
/// [`CheckpointError::Damaged`](crate::CheckpointError::Damaged) if the file is damaged.
pub(super) fn tensors(source: &Arc<Source>) -> LoadResult<BTreeMap<String, StoredTensor>> {
    let structure = Structure { source: source.clone(), left: AtomicU64::new(MAX_STRUCTURE) };
    let read = || {
        let file = File::from_source(structure).map_err(|error| error.to_string())?;
        let mut tensors = BTreeMap::new();
        collect(&file.root(), &mut Vec::new(), &mut tensors)?;
        Ok::<_, String>(tensors)
    };
    guarded("hdf5-pure", read).map_err(|reason| source.damaged(reason))
}

/// Source that serves at most `left` more bytes.
///
/// In a malicious file, every node of a tree can name the next node as each of its children, so that the number of
/// nodes to visit grows exponentially.
struct Structure {
    source: Arc<Source>,
    left: AtomicU64,
}

impl hdf5_pure::Source for Structure {
    fn len(&self) -> u64 {
        self.source.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), FormatError> {
        let len = buffer.len() as u64;
        let take = |left: u64| left.checked_sub(len);
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            let reason = format!("its structure takes more than {MAX_STRUCTURE} bytes");
            return Err(FormatError::Source(reason));
        }
        let end =
            offset.checked_add(len).ok_or(FormatError::OffsetOverflow { offset, length: len })?;
        if end > self.source.len() {
            let [expected, available] =
                [end, self.source.len()].map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
            return Err(FormatError::UnexpectedEof { expected, available });
        }
        let read = self.source.read("its structure", offset, buffer);
        read.map_err(|error| FormatError::Source(error.to_string()))
    }
}

/// Adds the tensors of the group at `path` and of its subgroups.
fn collect(
    group: &Group,
    path: &mut Vec<String>,
    tensors: &mut BTreeMap<String, StoredTensor>,
) -> Result<(), String> {
    if path.len() > MAX_DEPTH {
        return Err(format!("its groups are nested more than {MAX_DEPTH} levels deep"));
    }
    for (name, dataset) in group.iter_datasets().map_err(|error| error.to_string())? {
        path.push(name);
        let (name, transposed) = pytorch_name(path);
        let tensor =
            stored(&dataset, transposed).map_err(|reason| format!("`{name}`: {reason}"))?;
        if tensors.contains_key(&name) {
            return Err(format!("it has two tensors named `{name}`"));
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

/// Returns PyTorch's name for the tensor at a path, and `true` if PyTorch stores it transposed.
///
/// The rules are those of Transformers' `modeling_tf_pytorch_utils.py`. In
/// `classifier/tf_distil_bert_…_1/classifier/kernel:0` the first two parts are a Keras layer and the model, whose
/// name depends on its class and on how many models the process had created.
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

/// Checks a dataset's layout and returns the location of its values.
fn stored(dataset: &Dataset, transposed: bool) -> Result<StoredTensor, String> {
    let damaged = |error: hdf5_pure::Error| error.to_string();
    let datatype = dataset.datatype().map_err(damaged)?;
    let (offset, len) = match dataset.layout().map_err(damaged)? {
        DataLayout::Contiguous { address: Some(address), size } => (address, size),
        DataLayout::Contiguous { address: None, .. } => return Err("it has no values".to_owned()),
        _ => return Err("its values are not stored contiguously".to_owned()),
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
        .and_then(|values| values.checked_mul(usize::try_from(datatype.type_size()).ok()?))
        .ok_or_else(too_large)?;
    let len = usize::try_from(len).map_err(|_| too_large())?;
    if len != needed {
        return Err(format!("its shape {shape:?} takes {needed} bytes, found {len}"));
    }
    if len == 0 {
        return Err(format!("its shape {shape:?} has no elements"));
    }
    let transposed = transposed && shape.len() == 2;
    if transposed {
        shape.reverse();
    }
    let layout = if transposed { Layout::Transposed } else { Layout::RowMajor };
    Ok(StoredTensor { dtype: dtype(&datatype), shape, layout, offset, len })
}

fn dtype(datatype: &Datatype) -> Dtype {
    match datatype {
        Datatype::FloatingPoint {
            size: 4,
            byte_order: DatatypeByteOrder::LittleEndian,
            layout,
        } if *layout == FloatingPointLayout::IEEE754_BINARY32 => Dtype::F32,
        Datatype::FloatingPoint {
            size: 2,
            byte_order: DatatypeByteOrder::LittleEndian,
            layout,
        } if *layout == HALF => Dtype::F16,
        other => Dtype::Other(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn translates_tensorflow_paths_to_pytorch_names() {
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
