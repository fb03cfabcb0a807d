//! Parquet tables.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int64Type};
use arrow_array::{Array, ArrayRef, Int64Array, LargeStringArray, RecordBatch};

use super::*;

/// Writes rows with a number and a text, which is missing in row 5.
fn write(path: &Path, texts: &[String]) {
    let texts = texts.iter().enumerate().map(|(row, text)| (row != 5).then_some(text));
    let texts: LargeStringArray = texts.collect();
    let numbers: Int64Array = (0..texts.len() as i64).map(Some).collect();
    let columns =
        [("n", Arc::new(numbers) as ArrayRef, false), ("text", Arc::new(texts) as ArrayRef, true)];
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let file = File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn texts(rows: usize) -> Vec<String> {
    let words: Vec<&str> = WORDS.split(' ').collect();
    let word = |n: usize| words[finalize(n as u64) as usize % words.len()];
    (0..rows).map(|row| format!("{} {}", word(row), word(row + rows))).collect()
}

fn read(path: &Path) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    reader.build().unwrap().map(Result::unwrap).collect()
}

#[test]
fn keeps_columns_and_order() {
    let folder = Folder::new();
    let texts = texts(40);
    write(&folder.file("in.parquet"), &texts);
    let output = folder.classify("in.parquet", "out.parquet", &["--scores"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).ends_with("in.parquet, row 6: no text\n"), "{}", stderr(&output));
    let classifier = bundled();
    let found = read(&folder.file("out.parquet"));
    let rows = found.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row)));
    for (number, (batch, row)) in rows.enumerate() {
        assert_eq!(batch.column(0).as_primitive::<Int64Type>().value(row), number as i64);
        if number == 5 {
            assert!((1..11).all(|column| batch.column(column).is_null(row)));
            continue;
        }
        let prediction = classifier.classify(&texts[number]).unwrap();
        assert_eq!(batch.column(1).as_string::<i64>().value(row), texts[number]);
        assert_eq!(batch["label"].as_string::<i32>().value(row), prediction.label());
        let score = |column: usize| batch.column(column).as_primitive::<Float32Type>().value(row);
        assert_eq!(score(3), prediction.score());
        assert!((4..11).map(score).eq(prediction.scores().iter().copied()));
    }
    assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>(), 40);
    assert!(!folder.file("out.parquet.parts").exists());
}

#[test]
fn resumed_file_is_identical() {
    let folder = Folder::new();
    write(&folder.file("in.parquet"), &texts(36_000));
    let model = small_model(&folder);
    let options = ["--model", &model, "--precision", "int8"];
    folder.classify("in.parquet", "whole.parquet", &options);
    let whole = folder.read("whole.parquet");
    let parts = folder.file("out.parquet.parts");
    let count = || {
        let is_part = |entry: &fs::DirEntry| {
            entry.path().extension().is_some_and(|extension| extension == "parquet")
        };
        let entries = fs::read_dir(&parts).into_iter().flatten().flatten();
        entries.filter(is_part).count() as u64
    };
    let resumed = ["--model", &model, "--precision", "int8", "--resume"];
    let mut killed = 0;
    for at in [0, 1, 1, 2] {
        let child = folder.begin("in.parquet", "out.parquet", &resumed);
        killed += usize::from(kill_at(child, count, at));
    }
    assert!(killed >= 3, "{killed}");
    assert!(!folder.file("out.parquet").exists());
    let refused = folder.classify("in.parquet", "out.parquet", &options);
    assert!(failed_with_one_line(&refused, 2).contains("out.parquet.parts already exists"));
    let other = folder.classify("in.parquet", "out.parquet", &["--model", &model, "--resume"]);
    assert!(failed_with_one_line(&other, 2).contains("differs"), "{}", stderr(&other));
    folder.classify("in.parquet", "out.parquet", &resumed);
    assert!(folder.read("out.parquet") == whole);
    assert!(!parts.exists());
    // A complete output stays unchanged.
    succeeded(&folder.classify("in.parquet", "out.parquet", &resumed));
    assert!(folder.read("out.parquet") == whole);
}

#[test]
fn rejects_invalid_parquet() {
    let folder = Folder::with("in.parquet", "PAR1 and no more");
    let refused = |options: &[&str], message: &str| {
        let output = folder.classify("in.parquet", "out.parquet", options);
        let found = failed_with_one_line(&output, 2).to_owned();
        assert!(found.contains("in.parquet") && found.contains(message), "{found}");
    };
    refused(&[], "");
    write(&folder.file("in.parquet"), &texts(3));
    refused(&["--text-column", "body"], "no column `body`; the columns are n, text");
    let whole = folder.read("in.parquet");
    for cut in [0, 3, whole.len() / 2, whole.len() - 1] {
        fs::write(folder.file("in.parquet"), &whole[..cut]).unwrap();
        refused(&[], "");
    }
    let output = run(&["classify", "--input", "-", "--format", "parquet", "--output", "x.parquet"]);
    assert!(failed_with_one_line(&output, 2).contains("not standard input or output"));
}
