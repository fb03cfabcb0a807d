//! Header of `model.safetensors`, which locates each tensor.

use std::collections::BTreeMap;

use safetensors::Dtype as StoredDtype;
use safetensors::tensor::Metadata;

use super::source::Source;
use super::weight_file::{Dtype, Layout, StoredTensor};
use crate::error::Result;
use crate::model::files::{SMALL_JSON, check_json};

/// Longest header that the `safetensors` crate accepts, in bytes.
const MAX_HEADER_LEN: u64 = 100_000_000;

/// Reads the header and returns the tensors by name.
///
/// # Errors
/// [`CheckpointError::Damaged`](crate::CheckpointError::Damaged) unless the header describes exactly the bytes that
/// follow it; otherwise the errors of [`Source::read`].
pub(super) fn tensors(source: &Source) -> Result<BTreeMap<String, StoredTensor>> {
    let damaged = |reason: String| source.damaged(reason);
    let mut header_len = [0; size_of::<u64>()];
    let prefix = header_len.len() as u64;
    let Some(after_prefix) = source.len().checked_sub(prefix) else {
        return Err(damaged(format!(
            "it should begin with a header length of {prefix} bytes, found {} bytes in all",
            source.len()
        )));
    };
    source.read("the header length", 0, &mut header_len)?;
    let header_len = u64::from_le_bytes(header_len);
    let limit = MAX_HEADER_LEN.min(after_prefix);
    let Some(data_len) = after_prefix.checked_sub(header_len).filter(|_| header_len <= limit)
    else {
        return Err(damaged(format!(
            "its header should be at most {limit} bytes, found {header_len}"
        )));
    };
    let mut header =
        vec![0; usize::try_from(header_len).map_err(|error| damaged(error.to_string()))?];
    source.read("the header", prefix, &mut header)?;
    check_json(&header, SMALL_JSON)
        .map_err(|reason| damaged(format!("its header is invalid: {reason}")))?;
    // Deserializing checks that the tensors follow one another without gaps, each as long as its shape requires.
    let metadata: Metadata = serde_json::from_slice(&header)
        .map_err(|error| damaged(format!("its header is invalid: {error}")))?;
    if metadata.data_len() as u64 != data_len {
        return Err(damaged(format!(
            "its header describes {} bytes of tensors, found {data_len}",
            metadata.data_len()
        )));
    }
    let tensors = metadata.tensors().into_iter().map(|(name, info)| {
        let (start, end) = info.data_offsets;
        let tensor = StoredTensor {
            dtype: dtype(info.dtype),
            shape: info.shape.clone(),
            layout: Layout::RowMajor,
            offset: prefix + header_len + start as u64,
            len: end - start,
        };
        (name, tensor)
    });
    Ok(tensors.collect())
}

fn dtype(stored: StoredDtype) -> Dtype {
    match stored {
        StoredDtype::F32 => Dtype::F32,
        StoredDtype::F16 => Dtype::F16,
        StoredDtype::BF16 => Dtype::Bf16,
        StoredDtype::I8 => Dtype::Int8,
        other => Dtype::Other(format!("{other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;

    fn file(header_len: u64, header: &str, data: usize) -> Source {
        let mut bytes = header_len.to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        Source::from_bytes(Path::new("model.safetensors"), Arc::new(bytes))
    }

    const HEADER: &str = r#"{"a":{"dtype":"F16","shape":[2,3],"data_offsets":[4,16]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;

    #[test]
    fn locates_tensors_after_the_header() {
        let len = HEADER.len() as u64;
        let found = tensors(&file(len, HEADER, 16)).unwrap();
        let place = |name: &str| (found[name].offset - 8 - len, found[name].len);
        assert_eq!((place("a"), place("b")), ((4, 12), (0, 4)));
        assert_eq!((&found["a"].dtype, found["a"].shape.as_slice()), (&Dtype::F16, &[2, 3][..]));
    }

    #[test]
    fn rejects_headers_that_do_not_fit_the_file() {
        let len = HEADER.len() as u64;
        for (header_len, data) in
            [(len, 15), (len, 17), (len + 17, 16), (len - 1, 16), (u64::MAX, 16)]
        {
            assert!(tensors(&file(header_len, HEADER, data)).is_err(), "{header_len} {data}");
        }
        assert!(tensors(&Source::from_bytes(Path::new("x"), Arc::new(vec![0; 7]))).is_err());
    }

    #[test]
    fn rejects_header_above_the_limit_before_reading_it() {
        let huge = MAX_HEADER_LEN + 1;
        let path = tempfile::NamedTempFile::new().unwrap();
        // A sparse file, so that nothing this large is written.
        path.as_file().set_len(huge + 8).unwrap();
        std::fs::File::options().write(true).open(path.path()).unwrap();
        std::io::Write::write_all(&mut path.as_file(), &huge.to_le_bytes()).unwrap();
        let error = tensors(&Source::open(path.path()).unwrap()).err().unwrap();
        assert!(error.to_string().contains("at most 100000000 bytes"), "{error}");
    }
}
