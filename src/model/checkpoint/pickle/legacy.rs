//! Format of `torch.save` before PyTorch 1.6: pickles of a number, a version, the system, the state dict and the names of
//! the storages, and then each storage with its length.

use std::collections::BTreeMap;

use super::machine::{Machine, damaged};
use super::refuse::Refusal;
use super::value::Value;
use super::{MAX_PICKLE, located};
use crate::model::checkpoint::source::Source;
use crate::model::checkpoint::weight_file::StoredTensor;

/// First byte of every pickle of version 2 or later.
const PROTOCOL: u8 = 0x80;

/// Version of the format.
const VERSION: i64 = 1001;

/// Reads the pickles and locates the storages after them.
pub(super) fn tensors(source: &Source) -> Result<BTreeMap<String, StoredTensor>, Refusal> {
    let mut bytes = vec![0; source.len().min(MAX_PICKLE) as usize];
    source.read("its pickles", 0, &mut bytes)?;
    if bytes.first() != Some(&PROTOCOL) {
        return Err(damaged("it was not written by torch.save".to_owned()));
    }
    let mut machine = Machine::new(&bytes);
    let (number, at) = machine.run(0)?;
    if number != Value::Magic {
        return Err(damaged("it was not written by torch.save".to_owned()));
    }
    let (version, at) = machine.run(at)?;
    if version != Value::Int(VERSION) {
        return Err(damaged(format!("it should have version {VERSION}, found {version:?}")));
    }
    let (system, at) = machine.run(at)?;
    check_byte_order(&machine, system)?;
    let (dict, at) = machine.run(at)?;
    let (keys, at) = machine.run(at)?;
    let storages = locate(source, &machine, keys, at as u64)?;
    located(&machine, dict, |storage| {
        let found = storages.get(storage.key).copied();
        found.ok_or_else(|| damaged(format!("it lacks the storage {}", storage.key)))
    })
}

fn check_byte_order(machine: &Machine<'_>, system: Value) -> Result<(), Refusal> {
    for &(name, value) in machine.dict(system)? {
        if machine.text(name)? == "little_endian" && value != Value::True {
            return Err(damaged("its values are not little-endian".to_owned()));
        }
    }
    Ok(())
}

/// Returns offset and length in bytes of each storage. They follow one another in the order of `keys`, each after its
/// number of values.
fn locate<'a>(
    source: &Source,
    machine: &Machine<'a>,
    keys: Value,
    mut at: u64,
) -> Result<BTreeMap<&'a str, (u64, u64)>, Refusal> {
    let sizes: BTreeMap<&str, u64> =
        machine.storages.iter().map(|storage| (storage.key, storage.size as u64)).collect();
    let mut storages = BTreeMap::new();
    for &key in machine.list(keys)? {
        let key = machine.text(key)?;
        let size = sizes
            .get(key)
            .ok_or_else(|| damaged(format!("it has a storage {key} that no tensor mentions")))?;
        let outside = || damaged(format!("its storage {key} extends beyond the end of the file"));
        let mut values = [0; 8];
        let start = at.checked_add(8).filter(|&start| start <= source.len()).ok_or_else(outside)?;
        source.read("the length of a storage", at, &mut values)?;
        let len = u64::from_le_bytes(values).checked_mul(*size).ok_or_else(outside)?;
        at = start.checked_add(len).filter(|&end| end <= source.len()).ok_or_else(outside)?;
        if storages.insert(key, (start, len)).is_some() {
            return Err(damaged(format!("it has two storages named {key}")));
        }
    }
    Ok(storages)
}
