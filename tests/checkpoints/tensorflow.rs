//! `tf_model.h5`: the model that TensorFlow has saved is its twin, and damaged files are errors.

use std::ops::Range;
use std::path::Path;

use distilbert::{Classifier, Error, InstructionSet, Precision, convert};
use hdf5_pure::FileBuilder;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::counting::peak;
use crate::support::{Dice, TOLERANCE, largest_error, list, numbers};
use crate::{cases, config, copy_companions, logits, of_tensorflow, twin, weights};

/// What a hostile file of 100 kB may make the loader allocate.
const MOST_MEMORY: usize = 64 << 20;

const WORDS: &str = "distilbert.embeddings.word_embeddings.weight";

fn original() -> Vec<u8> {
    std::fs::read(of_tensorflow().join("tf_model.h5")).unwrap()
}

/// A folder with this for its weights.
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

/// The reason why a file is refused as damaged.
#[track_caller]
fn damage(file: &[u8]) -> String {
    match error_of(file) {
        Error::Checkpoint { path, reason } => {
            assert!(path.ends_with("tf_model.h5") && !reason.contains('\n'), "{reason}");
            reason
        }
        other => panic!("{other}"),
    }
}

/// Where a file has these bytes.
fn places(file: &[u8], bytes: &[u8]) -> Vec<Range<usize>> {
    let starts = 0..file.len() + 1 - bytes.len();
    let at = |start: usize| start..start + bytes.len();
    starts.map(at).filter(|place| &file[place.clone()] == bytes).collect()
}

/// The original with some bytes replaced wherever they are.
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
fn it_gives_the_bits_of_its_twin() {
    let (batch, _) = cases();
    let twin = twin();
    for &precision in Precision::ALL {
        let expected = logits(twin.path(), precision, &batch);
        assert_eq!(logits(&of_tensorflow(), precision, &batch), expected, "{precision}");
    }
}

#[test]
fn it_gives_the_logits_of_tensorflow_and_of_pytorch() {
    let (batch, goldens) = cases();
    let found = logits(&of_tensorflow(), Precision::F32, &batch);
    for reference in ["tensorflow", "logits"] {
        let rows = list(&goldens["cases"]).iter();
        let expected: Vec<f64> = rows.flat_map(|case: &Value| numbers(&case[reference])).collect();
        let error = largest_error(&found, &expected);
        assert!(error <= TOLERANCE, "{error} from {reference}");
    }
}

#[test]
fn what_is_said_of_it_is_what_is_said_of_its_twin() {
    let twin = twin();
    let [found, expected] =
        [of_tensorflow().as_path(), twin.path()].map(|folder| open(folder).unwrap().info().clone());
    assert_eq!(found.dtypes, ["F32"]);
    assert_eq!((found.dtypes, found.parameters), (expected.dtypes, expected.parameters));
    assert_eq!(found.checkpoint_bytes, original().len());
}

#[test]
fn it_is_converted_to_the_file_that_transformers_writes() {
    let folder = TempDir::new().unwrap();
    let (twin, out) = (twin(), folder.path().join("out"));
    convert(of_tensorflow(), &out, None).unwrap();
    assert!(weights(&out) == weights(twin.path()));
    assert_eq!(config(&out)["torch_dtype"], "float32");
    for dtype in [Precision::F16, Precision::Int8] {
        let [found, expected] =
            ["found", "expected"].map(|name| folder.path().join(format!("{name}-{dtype}")));
        convert(of_tensorflow(), &found, dtype).unwrap();
        convert(&twin, &expected, dtype).unwrap();
        assert!(weights(&found) == weights(&expected), "{dtype}");
    }
}

#[test]
fn safetensors_beside_it_are_taken() {
    let twin = twin();
    std::fs::write(twin.path().join("tf_model.h5"), "no HDF5").unwrap();
    assert!(open(twin.path()).is_ok());
    std::fs::remove_file(twin.path().join("model.safetensors")).unwrap();
    assert!(matches!(open(twin.path()).err(), Some(Error::Checkpoint { .. })));
}

#[test]
fn a_truncated_file_is_refused() {
    let whole = original();
    let lengths = (0..whole.len()).step_by(251).chain(whole.len() - 20..whole.len());
    for len in lengths {
        damage(&whole[..len]);
    }
}

#[test]
fn a_damaged_file_gives_an_answer_or_an_error() {
    let whole = original();
    // Most of the file is values; the structure is what its signatures begin.
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
                    // An address: of any place, or of none.
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

/// A tree each of whose nodes has the next one 32 times: 32 to the power of 40 ways to its end.
#[test]
fn a_tree_that_widens_without_end_is_refused() {
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
fn a_file_without_the_signature_is_refused() {
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
fn values_in_chunks_are_refused() {
    let chunked = dataset(|file| {
        file.create_dataset("kernel:0")
            .with_f32_data(&[1.0; 64])
            .with_shape(&[64])
            .with_chunks(&[8]);
    });
    let reason = damage(&chunked);
    assert!(reason.contains("`weight`") && reason.contains("one run"), "{reason}");
}

#[test]
fn two_tensors_of_one_name_are_refused() {
    let twice = dataset(|file| {
        file.create_dataset("kernel:0").with_f32_data(&[1.0; 4]).with_shape(&[4]);
        file.create_dataset("gamma:0").with_f32_data(&[1.0; 4]).with_shape(&[4]);
    });
    let reason = damage(&twice);
    assert!(reason.contains("two tensors `weight`"), "{reason}");
}

#[test]
fn a_file_of_another_model_lacks_a_tensor() {
    let other = dataset(|file| {
        file.create_dataset("kernel:0").with_f32_data(&[1.0; 4]).with_shape(&[4]);
    });
    match error_of(&other) {
        Error::MissingTensor { name, .. } => assert_eq!(name, "classifier.weight"),
        other => panic!("{other}"),
    }
}

#[test]
fn shapes_and_tensors_that_the_configuration_does_not_have_are_named() {
    let error_with = |field: &str, value: usize| {
        let folder = folder_of(&original());
        let mut config = config(folder.path());
        config[field] = value.into();
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        open(folder.path()).err().unwrap()
    };
    match error_with("vocab_size", 91) {
        Error::TensorShape { name, expected, found } => {
            assert_eq!((name.as_str(), expected, found), (WORDS, vec![91, 24], vec![90, 24]));
        }
        other => panic!("{other}"),
    }
    // A kernel is stored as 24 rows of 40, and named with the shape that it has in PyTorch.
    match error_with("hidden_dim", 41) {
        Error::TensorShape { name, expected, found } => {
            assert!(name.ends_with("layer.0.ffn.lin1.weight"), "{name}");
            assert_eq!((expected, found), (vec![41, 24], vec![40, 24]));
        }
        other => panic!("{other}"),
    }
    match error_with("n_layers", 3) {
        Error::MissingTensor { name, .. } => {
            assert!(name.starts_with("distilbert.transformer.layer.2."), "{name}");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn values_that_are_no_numbers_are_named() {
    const KERNEL: &str = "distilbert.transformer.layer.1.ffn.lin1.weight";
    let (twin, nan) = (twin(), f32::NAN.to_le_bytes());
    let tensors = crate::support::generator::Tensor::read_all(twin.path());
    // One value of the twin, wherever TensorFlow has put it.
    for (tensor, index) in [(WORDS, 100), (KERNEL, 3 * 24 + 5)] {
        let value = &tensors[tensor].bytes[4 * index..][..4];
        match error_of(&with(value, &nan)) {
            Error::NotFinite { name, index: found, .. } => {
                assert!(tensor.ends_with(&name), "{name}");
                assert_eq!(found, index);
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn types_that_weights_cannot_have_are_named() {
    // IEEE 754's 32 bits as HDF5 says it: class, byte order, places and widths, and at last the bias.
    let float = [0x11, 0x20, 0x1F, 0, 4, 0, 0, 0, 0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0];
    let mut big_endian = float;
    big_endian[1] |= 1;
    let mut other_bias = float;
    other_bias[16] = 128;
    for other in [big_endian, other_bias] {
        match error_of(&with(&float, &other)) {
            Error::TensorDtype { name, .. } => assert_eq!(name, WORDS),
            other => panic!("{other}"),
        }
    }
}
