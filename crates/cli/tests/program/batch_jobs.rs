//! `distilbert classify --input`.

#[cfg(feature = "parquet")]
mod columns;
#[cfg(feature = "parquet")]
mod parquet;
mod resume;
mod values;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Output};

use crate::support::{
    BUNDLED, bundled, failed_with_one_line, load, objects, program, run, run_with_input, spawn,
    stderr, stdout, succeeded,
};
use distilbert::{Classifier, Precision};
use serde_json::{Value, json};
use tempfile::TempDir;
use test_support::generator::{GeneratedModel, finalize};

const WORDS: &str =
    "i you we love hate miss so very happy sad angry afraid disgusting wow what a surprise";

/// Temporary folder for tables.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// Creates a folder with a file.
    fn with(name: &str, content: impl AsRef<[u8]>) -> Self {
        let folder = Self::new();
        fs::write(folder.file(name), content).unwrap();
        folder
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.file(name)).unwrap()
    }

    fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    fn arguments(&self, input: &str, output: &str, options: &[&str]) -> Vec<String> {
        let (input, output) = (self.file(input), self.file(output));
        let files =
            ["--input".as_ref(), input.as_os_str(), "--output".as_ref(), output.as_os_str()];
        let files = files.map(|part| part.to_str().unwrap().to_owned());
        let options = options.iter().map(|&option| option.to_owned());
        ["classify".to_owned()].into_iter().chain(files).chain(options).collect()
    }

    fn classify(&self, input: &str, output: &str, options: &[&str]) -> Output {
        let arguments = self.arguments(input, output, options);
        run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn begin(&self, input: &str, output: &str, options: &[&str]) -> Child {
        let arguments = self.arguments(input, output, options);
        spawn(program(&arguments.iter().map(String::as_str).collect::<Vec<_>>()))
    }
}

/// Writes a small model, whose vocabulary is [`WORDS`], for tests of many rows.
fn small_model(folder: &Folder) -> String {
    let model = folder.file("model");
    fs::create_dir(&model).unwrap();
    GeneratedModel::small().write(&model);
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
    let vocabulary: Vec<&str> = special.into_iter().chain(WORDS.split(' ')).collect();
    fs::write(model.join("vocab.txt"), vocabulary.join("\n")).unwrap();
    model.to_str().unwrap().to_owned()
}

/// Returns the fields that the program should add to a row.
fn label_and_score(classifier: &Classifier, text: &str) -> (String, String) {
    let prediction = classifier.classify(text).unwrap();
    (prediction.label().to_owned(), prediction.score().to_string())
}

/// Returns a table, some of whose rows contain quotes, commas and line breaks.
fn csv(rows: usize) -> String {
    let words: Vec<&str> = WORDS.split(' ').collect();
    let mut random = (0..).map(finalize);
    let mut table = String::from("id,text\n");
    for row in 0..rows {
        let count = random.next().unwrap() % 12 + 1;
        let text = (0..count).map(|_| words[random.next().unwrap() as usize % words.len()]);
        let text = text.collect::<Vec<_>>().join(" ");
        match row % 7 {
            0 => table += &format!("{row},\"{text},\r\n\"\"{text}\"\"\"\n"),
            _ => table += &format!("{row},{text}\n"),
        }
    }
    table
}

#[test]
fn csv_keeps_fields_and_order() {
    let table = "\u{feff}id,\"text\",note\r\n1,\"I am so \"\"happy\"\", really\",\r\n2,\"two\nlines\",é\r\n\r\n3,What?,\"a,b\"";
    let folder = Folder::with("in.csv", table);
    assert_eq!(succeeded(&folder.classify("in.csv", "out.csv", &[])), "");
    let classifier = bundled();
    let added = |text| {
        let (label, score) = label_and_score(&classifier, text);
        format!("{label},{score}")
    };
    let expected = [
        "id,text,note,label,score\n".to_owned(),
        format!("1,\"I am so \"\"happy\"\", really\",,{}\n", added("I am so \"happy\", really")),
        format!("2,\"two\nlines\",é,{}\n", added("two\nlines")),
        format!("3,What?,\"a,b\",{}\n", added("What?")),
    ];
    assert_eq!(folder.text("out.csv"), expected.concat());

    // Without --output, the rows are printed.
    let input = folder.file("in.csv");
    let output = run(&["classify", "--input", input.to_str().unwrap()]);
    assert_eq!(succeeded(&output), expected.concat());
}

#[test]
fn selects_columns_by_name_or_number() {
    let folder = Folder::with("in.csv", "a;label\nx;I miss you\n");
    let options = ["--delimiter", ";", "--text-column", "label", "--prefix", "p_", "--scores"];
    succeeded(&folder.classify("in.csv", "out.csv", &options));
    let prediction = bundled().classify("I miss you").unwrap();
    let scores: Vec<String> = prediction.scores().iter().map(f32::to_string).collect();
    let names: Vec<String> = prediction.labels().iter().map(|l| format!("p_score_{l}")).collect();
    assert_eq!(
        folder.text("out.csv"),
        format!(
            "a;label;p_label;p_score;{}\nx;I miss you;{};{};{}\n",
            names.join(";"),
            prediction.label(),
            prediction.score(),
            scores.join(";")
        )
    );

    let output = run_with_input(
        program(&["classify", "--input", "-", "--format", "tsv", "--no-header", "--text-column=2"]),
        b"1\t\"I miss you\r\n2\t\n",
    );
    let classifier = bundled();
    let [(miss, score), (nothing, other)] =
        ["\"I miss you", ""].map(|text| label_and_score(&classifier, text));
    assert_eq!(
        succeeded(&output),
        format!("1\t\"I miss you\t{miss}\t{score}\n2\t\t{nothing}\t{other}\n")
    );
}

/// In a pipeline, each line is a text, even an empty one.
#[test]
fn pipes_lines_one_to_one() {
    let command = program(&["classify", "--input", "-", "--format", "tsv", "--no-header"]);
    let output = run_with_input(command, b"We won!\n\nI hate it");
    let lines: Vec<&str> = succeeded(&output).lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].starts_with("We won!\t") && lines[1].starts_with('\t'), "{lines:?}");
    // Empty input is valid.
    let command = program(&["classify", "--input", "-", "--format", "csv"]);
    assert_eq!(succeeded(&run_with_input(command, b"")), "");
}

#[test]
fn json_lines_keep_their_text() {
    let lines =
        "{\"n\":1.00,\"text\":\"I love it\"}\n\n{ \"text\" : \"b\\u00e9\" , \"text2\":[1] }\r\n";
    let folder = Folder::with("in.jsonl", lines);
    succeeded(&folder.classify("in.jsonl", "out.jsonl", &["--scores"]));
    let found = folder.text("out.jsonl");
    let (first, second) = found.split_once('\n').unwrap();
    assert!(first.starts_with("{\"n\":1.00,\"text\":\"I love it\",\"label\":\""), "{first}");
    assert!(
        second.starts_with("{ \"text\" : \"b\\u00e9\" , \"text2\":[1] ,\"label\":"),
        "{second}"
    );
    let classifier = bundled();
    for (object, text) in objects(&found).iter().zip(["I love it", "bé"]) {
        let prediction = classifier.classify(text).unwrap();
        assert_eq!(object["label"], prediction.label());
        assert_eq!(object["score"].to_string().parse(), Ok(prediction.score()));
        let scores = object["scores"].as_object().unwrap();
        assert!(scores.keys().eq(prediction.labels()));
        let scores = scores.values().map(|score| score.to_string().parse::<f32>().unwrap());
        assert!(scores.eq(prediction.scores().iter().copied()));
    }
}

#[test]
fn reports_and_keeps_invalid_rows() {
    let table = b"id,text\n1,fine\n2\n3,\"a\nb\",c,d\n4,\xff\xfe\n5,fine\n";
    let folder = Folder::with("in.csv", table);
    let output = folder.classify("in.csv", "out.csv", &[]);
    assert_eq!(output.status.code(), Some(1));
    let name = folder.file("in.csv");
    let name = name.display();
    assert_eq!(
        stderr(&output),
        format!(
            "error: {name}, line 3, row 2: expected 2 columns, found 1\n\
             error: {name}, line 4, row 3: expected 2 columns, found 4\n\
             error: {name}, line 6, row 4: column 2 is not valid UTF-8 at byte 1\n"
        )
    );
    let (label, score) = label_and_score(&bundled(), "fine");
    let before = format!("id,text,label,score\n1,fine,{label},{score}\n2,,,\n3,\"a\nb,c,d\",,\n4,");
    let after = format!(",,\n5,fine,{label},{score}\n");
    let expected = [before.as_bytes(), b"\xff\xfe", after.as_bytes()];
    assert_eq!(folder.read("out.csv"), expected.concat());

    // A resumed run counts them again.
    let output = folder.classify("in.csv", "out.csv", &["--resume"]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(1), ""));
    assert_eq!(folder.read("out.csv"), expected.concat());

    let output = folder.classify("in.csv", "strict.csv", &["--strict"]);
    assert!(failed_with_one_line(&output, 2).contains("line 3, row 2: expected 2 columns"));

    let lines = b"{\"text\":\"fine\"}\n{\"text\":null}\nnot JSON \xff\n[1]\n{}\n{\"text\":[]}\n";
    let folder = Folder::with("in.jsonl", lines);
    let output = folder.classify("in.jsonl", "out.jsonl", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output).lines().count(), 5);
    let found = objects(&folder.text("out.jsonl"));
    let bad = |members: Value| {
        let mut object = members.as_object().unwrap().clone();
        object.extend([("label".to_owned(), Value::Null), ("score".to_owned(), Value::Null)]);
        Value::Object(object)
    };
    let expected = [
        json!({ "text": null }),
        json!({ "row": "not JSON \u{fffd}" }),
        json!({ "row": "[1]" }),
        json!({}),
        json!({ "text": [] }),
    ];
    assert_eq!(found[1..], expected.map(bad));
    assert_eq!(found[0]["label"], label);
    let output = folder.classify("in.jsonl", "out.jsonl", &["--resume"]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(1), ""));
}

#[test]
fn truncation_applies_to_long_texts() {
    let long = "so ".repeat(600);
    let folder = Folder::with("in.csv", format!("text\nfine\n{long}\n"));
    let output = folder.classify("in.csv", "cut.csv", &[]);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        stderr(&output).contains("1 text was truncated to the model's limit of 512 tokens"),
        "{}",
        stderr(&output)
    );
    let output = folder.classify("in.csv", "refused.csv", &["--truncation", "error"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("line 3, row 2: 602 tokens"), "{}", stderr(&output));
    assert!(folder.text("refused.csv").ends_with(&format!("\n{long},,\n")));
    succeeded(&folder.classify("in.csv", "windows.csv", &["--truncation", "windows"]));
}

#[test]
fn handles_large_fields_and_rejects_malformed_tables() {
    let large = "happy, sad\n\"\" ".repeat(1 << 17);
    let folder = Folder::with("in.csv", format!("text,n\n\"{large}\",1\nfine,2\n"));
    let output = folder.classify("in.csv", "out.csv", &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let (label, score) = label_and_score(&bundled(), "fine");
    assert!(folder.text("out.csv").ends_with(&format!("\nfine,2,{label},{score}\n")));
    assert!(folder.text("out.csv").starts_with(&format!("text,n,label,score\n\"{large}\",1,")));

    let utf16: Vec<u8> = "\u{feff}text\nfine\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: [(&[u8], &[&str], &str); 9] = [
        (&utf16, &[], "line 1: the file is UTF-16, but UTF-8 is expected"),
        (b"te\xffxt\nfine\n", &[], "line 1: column 1 is not valid UTF-8 at byte 3"),
        (b"text\n\"fine\nfine\n", &[], "line 2: a quoted field is not closed"),
        (b"body,id\nfine,1\n", &[], "line 1: no column is named `text`"),
        (b"body,id\nfine,1\n", &["--header"], "the columns are body, id: pass --text-column"),
        (
            b"body,id\nfine,1\n",
            &["--text-column", "txt"],
            "no column `txt`; the columns are body, id",
        ),
        (b"body,id\nfine,1\n", &["--header", "--text-column", "3"], "no column `3`"),
        (
            b"fine,1\n",
            &["--no-header", "--text-column", "x"],
            "without a header, columns are selected by number",
        ),
        (
            b"text,score\nfine,1\n",
            &[],
            "line 1: there is already a column or key `score`: pass a --prefix",
        ),
    ];
    for (table, options, message) in cases {
        let folder = Folder::with("in.csv", table);
        let output = folder.classify("in.csv", "out.csv", options);
        let found = failed_with_one_line(&output, 2);
        assert!(found.contains("in.csv") && found.contains(message), "{found}");
    }
    let folder = Folder::with("in.jsonl", "{\"text\":\"a\"}\n{\"text\":\"a\",\"label\":1}\n");
    let output = folder.classify("in.jsonl", "out.jsonl", &[]);
    let found = failed_with_one_line(&output, 2);
    assert!(found.contains("line 2, row 2: there is already a column or key `label`"), "{found}");
}

/// Kills the program once its output has the given size; returns `false` if it ended before.
fn kill_at(mut child: Child, size: impl Fn() -> u64, at: u64) -> bool {
    loop {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if size() >= at {
            child.kill().unwrap();
            child.wait().unwrap();
            return true;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// Returns the program's peak memory in kB.
#[cfg(target_os = "linux")]
fn high_water(mut child: Child) -> u64 {
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        let about = fs::read_to_string(&status).unwrap_or_default();
        let line = about.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let found = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        most = found.unwrap_or(0).max(most);
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    assert!(child.wait().unwrap().success());
    most
}

#[test]
#[cfg(target_os = "linux")]
fn memory_is_independent_of_table_size() {
    let folder = Folder::with("small.csv", csv(10_000));
    fs::write(folder.file("large.csv"), csv(200_000)).unwrap();
    let model = small_model(&folder);
    let [small, large] = [("small.csv", "1.csv"), ("large.csv", "2.csv")]
        .map(|(input, output)| high_water(folder.begin(input, output, &["--model", &model])));
    println!("10,000 rows: {small} kB; 200,000 rows: {large} kB");
    assert!(small > 0 && large < small + 10_000);
}

#[test]
fn int8_rows_match_texts_classified_alone() {
    let folder = Folder::with("in.csv", csv(300));
    succeeded(&folder.classify("in.csv", "out.csv", &["--precision", "int8", "--threads", "2"]));
    let classifier = load(Path::new(&*BUNDLED), Precision::Int8);
    let found = folder.text("out.csv");
    let found: Vec<&str> = found.lines().filter(|line| line.split(',').count() == 4).collect();
    assert!(found.len() > 200);
    for line in &found[1..] {
        let [_, text, label, score] = line.split(',').collect::<Vec<_>>()[..] else { continue };
        let expected = label_and_score(&classifier, text);
        assert_eq!((label, score), (expected.0.as_str(), expected.1.as_str()), "{line}");
    }
}

#[cfg(not(feature = "parquet"))]
#[test]
fn parquet_requires_its_feature() {
    let folder = Folder::with("in.parquet", "PAR1");
    let output = folder.classify("in.parquet", "out.parquet", &[]);
    assert!(failed_with_one_line(&output, 2).contains("--features parquet"));
}
