//! `tf_model.h5`: a model saved by TensorFlow equals its PyTorch twin, and damaged files are errors.

use std::ops::Range;
use std::path::Path;

use distilbert::{CheckpointError, Classifier, Error, InstructionSet, Precision, convert};
use hdf5_pure::FileBuilder;
use serde_json::Value;
use tempfile::TempDir;

use crate::{cases, config, copy_companions, logits, tensorflow_model, twin, weights};
use test_support::counting::peak;
use test_support::{Dice, TOLERANCE, largest_error, list, numbers, precisions};

/// Maximum number of bytes that a hostile file of 100 kB may make the loader allocate.
const MOST_MEMORY: usize = 64 << 20;

const WORDS: &str = "distilbert.embeddings.word_embeddings.weight";

fn original() -> Vec<u8> {
    std::fs::read(tensorflow_model().join("tf_model.h5")).unwrap()
}

/// Writes a model folder with these weights.
fn folder_of(file: &[u8]) -> TempDir {
    let folder = TempDir::new().unwrap();
    copy_companions(folder.path());
    std::fs::write(folder.path().join("tf_model.h5"), file).unwrap();
    folder
}

fn open(folder: &Path) -> Result<Classifier, Error> {
    Classifier::builder(folder).threads(1).instruction_set(InstructionSet::Portable).build()
}

#[track_caller]
fn error_of(file: &[u8]) -> Error {
    open(folder_of(file).path()).expect_err("the file should be refused")
}

/// Returns the reason for which a file is refused as damaged.
#[track_caller]
fn damage(file: &[u8]) -> String {
    match error_of(file) {
        Error::Checkpoint(CheckpointError::Damaged { path, reason }) => {
            assert!(path.ends_with("tf_model.h5") && !reason.contains('\n'), "{reason}");
            reason
        }
        other => panic!("{other}"),
    }
}

/// Returns the ranges of a file that equal `bytes`.
fn places(file: &[u8], bytes: &[u8]) -> Vec<Range<usize>> {
    let starts = 0..file.len() + 1 - bytes.len();
    let at = |start: usize| start..start + bytes.len();
    starts.map(at).filter(|place| &file[place.clone()] == bytes).collect()
}

/// Returns the original with every occurrence of `bytes` replaced.
fn with(bytes: &[u8], by: &[u8]) -> Vec<u8> {
    let mut file = original();
    let places = places(&file, bytes);
    assert!(!places.is_empty(), "the bytes to replace are not there");
    for place in places {
        file[place].copy_from_slice(by);
    }
    file
}

#[test]
fn matches_twin_bit_for_bit() {
    let (batch, _) = cases();
    let twin = twin();
    for precision in precisions() {
        let expected = logits(twin.path(), precision, &batch);
        assert_eq!(logits(&tensorflow_model(), precision, &batch), expected, "{precision}");
    }
}

#[test]
fn matches_logits_tensorflow_model_and_pytorch() {
    let (batch, goldens) = cases();
    let found = logits(&tensorflow_model(), Precision::F32, &batch);
    for reference in ["tensorflow", "logits"] {
        let rows = list(&goldens["cases"]).iter();
        let expected: Vec<f64> = rows.flat_map(|case: &Value| numbers(&case[reference])).collect();
        let error = largest_error(&found, &expected);
        assert!(error <= TOLERANCE, "{error} from {reference}");
    }
}

#[test]
fn model_info_matches_twin() {
    let twin = twin();
    let [found, expected] = [tensorflow_model().as_path(), twin.path()]
        .map(|folder| open(folder).unwrap().info().clone());
    assert_eq!(found.dtypes, ["F32"]);
    assert_eq!((found.dtypes, found.parameters), (expected.dtypes, expected.parameters));
    assert_eq!(found.checkpoint_bytes, original().len());
}

#[test]
fn converts_to_the_file_that_transformers_writes() {
    let folder = TempDir::new().unwrap();
    let (twin, out) = (twin(), folder.path().join("out"));
    convert(tensorflow_model(), &out, None).unwrap();
    assert!(weights(&out) == weights(twin.path()));
    assert_eq!(config(&out)["torch_dtype"], "float32");
    for dtype in [Precision::F16, Precision::Int8] {
        let [found, expected] =
            ["found", "expected"].map(|name| folder.path().join(format!("{name}-{dtype}")));
        convert(tensorflow_model(), &found, dtype).unwrap();
        convert(&twin, &expected, dtype).unwrap();
        assert!(weights(&found) == weights(&expected), "{dtype}");
    }
}

#[test]
fn safetensors_beside_it_take_precedence() {
    let twin = twin();
    std::fs::write(twin.path().join("tf_model.h5"), "no HDF5").unwrap();
    assert!(open(twin.path()).is_ok());
    std::fs::remove_file(twin.path().join("model.safetensors")).unwrap();
    assert!(matches!(
        open(twin.path()).err(),
        Some(Error::Checkpoint(CheckpointError::Damaged { .. }))
    ));
}

#[test]
fn rejects_truncated_file() {
    let whole = original();
    let lengths = (0..whole.len()).step_by(251).chain(whole.len() - 20..whole.len());
    for len in lengths {
        damage(&whole[..len]);
    }
}

#[test]
fn damaged_files_load_or_give_an_error() {
    let whole = original();
    // Most of the file is values; these signatures begin the structure.
    let structure: Vec<usize> = [b"TREE", b"SNOD", b"HEAP", b"\x89HDF"]
        .into_iter()
        .flat_map(|signature| places(&whole, signature))
        .flat_map(|place| place.start..(place.start + 400).min(whole.len()))
        .collect();
    let mut dice = Dice(7);
    let (mut opened, mut refused) = (0, 0);
    let most = peak(|| {
        for round in 0..4000 {
            let mut file = whole.clone();
            for _ in 0..1 + dice.below(5) {
                let place = match round % 2 {
                    0 => dice.below(file.len()),
                    _ => structure[dice.below(structure.len())],
                };
                match dice.below(4) {
                    0 => file[place] ^= 1 << dice.below(8),
                    1 => file[place] = dice.below(256) as u8,
                    2 => file[place] = 0xFF,
                    // An address within the file or past its end.
                    _ => {
                        let start = (place & !7).min(file.len() - 8);
                        let end = if dice.below(2) == 0 { file.len() } else { usize::MAX };
                        let address = dice.below(end) as u64;
                        file[start..start + 8].copy_from_slice(&address.to_le_bytes());
                    }
                }
            }
            match open(folder_of(&file).path()) {
                Ok(_) => opened += 1,
                Err(error) => {
                    assert!(!error.to_string().contains('\n'), "{error}");
                    refused += 1;
                }
            }
        }
    });
    assert!(opened > 100 && refused > 100, "{opened} opened, {refused} refused");
    assert!(most < MOST_MEMORY, "{most} bytes");
}

/// Builds a tree in which every node lists the next one 32 times, which makes 32^40 paths.
#[test]
fn rejects_tree_with_exponentially_many_paths() {
    const CHILDREN: u16 = 32;
    let mut file = original();
    let root = places(&file, b"TREE")[0].start;
    let leaf = places(&file, b"SNOD")[0].start;
    let (start, depth) = (file.len(), 40);
    let len = 24 + 8 * (2 * usize::from(CHILDREN) + 1);
    for level in (0..depth).rev() {
        let child = if level == 0 { leaf } else { file.len() + len };
        file.extend_from_slice(b"TREE\0");
        file.push(level);
        file.extend_from_slice(&CHILDREN.to_le_bytes());
        file.extend_from_slice(&[0xFF; 16]);
        for _ in 0..CHILDREN {
            file.extend_from_slice(&0u64.to_le_bytes());
            file.extend_from_slice(&(child as u64).to_le_bytes());
        }
        file.extend_from_slice(&0u64.to_le_bytes());
    }
    assert_eq!(file.len(), start + usize::from(depth) * len);
    let addresses = places(&file[..start], &(root as u64).to_le_bytes());
    assert!(!addresses.is_empty());
    for place in addresses {
        file[place].copy_from_slice(&(start as u64).to_le_bytes());
    }
    let most = peak(|| {
        let reason = damage(&file);
        assert!(reason.contains("structure"), "{reason}");
    });
    assert!(most < MOST_MEMORY, "{most} bytes");
}

#[test]
fn rejects_file_without_signature() {
    for file in [b"".as_slice(), b"no HDF5", &[0; 4096]] {
        damage(file);
    }
}

/// Builds a file of one dataset.
fn dataset(build: impl FnOnce(&mut FileBuilder)) -> Vec<u8> {
    let mut builder = FileBuilder::new();
    build(&mut builder);
    builder.finish().unwrap()
}

#[test]
fn rejects_chunked_values() {
    let chunked = dataset(|file| {
        file.create_dataset("kernel:0")
            .with_f32_data(&[1.0; 64])
            .with_shape(&[64])
            .with_chunks(&[8]);
    });
    let reason = damage(&chunked);
    assert!(reason.contains("`weight`") && reason.contains("stored contiguously"), "{reason}");
}

#[test]
fn rejects_two_tensors_of_one_name() {
    let twice = dataset(|file| {
        file.create_dataset("kernel:0").with_f32_data(&[1.0; 4]).with_shape(&[4]);
        file.create_dataset("gamma:0").with_f32_data(&[1.0; 4]).with_shape(&[4]);
    });
    let reason = damage(&twice);
    assert!(reason.contains("two tensors named `weight`"), "{reason}");
}

#[test]
fn names_tensor_missing_from_another_model() {
    let other = dataset(|file| {
        file.create_dataset("kernel:0").with_f32_data(&[1.0; 4]).with_shape(&[4]);
    });
    match error_of(&other) {
        Error::Checkpoint(CheckpointError::MissingTensor { name, .. }) => {
            assert_eq!(name, "classifier.weight")
        }
        other => panic!("{other}"),
    }
}

#[test]
fn names_tensors_that_disagree_with_the_configuration() {
    let error_with = |field: &str, value: usize| {
        let folder = folder_of(&original());
        let mut config = config(folder.path());
        config[field] = value.into();
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        open(folder.path()).err().unwrap()
    };
    match error_with("vocab_size", 91) {
        Error::Checkpoint(CheckpointError::TensorShape { name, expected, found }) => {
            assert_eq!((name.as_str(), expected, found), (WORDS, vec![91, 24], vec![90, 24]));
        }
        other => panic!("{other}"),
    }
    // The file stores 24 rows of 40; the error gives PyTorch's shape.
    match error_with("hidden_dim", 41) {
        Error::Checkpoint(CheckpointError::TensorShape { name, expected, found }) => {
            assert!(name.ends_with("layer.0.ffn.lin1.weight"), "{name}");
            assert_eq!((expected, found), (vec![41, 24], vec![40, 24]));
        }
        other => panic!("{other}"),
    }
    match error_with("n_layers", 3) {
        Error::Checkpoint(CheckpointError::MissingTensor { name, .. }) => {
            assert!(name.starts_with("distilbert.transformer.layer.2."), "{name}");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn names_tensor_with_nan() {
    const KERNEL: &str = "distilbert.transformer.layer.1.ffn.lin1.weight";
    let (twin, nan) = (twin(), f32::NAN.to_le_bytes());
    let tensors = test_support::generator::Tensor::read_all(twin.path());
    // A value of the twin, wherever TensorFlow stores it.
    for (tensor, index) in [(WORDS, 100), (KERNEL, 3 * 24 + 5)] {
        let value = &tensors[tensor].bytes[4 * index..][..4];
        match error_of(&with(value, &nan)) {
            Error::Checkpoint(CheckpointError::NotFinite { name, index: found, .. }) => {
                assert!(tensor.ends_with(&name), "{name}");
                assert_eq!(found, index);
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn names_tensor_of_unsupported_type() {
    // HDF5's description of binary32: class, byte order, positions and widths, and last the exponent bias.
    let float = [0x11, 0x20, 0x1F, 0, 4, 0, 0, 0, 0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0];
    let mut big_endian = float;
    big_endian[1] |= 1;
    let mut other_bias = float;
    other_bias[16] = 128;
    for other in [big_endian, other_bias] {
        match error_of(&with(&float, &other)) {
            Error::Checkpoint(CheckpointError::TensorDtype { name, .. }) => assert_eq!(name, WORDS),
            other => panic!("{other}"),
        }
    }
}
