//! Weight files: safetensors and their index, pickles, HDF5.

use std::sync::{Arc, LazyLock};

use serde_json::Value;
use test_support::model_files::{self, Files};

use crate::bytes::Bytes;
use crate::json::changed;
use crate::model;
use crate::patch::patched;
use crate::zip::archive;

/// Largest number of bytes of tensors behind a header with edits.
const LARGEST_DATA: u64 = 1 << 17;

/// Number of storages beside a pickle.
const STORAGES: usize = 4;

static SAFETENSORS: LazyLock<Arc<[u8]>> =
    LazyLock::new(|| model_files::reference("tf_model/twin.safetensors"));
static HEADER: LazyLock<Value> = LazyLock::new(|| {
    let (len, rest) = SAFETENSORS.split_first_chunk().unwrap();
    serde_json::from_slice(&rest[..u64::from_le_bytes(*len) as usize]).unwrap()
});
static HDF5: LazyLock<Arc<[u8]>> = LazyLock::new(|| model_files::reference("tf_model/tf_model.h5"));
static PICKLES: LazyLock<[Arc<[u8]>; 4]> = LazyLock::new(|| {
    let names = ["torch-2.14.1.bin", "torch-1.4.0.bin", "views.bin", "halves.bin"];
    names.map(|name| model_files::reference(&format!("pytorch_model/{name}")))
});

/// Loads a model whose only weight file is this one.
fn load(name: &'static str, weights: Vec<u8>, choice: u8) {
    load_files([(name, weights.into())].into(), choice);
}

fn load_files(weights: Files, choice: u8) {
    let mut files = model::base();
    files.remove("model.safetensors");
    files.extend(weights);
    model::load(files, choice);
}

/// Loads `model.safetensors`: the input itself, the original with edits, or with edits of its header; or an index of
/// shards.
pub fn safetensors(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let choice = bytes.byte();
    let file = match choice & 7 {
        0 => bytes.rest().to_vec(),
        1 | 2 => patched(&SAFETENSORS, &mut bytes),
        3 => {
            let index = model_files::shard_index(["a.safetensors", "b.safetensors"]);
            let index = model_files::text(&changed(&index, &mut bytes));
            let shard = || SAFETENSORS.clone();
            let shards = [("a.safetensors", shard()), ("b.safetensors", shard())];
            let mut files = Files::from(shards);
            files.insert("model.safetensors.index.json", index);
            return load_files(files, choice >> 3);
        }
        _ => with_data(&changed(&HEADER, &mut bytes)),
    };
    load("model.safetensors", file, choice >> 3);
}

/// Returns a file with a header and as many bytes as it describes.
fn with_data(header: &Value) -> Vec<u8> {
    let ends = header.as_object().into_iter().flat_map(|tensors| tensors.values());
    let end = ends.filter_map(|tensor| tensor.get("data_offsets")?.get(1)?.as_u64()).max();
    let header = header.to_string().into_bytes();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    // Small numbers in every type.
    let values = (0..end.unwrap_or(0).min(LARGEST_DATA)).map(|at| ((at * 37) >> 2) as u8 & 0x3F);
    file.extend(values);
    file
}

/// Loads `tf_model.h5`: the input itself, or the original with edits.
pub fn hdf5(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let choice = bytes.byte();
    let file = match choice & 3 {
        0 => bytes.rest().to_vec(),
        _ => patched(&HDF5, &mut bytes),
    };
    load("tf_model.h5", file, choice >> 2);
}

/// Loads `pytorch_model.bin`: the input itself, an original with edits, or an archive of the pickle that the input is.
pub fn pickle(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let choice = bytes.byte();
    let file = match choice & 7 {
        0 => bytes.rest().to_vec(),
        1 | 2 => archive(bytes.rest(), STORAGES),
        3 => {
            // The first format, from its magic number on.
            let mut file = PICKLES[1][..14].to_vec();
            file.extend(bytes.rest());
            file
        }
        index => patched(&PICKLES[usize::from(index) - 4], &mut bytes),
    };
    load("pytorch_model.bin", file, choice >> 3);
}
