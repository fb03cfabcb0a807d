//! Checkpoints that `torch.save` wrote, and files that only look like them.

use std::path::{Path, PathBuf};

use distilbert::{CheckpointError, Classifier, Error, ModelBytes, Precision, convert};
use safetensors::Dtype;
use tempfile::TempDir;
use test_support::counting::peak;
use test_support::generator::{GeneratedModel, Tensor};
use test_support::precisions;

use crate::memory::{files_of, logits_from};
use crate::{cases, config, copy_companions, logits, tensorflow_model, twin, weights};

/// Maximum number of bytes that a hostile file of 100 kB may make the loader allocate.
const MOST_MEMORY: usize = 64 << 20;

fn saved(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/pytorch_model").join(name)
}

fn saved_bytes(name: &str) -> Vec<u8> {
    std::fs::read(saved(name)).unwrap()
}

/// Returns a model in memory with these weights.
fn model(file: impl AsRef<[u8]> + Send + Sync + 'static) -> ModelBytes {
    let companion = |name: &str| std::fs::read(tensorflow_model().join(name)).unwrap();
    ModelBytes::new().file("config.json", companion("config.json")).file("pytorch_model.bin", file)
}

fn open(file: Vec<u8>) -> Result<Classifier, Error> {
    Classifier::builder_from(model(file)).threads(1).build()
}

#[track_caller]
fn damage(file: Vec<u8>) -> String {
    match open(file).expect_err("the file should be refused") {
        Error::Checkpoint(CheckpointError::Damaged { path, reason }) => {
            assert!(path.ends_with("pytorch_model.bin") && !reason.contains('\n'), "{reason}");
            reason
        }
        other => panic!("{other}"),
    }
}

/// Returns what a refused pickle asks for.
#[track_caller]
fn forbidden(file: Vec<u8>) -> String {
    match open(file).expect_err("the file should be refused") {
        Error::Checkpoint(CheckpointError::Pickle { found, .. }) => found,
        other => panic!("{other}"),
    }
}

/// Returns a zip archive of stored files, as `torch.save` writes it.
fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let sizes = |to: &mut Vec<u8>| {
            to.extend([0; 4]);
            to.extend((content.len() as u32).to_le_bytes());
            to.extend((content.len() as u32).to_le_bytes());
            to.extend((name.len() as u16).to_le_bytes());
            to.extend(0u16.to_le_bytes());
        };
        directory.extend(b"PK\x01\x02\0\0\0\0\0\0\0\0\0\0\0\0");
        sizes(&mut directory);
        directory.extend([0; 10]);
        directory.extend((bytes.len() as u32).to_le_bytes());
        directory.extend(name.as_bytes());
        bytes.extend(b"PK\x03\x04\0\0\0\0\0\0\0\0\0\0");
        sizes(&mut bytes);
        bytes.extend(name.as_bytes());
        bytes.extend_from_slice(content);
    }
    let start = bytes.len();
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend((files.len() as u16).to_le_bytes());
    bytes.extend((files.len() as u16).to_le_bytes());
    bytes.extend((directory.len() as u32).to_le_bytes());
    bytes.extend((start as u32).to_le_bytes());
    bytes.extend([0, 0]);
    bytes
}

/// Returns an archive with this pickle and one storage of 64 bytes.
fn archive_of(pickle: &[u8]) -> Vec<u8> {
    archive(&[("m/data.pkl", pickle), ("m/data/0", &[0; 64])])
}

/// Returns a pickle of a dictionary with one tensor named `x` on a storage of `len` floats.
fn one_tensor(len: u32, offset: u32, shape: &[u32], strides: &[u32]) -> Vec<u8> {
    let int = |value: u32| [b"J".as_slice(), &value.to_le_bytes()].concat();
    let tuple = |values: &[u32]| {
        let ints: Vec<u8> = values.iter().flat_map(|&value| int(value)).collect();
        [b"(", ints.as_slice(), b"t"].concat()
    };
    [
        b"\x80\x02}U\x01xctorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\nFloatStorage\n"
            .as_slice(),
        b"U\x010U\x03cpu",
        &int(len),
        b"tQ",
        &int(offset),
        &tuple(shape),
        &tuple(strides),
        b"\x89ccollections\nOrderedDict\n)RtRs.",
    ]
    .concat()
}

#[test]
fn matches_twin_bit_for_bit() {
    let (batch, _) = cases();
    let twin = twin();
    for precision in precisions() {
        let expected = logits(twin.path(), precision, &batch);
        for name in ["torch-1.4.0", "torch-1.12.1", "torch-2.14.1", "protocol-4", "views"] {
            let folder = TempDir::new().unwrap();
            copy_companions(folder.path());
            let file = saved(&format!("{name}.bin"));
            std::fs::copy(file, folder.path().join("pytorch_model.bin")).unwrap();
            let found = logits(folder.path(), precision, &batch);
            assert_eq!(found, expected, "{name}, {precision}");
            let found = logits_from(&files_of(folder.path()), precision, &batch);
            assert_eq!(found, expected, "{name} in memory, {precision}");
        }
        let shards = TempDir::new().unwrap();
        copy_companions(shards.path());
        for entry in std::fs::read_dir(saved("shards")).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), shards.path().join(entry.file_name())).unwrap();
        }
        assert_eq!(logits(shards.path(), precision, &batch), expected, "shards, {precision}");
    }
}

#[test]
fn halves_match_the_same_halves_in_safetensors() {
    let (batch, _) = cases();
    let folder = twin();
    let mut half =
        GeneratedModel { config: config(folder.path()), tensors: Tensor::read_all(folder.path()) };
    let bytes = saved_bytes("halves.bin");
    // The generator alternates in the order of the twin's header, which is the order of the names.
    for (index, tensor) in half.tensors.values_mut().enumerate() {
        let dtype = if index % 2 == 0 { Dtype::BF16 } else { Dtype::F16 };
        *tensor = Tensor::new(dtype, &tensor.shape, &tensor.values());
    }
    half.write(folder.path());
    let expected = logits(folder.path(), Precision::F32, &batch);
    assert_eq!(logits_from(&model(bytes), Precision::F32, &batch), expected);
}

#[test]
fn converts_to_the_file_of_the_twin() {
    let (folder, twin) = (TempDir::new().unwrap(), twin());
    let [from, found, expected] =
        ["from", "found", "expected"].map(|name| folder.path().join(name));
    std::fs::create_dir(&from).unwrap();
    copy_companions(&from);
    for name in ["torch-1.4.0.bin", "torch-2.14.1.bin"] {
        std::fs::copy(saved(name), from.join("pytorch_model.bin")).unwrap();
        let [found, expected] = [&found, &expected].map(|path| path.join(name));
        convert(&from, &found, None).unwrap();
        convert(twin.path(), &expected, None).unwrap();
        assert!(weights(&found) == weights(&expected), "{name}");
    }
}

#[test]
fn safetensors_beside_it_take_precedence() {
    let twin = twin();
    for file in ["pytorch_model.bin", "pytorch_model.bin.index.json"] {
        std::fs::write(twin.path().join(file), "no pickle").unwrap();
    }
    assert!(Classifier::builder(twin.path()).build().is_ok());
    std::fs::remove_file(twin.path().join("model.safetensors")).unwrap();
    let error = Classifier::builder(twin.path()).build().unwrap_err();
    assert!(matches!(error, Error::Checkpoint(CheckpointError::Damaged { .. })), "{error}");
}

/// Transformers doesn't strip the prefix that `DataParallel` adds: it finds none of the weights.
#[test]
fn prefix_of_data_parallel_is_part_of_the_name() {
    let twin = twin();
    let mut model =
        GeneratedModel { config: config(twin.path()), tensors: Tensor::read_all(twin.path()) };
    model.tensors = model
        .tensors
        .into_iter()
        .map(|(name, tensor)| (format!("module.{name}"), tensor))
        .collect();
    model.write(twin.path());
    let error = Classifier::builder(twin.path()).build().unwrap_err();
    assert!(matches!(error, Error::Checkpoint(_)), "{error}");
}

#[test]
fn refuses_calls_by_name() {
    for (pickle, name) in [
        (b"cos\nsystem\nU\x04true\x85R.".as_slice(), "`os.system`"),
        (b"cposix\nsystem\nU\x04true\x85R.", "`posix.system`"),
        (b"c__builtin__\neval\nU\x011\x85R.", "`__builtin__.eval`"),
        (b"cbuiltins\ngetattr\n(ctorch\nload\nU\x01xtR.", "`builtins.getattr`"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.", "`os.system`"),
        (b"\x80\x04\x8c\x05torch\x8c\x12_utils.os.__dict__\x93.", "`torch._utils.os.__dict__`"),
        (b"(U\x04trueios\nsystem\n.", "the instruction INST"),
        (b"(cos\nsystem\nU\x04trueo.", "`os.system`"),
        (b"(ccollections\nOrderedDict\nU\x04trueo.", "the instruction OBJ"),
        (b"ccollections\nOrderedDict\n)\x81.", "the instruction NEWOBJ"),
        (b"ctorch\nFloatStorage\n}b.", "attributes of Global(Storage(\"F32\", 4))"),
        (b"U\x01x)R.", "a call to Text(4, 5)"),
        (b"]Q.", "a persistent id that is not a storage"),
        (b"Pos\n.", "the instruction PERSID"),
        (b"\x82\x01.", "the instruction EXT1"),
        (b"\xFF.", "the instruction 0xff"),
        (b"ca\x1b[2J\nb\n.", "`a\\u{1b}[2J.b`"),
    ] {
        let text = String::from_utf8_lossy(pickle).into_owned();
        let pickle = [b"\x80\x02", pickle].concat();
        assert_eq!(forbidden(archive_of(&pickle)), name, "{text:?}");
        // In the first format, the first pickle is read before anything else.
        assert_eq!(forbidden(pickle), name, "{text:?}");
    }
    let attributes = b"\x80\x02}U\x01xcos\nsystem\ns}b.";
    assert_eq!(forbidden(archive_of(attributes)), "`os.system`");
    let long = [b"c".as_slice(), &[b'x'; 100_000], b"\ny\n."].concat();
    assert!(forbidden(archive_of(&long)).len() < 200);
}

#[test]
fn rejects_damaged_pickles() {
    for (pickle, reason) in [
        (b"".as_slice(), "ends too early"),
        (b"}", "ends too early"),
        (b".", "lacks a value"),
        (b"(.", "lacks a value"),
        (b"t.", "lacks a mark"),
        (b"s.", "lacks values"),
        (b"}(NNs.", "sets items of"),
        (b"N.", "should hold a dictionary"),
        (b"]}q\x00a.", "should hold a dictionary"),
        (b"}NNs.", "should hold a string"),
        (b"}U\x01xNs.", "`x` should be a tensor"),
        (b"h\x07.", "no memo entry 7"),
        (b"}q\x05h\x03.", "no memo entry 3"),
        (b"}r\xFF\xFF\xFF\x7F.", "memo index"),
        (b"X\xFF\xFF\xFF\xFFx.", "ends too early"),
        (b"\x8D\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFFx.", "ends too early"),
        (b"}U\x02\xFF\xFENs.", "a string is invalid"),
        (b"ccollections\nOrderedDict\n]R.", "calls a function with"),
        (b"ccollections\nOrderedDict\nN\x85R.", "unexpected arguments"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n)R.", "unexpected arguments"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n(NK\x00))tR.", "should have a storage"),
        (b"(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuJ\xFF\xFF\xFF\xFFtQ.", "length -1"),
    ] {
        let found = damage(archive_of(pickle));
        assert!(found.contains(reason), "{:?}: {found}", String::from_utf8_lossy(pickle));
    }
}

#[test]
fn rejects_tensors_outside_their_storage() {
    const NEGATIVE: u32 = u32::MAX;
    // The tensor itself is right, and so the next error is that the model has others.
    for (shape, strides) in [
        ([4, 4], [4, 1]),
        ([4, 4], [1, 4]),
        ([2, 3], [8, 2]),
        ([3, 2], [2, 8]),
        ([0, 9], [9, 1]),
        ([1, 4], [99, 1]),
    ] {
        let error = open(archive_of(&one_tensor(16, 0, &shape, &strides))).unwrap_err();
        let is_damage = matches!(
            error,
            Error::Checkpoint(CheckpointError::Damaged { .. } | CheckpointError::Pickle { .. })
        );
        assert!(!is_damage, "{shape:?} {strides:?}: {error}");
    }
    for (len, offset, shape, strides, reason) in [
        (16, 1, [4, 4], [4, 1], "exceeds its storage"),
        (16, 0, [4, 4], [5, 1], "exceeds its storage"),
        (16, 0, [1 << 30, 1 << 30], [1 << 30, 1], "exceeds its storage"),
        (16, 0, [1 << 30, 2], [1 << 30, 1 << 30], "exceeds its storage"),
        (16, NEGATIVE, [4, 4], [4, 1], "should not be negative"),
        (16, 0, [NEGATIVE, 4], [4, 1], "should not be negative"),
        (16, 0, [4, 4], [NEGATIVE, 1], "should not be negative"),
        (16, 0, [1 << 30, 4], [0, 1], "overlap"),
        (16, 0, [4, 4], [1, 1], "overlap"),
        (16, 0, [3, 3], [3, 2], "overlap"),
        (15, 0, [1, 1], [1, 1], "should have 15 values"),
        (1 << 30, 0, [1 << 15, 1 << 15], [1 << 15, 1], "should have 1073741824 values"),
    ] {
        let most = peak(|| {
            let found = damage(archive_of(&one_tensor(len, offset, &shape, &strides)));
            assert!(found.contains(reason), "{shape:?} {strides:?}: {found}");
        });
        assert!(most < MOST_MEMORY, "{most} bytes");
    }
    let without_storage = archive(&[("m/data.pkl", &one_tensor(16, 0, &[4], &[1]))]);
    assert!(damage(without_storage).contains("lacks the storage 0"));
}

/// Tensors of one storage would take memory many times the file's size.
#[test]
fn rejects_many_tensors_of_one_storage() {
    let storage = vec![0; 1 << 20];
    let one = one_tensor(1 << 18, 0, &[512, 512], &[512, 1]);
    let tensor = &one[6..one.len() - 2];
    let mut pickle = b"\x80\x02}".to_vec();
    for index in 0..200 {
        pickle.extend(format!("U\x03{index:03}").as_bytes());
        pickle.extend(tensor);
        pickle.push(b's');
    }
    pickle.push(b'.');
    let most = peak(|| {
        let reason = damage(archive(&[("m/data.pkl", &pickle), ("m/data/0", &storage)]));
        assert!(reason.contains("its tensors overlap"), "{reason}");
    });
    assert!(most < MOST_MEMORY, "{most} bytes");
}

#[test]
fn bounds_time_and_memory_of_pickles() {
    let nested = |open: &[u8], close: &[u8]| {
        [b"\x80\x02".as_slice(), &open.repeat(200_000), &close.repeat(200_000), b"."].concat()
    };
    // A list that doubles what it holds, and tuples of the one before.
    let lists = [b"]q\x00".as_slice(), &b"(h\x00h\x00e".repeat(100_000), b"."].concat();
    let tuples = [b")q\x00".as_slice(), &b"h\x00h\x00\x86q\x00".repeat(100_000), b"."].concat();
    let itself = b"]q\x00h\x00a}q\x01U\x01xh\x01s.".to_vec();
    let marks = [b"(".repeat(250_000), b"t".repeat(250_000), b".".to_vec()].concat();
    let name = [b"T\0\0\x10\0".as_slice(), &[b'x'; 1 << 20], b"q\x000"].concat();
    let names =
        [b"}".as_slice(), &name[..name.len() - 1], &b"Nsh\x00".repeat(50_000), b"Ns."].concat();
    for pickle in [
        nested(b"(", b"t"),
        nested(b"]", b"a"),
        nested(b"", b")\x85"),
        nested(b"}", b"b"),
        lists,
        tuples,
        itself,
        marks,
        names,
        b"]".repeat(3_000_000),
    ] {
        let len = pickle.len();
        let most = peak(|| {
            for file in [archive_of(&pickle), pickle] {
                assert!(open(file).is_err());
            }
        });
        assert!(most < 16 * len + MOST_MEMORY, "{most} bytes for {len}");
    }
}

#[test]
fn rejects_archives_of_other_kinds() {
    let pickle = one_tensor(16, 0, &[4], &[1]);
    let storage = ("m/data/0", [0; 64].as_slice());
    let big = [("m/data.pkl", pickle.as_slice()), storage, ("m/byteorder", b"big")];
    assert!(damage(archive(&big)).contains("little-endian"));
    let two = [("m/data.pkl", pickle.as_slice()), storage, ("n/data.pkl", b"")];
    assert!(damage(archive(&two)).contains("one file data.pkl"));
    let twice = [("m/data.pkl", pickle.as_slice()), storage, storage];
    assert!(damage(archive(&twice)).contains("two files named"));
    // The compression method of the first entry of the directory.
    let mut compressed = archive_of(&pickle);
    let entry = compressed.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    compressed[entry + 10] = 8;
    assert!(damage(compressed).contains("compressed"));
    for file in [b"".as_slice(), b"PK\x03\x04", &[0; 4096], b"no pickle", b"\x1F\x8B\x08"] {
        assert!(matches!(
            open(file.to_vec()).unwrap_err(),
            Error::Checkpoint(CheckpointError::Damaged { .. } | CheckpointError::Pickle { .. })
        ));
    }
}

#[test]
fn rejects_truncated_file() {
    for name in ["torch-1.4.0.bin", "torch-2.14.1.bin"] {
        let whole = saved_bytes(name);
        // Lengths within the structure, which the first format has at its start and the zip archive at its end.
        let start = if name.contains("1.4.0") { 0 } else { whole.len() - 12_000 };
        let lengths = (start..start + 12_000).step_by(7).chain((0..whole.len()).step_by(499));
        for len in lengths.filter(|&len| len < whole.len()) {
            damage(whole[..len].to_vec());
        }
    }
}
