//! Columns of Parquet tables: those passed on, and those read as texts.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use ::parquet::data_type::{ByteArray, ByteArrayType, Int96, Int96Type};
use ::parquet::file::metadata::{ColumnChunkMetaData, KeyValue, ParquetMetaData};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;
use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int8Type};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, DictionaryArray, Float64Array, Int64Array,
    RecordBatch, StringArray, StructArray,
};
use test_support::generator::GeneratedModel;

use super::*;

/// Writes a small model, and returns its folder.
fn small_model(folder: &Folder) -> String {
    let model = folder.file("model");
    fs::create_dir_all(&model).unwrap();
    GeneratedModel::small().write(&model);
    model.to_str().unwrap().to_owned()
}

fn classify(folder: &Folder, input: &str) -> Output {
    let model = small_model(folder);
    folder.classify(input, "out.parquet", &["--prefix", "p_", "--model", &model])
}

/// Returns the stored bytes of a column chunk.
fn bytes(mut file: &File, chunk: &ColumnChunkMetaData) -> Vec<u8> {
    let (start, len) = chunk.byte_range();
    file.seek(SeekFrom::Start(start)).unwrap();
    let mut bytes = Vec::new();
    file.take(len).read_to_end(&mut bytes).unwrap();
    bytes
}

fn metadata(path: &Path) -> ParquetMetaData {
    SerializedFileReader::new(File::open(path).unwrap()).unwrap().metadata().clone()
}

/// Returns the metadata of a file other than the Arrow schema, to which columns are added.
fn pairs(metadata: &ParquetMetaData) -> Vec<&KeyValue> {
    let pairs = metadata.file_metadata().key_value_metadata().into_iter().flatten();
    pairs.filter(|pair| pair.key != "ARROW:schema").collect()
}

/// Checks that an output contains the input's columns, byte for byte, with the same schemas and metadata.
#[track_caller]
fn check_columns(input: &Path, output: &Path) {
    let (before, after) = (metadata(input), metadata(output));
    let fields = |metadata: &ParquetMetaData| {
        metadata.file_metadata().schema_descr().root_schema().get_fields().to_vec()
    };
    let (expected, found) = (fields(&before), fields(&after));
    assert_eq!(found[..expected.len()], expected);
    assert_eq!(pairs(&after), pairs(&before));
    assert_eq!(after.num_row_groups(), before.num_row_groups());
    let files = [File::open(input).unwrap(), File::open(output).unwrap()];
    for (old, new) in before.row_groups().iter().zip(after.row_groups()) {
        assert_eq!(new.num_rows(), old.num_rows());
        for (old, new) in old.columns().iter().zip(new.columns()) {
            let name = old.column_path().string();
            assert!(bytes(&files[0], old) == bytes(&files[1], new), "{name}");
            assert_eq!(new.column_descr(), old.column_descr());
            assert_eq!(new.compression(), old.compression());
            assert_eq!(new.num_values(), old.num_values());
        }
    }
    let schema = |file: &File| {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file.try_clone().unwrap());
        builder.unwrap().schema().fields().to_vec()
    };
    let [expected, found] = [schema(&files[0]), schema(&files[1])];
    assert_eq!(found[..expected.len()], expected);
    let names: Vec<_> = found[expected.len()..].iter().map(|field| field.name()).collect();
    assert_eq!(names, ["p_label", "p_score"]);
}

#[test]
fn keeps_columns_of_every_type() {
    let folder = Folder::new();
    let input = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tables/all_types.parquet");
    fs::copy(&input, folder.file("in.parquet")).unwrap();
    let output = classify(&folder, "in.parquet");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    for row in [3, 6] {
        let message = format!("in.parquet, row {row}: no text\n");
        assert!(stderr(&output).contains(&message), "{}", stderr(&output));
    }
    check_columns(&input, &folder.file("out.parquet"));
}

/// Arrow has no such type: nanoseconds of 64 bits end in the year 2262.
#[test]
fn keeps_int96_timestamps() {
    let folder = Folder::new();
    let schema = "message schema { required binary text (STRING); required int96 at; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let file = File::create(folder.file("in.parquet")).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&[ByteArray::from("w5")], None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let mut last_day = Int96::new();
    last_day.set_data(0, 0, 5_373_484);
    column.typed::<Int96Type>().write_batch(&[last_day], None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    succeeded(&classify(&folder, "in.parquet"));
    check_columns(&folder.file("in.parquet"), &folder.file("out.parquet"));
}

/// Writes each array as a row group with the column `text`.
fn write(path: &Path, arrays: &[ArrayRef]) {
    let batch = |array: &ArrayRef| RecordBatch::try_from_iter([("text", array.clone())]).unwrap();
    let properties = WriterProperties::builder().build();
    let file = File::create(path).unwrap();
    let schema = batch(&arrays[0]).schema();
    let mut writer = ArrowWriter::try_new(file, schema, Some(properties)).unwrap();
    for array in arrays {
        writer.write(&batch(array)).unwrap();
        writer.flush().unwrap();
    }
    writer.close().unwrap();
}

/// More categories over two row groups than one 8-bit dictionary could have.
fn categories() -> ([ArrayRef; 2], Vec<String>) {
    let texts: Vec<String> = (0..200).map(|n| format!("w{} w{}", n % 110 + 4, n)).collect();
    let part = |texts: &[String]| -> ArrayRef {
        let texts = texts.iter().map(|text| Some(text.as_str()));
        Arc::new(texts.collect::<DictionaryArray<Int8Type>>())
    };
    ([part(&texts[..100]), part(&texts[100..])], texts)
}

#[test]
fn reads_texts_of_categories_numbers_and_bytes() {
    let folder = Folder::new();
    let classifier = load(Path::new(&small_model(&folder)), Precision::F32);
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    let (parts, words) = categories();
    let cases: [(Vec<ArrayRef>, Vec<String>); 5] = [
        (parts.to_vec(), words),
        (
            vec![Arc::new(Int64Array::from(vec![i64::MIN, 7]))],
            texts(&["-9223372036854775808", "7"]),
        ),
        (vec![Arc::new(Float64Array::from(vec![1.5, -0.0]))], texts(&["1.5", "-0.0"])),
        (vec![Arc::new(BooleanArray::from(vec![true]))], texts(&["true"])),
        (vec![Arc::new(BinaryArray::from(vec!["w5 é".as_bytes()]))], texts(&["w5 é"])),
    ];
    for (arrays, texts) in cases {
        write(&folder.file("in.parquet"), &arrays);
        let _ = fs::remove_file(folder.file("out.parquet"));
        succeeded(&classify(&folder, "in.parquet"));
        check_columns(&folder.file("in.parquet"), &folder.file("out.parquet"));
        let file = File::open(folder.file("out.parquet")).unwrap();
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        // The dictionaries of both row groups don't fit into one.
        let columns = ::parquet::arrow::ProjectionMask::roots(builder.parquet_schema(), [1, 2]);
        let batches = builder.with_projection(columns).build().unwrap().map(Result::unwrap);
        let mut found = Vec::new();
        for batch in batches {
            let labels = batch.column(0).as_string::<i32>().iter().map(|l| l.unwrap().to_owned());
            found.extend(
                labels.zip(batch.column(1).as_primitive::<Float32Type>().values().to_vec()),
            );
        }
        let predictions = texts.iter().map(|text| classifier.classify(text).unwrap());
        let expected: Vec<_> = predictions.map(|p| (p.label().to_owned(), p.score())).collect();
        assert_eq!(found, expected, "{texts:?}");
    }
}

#[test]
fn refuses_texts_of_other_types() {
    let folder = Folder::new();
    let mut lists = ListBuilder::new(StringBuilder::new());
    lists.append_value([Some("good"), Some("bad")]);
    let words: ArrayRef = Arc::new(StringArray::from(vec!["good"]));
    let objects = StructArray::try_from(vec![("a", words)]).unwrap();
    let cases: [(ArrayRef, &str); 3] = [
        (Arc::new(lists.finish()), "in.parquet: `text` is a list, not text\n"),
        (Arc::new(objects), ", not text or numbers\n"),
        (Arc::new(Date32Array::from(vec![1])), "in.parquet: `text` has the type Date32"),
    ];
    for (array, message) in cases {
        write(&folder.file("in.parquet"), &[array]);
        let output = classify(&folder, "in.parquet");
        let found = failed_with_one_line(&output, 2);
        assert!(found.contains(message), "{found}");
        assert!(!folder.file("out.parquet").exists());
        assert!(!folder.file("out.parquet.parts").exists());
    }
}

#[test]
fn names_rows_that_are_not_utf8() {
    let folder = Folder::new();
    let rows = BinaryArray::from(vec![Some(&b"w5"[..]), Some(b"caf\xe9"), None, Some(b"")]);
    write(&folder.file("in.parquet"), &[Arc::new(rows) as ArrayRef]);
    let output = classify(&folder, "in.parquet");
    assert_eq!(output.status.code(), Some(1));
    let messages: Vec<&str> = stderr(&output).lines().collect();
    let [first, second] = messages[..] else { panic!("{messages:?}") };
    assert!(first.ends_with("in.parquet, row 2: `text` is not valid UTF-8 at byte 4"), "{first}");
    assert!(second.ends_with("in.parquet, row 3: no text"), "{second}");
    check_columns(&folder.file("in.parquet"), &folder.file("out.parquet"));

    let input = folder.file("in.parquet");
    let arguments = ["evaluate", input.to_str().unwrap(), "--label-column", "text"];
    let output = run(&[&arguments[..], &["--map", "w5=fear", "--map", "caf=fear"]].concat());
    assert!(stderr(&output).contains("row 2: `text` is not valid UTF-8 at byte 4"));
}

#[test]
fn other_input_is_not_resumed() {
    let folder = Folder::new();
    let rows = |first: &str| {
        let rows: StringArray =
            (0..40_000).map(|n| Some(if n == 0 { first } else { "w5" })).collect();
        write(&folder.file("in.parquet"), &[Arc::new(rows) as ArrayRef]);
    };
    rows("w5");
    let model = small_model(&folder);
    let options = ["--model", &model, "--resume"];
    let parts = folder.file("out.parquet.parts");
    let child = folder.begin("in.parquet", "out.parquet", &options);
    let first = || u64::from(parts.join("000001.parquet").exists());
    assert!(kill_at(child, first, 1), "it ended too soon");
    rows("w6 w7");
    let output = folder.classify("in.parquet", "out.parquet", &options);
    let message = failed_with_one_line(&output, 2);
    assert!(message.contains("the input differs"), "{message}");
    fs::write(parts.join("notes.txt"), "kept").unwrap();
    succeeded(&folder.classify("in.parquet", "out.parquet", &["--model", &model, "--overwrite"]));
    assert_eq!(fs::read_dir(&parts).unwrap().count(), 1);
}
