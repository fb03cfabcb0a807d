//! `model.safetensors`: its header says where each tensor lies.

use std::collections::BTreeMap;

use safetensors::{Dtype, SafeTensors};

use super::weight_file::{StoredTensor, ValueKind};

/// The tensors of a file that is described exactly by its header, or what is wrong with it.
pub(super) fn tensors(file: &[u8]) -> Result<BTreeMap<String, StoredTensor>, String> {
    let (header, metadata) = SafeTensors::read_metadata(file).map_err(|error| error.to_string())?;
    let data_start = size_of::<u64>() + header;
    let tensors = metadata.tensors().into_iter().map(|(name, info)| {
        let (start, end) = info.data_offsets;
        let tensor = StoredTensor {
            kind: kind(info.dtype),
            shape: info.shape.clone(),
            transposed: false,
            bytes: data_start + start..data_start + end,
        };
        (name, tensor)
    });
    Ok(tensors.collect())
}

fn kind(dtype: Dtype) -> ValueKind {
    match dtype {
        Dtype::F32 => ValueKind::F32,
        Dtype::F16 => ValueKind::F16,
        Dtype::BF16 => ValueKind::Bf16,
        Dtype::I8 => ValueKind::Int8,
        other => ValueKind::Other(format!("{other:?}")),
    }
}
