//! Tables of texts: CSV, TSV, JSON Lines, Parquet.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use distilbert_cli::fuzzing::{
    extended_arrow_schema, json_value, read_fields, read_table, write_fields,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::budget::within;
use crate::bytes::Bytes;
use crate::patch::patched;

/// Bytes that any table may take, beyond 16 for each byte of the file: buffers, and fields of a row.
const CONSTANT: usize = 64 << 20;

/// Bytes that Parquet may take beyond that: a page's largest size, for a dictionary and for values.
const PAGES: usize = 2 << 28;

/// Size of JSON Lines that repeat an input, in bytes.
const LARGEST: usize = 1 << 18;

thread_local! {
    /// Folder for a thread's file, in memory where the system has such a folder.
    static FOLDER: TempDir = {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
        folder.unwrap()
    };
}

/// Small files with a column of texts and a column of labels.
const PARQUET: [&[u8]; 4] = [
    include_bytes!("../data/plain.parquet"),
    include_bytes!("../data/dictionary.parquet"),
    include_bytes!("../data/lists.parquet"),
    include_bytes!("../data/numbers.parquet"),
];

const ARROW_SCHEMA: &[u8] = include_bytes!("../data/schema.arrow");

fn write(name: &str, content: &[u8]) -> PathBuf {
    let path = FOLDER.with(|folder| folder.path().join(name));
    std::fs::write(&path, content).unwrap();
    path
}

/// Reads CSV or TSV as a table and as fields, which survive being written and read again.
pub fn delimited(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let choice = bytes.byte();
    let delimiter = match choice & 7 {
        0 => None,
        1 => Some(b';'),
        2 => Some(0),
        _ => Some(b','),
    };
    let header: &[&str] = match choice >> 3 & 3 {
        0 => &["--header"],
        1 => &["--no-header"],
        2 => &["--text-column", "2"],
        _ => &[],
    };
    let content = bytes.rest();
    let mut options = vec!["--format", if delimiter.is_none() { "tsv" } else { "csv" }];
    options.extend(header);
    if delimiter == Some(b';') {
        options.extend(["--delimiter", ";"]);
    }
    let path = write("table", content);
    within(content.len(), CONSTANT, || {
        let rows = read_table(&path, &options);
        rows.map_or_else(|message| assert!(!message.is_empty()), drop);
    });
    let Ok(mut rows) = read_fields(content, delimiter) else { return };
    // A first row, so that no field begins like the mark of an encoding.
    rows.insert(0, vec![b"x".to_vec()]);
    // A field of TSV can't say that a carriage return before the line break belongs to it.
    let ends_in_return =
        |row: &Vec<Vec<u8>>| row.last().is_some_and(|field| field.ends_with(b"\r"));
    if delimiter.is_some() || !rows.iter().any(ends_in_return) {
        let written = write_fields(&rows, delimiter);
        assert_eq!(read_fields(&written, delimiter).as_ref(), Ok(&rows));
    }
}

/// Reads JSON Lines, and compares the value of each key with that of a general parser.
pub fn json_lines(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let is_repeated = bytes.byte() >= 250;
    let content = bytes.rest();
    let times = if is_repeated { LARGEST / content.len().max(1) } else { 1 };
    let content = content.repeat(times);
    let path = write("table.jsonl", &content);
    within(content.len(), CONSTANT, || {
        let _ = read_table(&path, &[]);
    });
    let lines = content.split(|&byte| byte == b'\n');
    for line in lines.filter(|line| line.len() < 1 << 12).take(16) {
        let parsed: Result<serde_json::Map<String, Value>, _> = serde_json::from_slice(line);
        let Ok(parsed) = parsed else { continue };
        for (key, value) in parsed.iter().take(16) {
            let found = json_value(line, key).unwrap().unwrap();
            assert_eq!(serde_json::from_str::<Value>(&found).ok().as_ref(), Some(value));
        }
    }
}

/// Reads a Parquet file: the input itself, or a small file with edits; or the Arrow schema that such files hold.
pub fn parquet(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let content = match bytes.byte() & 7 {
        0 => bytes.rest().to_vec(),
        7 => {
            let schema = patched(ARROW_SCHEMA, &mut bytes);
            let encoded = BASE64.encode(&schema);
            within(schema.len(), CONSTANT, || {
                let _ = extended_arrow_schema(&encoded);
            });
            return;
        }
        index => patched(PARQUET[usize::from(index) % PARQUET.len()], &mut bytes),
    };
    let path = write("table.parquet", &content);
    within(content.len(), CONSTANT + PAGES, || {
        let _ = read_table(&path, &[]);
    });
}
