//! Structure of `pytorch_model.bin`, which locates each tensor.
//!
//! Unpickling runs whatever a file asks for, so this reader does not unpickle: [`Machine`] knows the instructions and
//! the five functions that a state dict of tensors needs, builds descriptions of tensors, and refuses everything else by
//! name before anything is called. The values stay in the file and are read when a tensor is requested.
//!
//! `torch.save` has written two formats: an uncompressed zip archive since PyTorch 1.6, and before that a sequence of
//! pickles followed by the storages. Both are read. The crates that were considered either unpickle into general
//! objects (`serde-pickle`), read only the archive and the whole file (`repugnant-pickle`), or bring a tensor library with
//! them (`candle-core`); none bounds time and memory on hostile files.

mod legacy;
mod machine;
mod opcode;
mod refuse;
mod value;
mod view;
mod zip;

use std::collections::BTreeMap;

use self::machine::{Machine, damaged};
use self::refuse::Refusal;
use self::value::{Storage, Value};
use self::zip::Archive;
use super::source::Source;
use super::weight_file::StoredTensor;
use crate::error::Result as LoadResult;

/// Longest pickle that is read, in bytes, without the values of tensors.
const MAX_PICKLE: u64 = 16 << 20;

/// Returns the tensors of a file by their PyTorch names.
///
/// # Errors
/// [`CheckpointError::Pickle`](crate::CheckpointError::Pickle) if the file holds something other than tensors, and
/// [`CheckpointError::Damaged`](crate::CheckpointError::Damaged); otherwise the errors of [`Source::read`].
pub(super) fn tensors(source: &Source) -> LoadResult<BTreeMap<String, StoredTensor>> {
    let read = || {
        let mut signature = [0; 4];
        let len = source.len().min(4) as usize;
        source.read("its signature", 0, &mut signature[..len])?;
        if signature == *b"PK\x03\x04" { zipped(source) } else { legacy::tensors(source) }
    };
    read().map_err(|refusal: Refusal| refusal.of(source))
}

/// Reads an archive: `data.pkl`, and a file for each storage.
fn zipped(source: &Source) -> Result<BTreeMap<String, StoredTensor>, Refusal> {
    let archive = Archive::open(source)?;
    let root = archive.root()?;
    if let Some(order) = archive.read(&format!("{root}byteorder"), MAX_PICKLE)?
        && order != b"little"
    {
        return Err(damaged("its values are not little-endian".to_owned()));
    }
    let pickle = archive.read(&format!("{root}data.pkl"), MAX_PICKLE)?.unwrap_or_default();
    let mut machine = Machine::new(&pickle);
    let (dict, _) = machine.run(0)?;
    located(&machine, dict, |storage| {
        let name = format!("{root}data/{}", storage.key);
        let extent = archive.find(&name)?;
        let extent =
            extent.ok_or_else(|| damaged(format!("it lacks the storage {}", storage.key)))?;
        Ok((extent.offset, extent.len))
    })
}

/// Returns the tensors of a state dict, given offset and length in bytes of each storage.
fn located(
    machine: &Machine<'_>,
    dict: Value,
    mut find: impl FnMut(&Storage<'_>) -> Result<(u64, u64), Refusal>,
) -> Result<BTreeMap<String, StoredTensor>, Refusal> {
    let mut tensors = BTreeMap::new();
    for &(name, value) in machine.dict(dict)? {
        let name = machine.text(name)?;
        let Value::Tensor(index) = value else {
            return Err(damaged(format!("`{name}` should be a tensor, found {value:?}")));
        };
        let view = &machine.tensors[index];
        let storage = &machine.storages[view.storage];
        let (offset, len) = find(storage)?;
        let expected = storage.len.checked_mul(storage.size as u64);
        if expected != Some(len) {
            return Err(damaged(format!(
                "the storage of `{name}` should have {} values of {} bytes, found {len} bytes",
                storage.len, storage.size
            )));
        }
        tensors.insert(name.to_owned(), view.locate(storage, offset)?);
    }
    Ok(tensors)
}
