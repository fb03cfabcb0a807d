//! Whole tables through the program: `distilbert classify --input`.

#[cfg(feature = "parquet")]
mod parquet;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Output};

use crate::support::{
    BUNDLED, bundled, failed_with_one_line, objects, program, run, run_with_input, spawn, stderr,
    stdout, succeeded,
};
use distilbert::{Classifier, Precision};
use serde_json::{Value, json};
use tempfile::TempDir;
use test_support::generator::finalize;

const WORDS: &str =
    "i you we love hate miss so very happy sad angry afraid disgusting wow what a surprise";

/// A folder for a table and what is made of it; it goes away with the value.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// With a file.
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

/// What the program should add to a text's row.
fn label_and_score(classifier: &Classifier, text: &str) -> (String, String) {
    let prediction = classifier.classify(text).unwrap();
    (prediction.label().to_owned(), prediction.score().to_string())
}

/// A table of so many rows: some have quotes, commas and line breaks.
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
fn rows_of_csv_keep_their_fields_and_order() {
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

    // Without an output, the rows go to standard output.
    let input = folder.file("in.csv");
    let output = run(&["classify", "--input", input.to_str().unwrap()]);
    assert_eq!(succeeded(&output), expected.concat());
}

#[test]
fn columns_are_named_or_numbered() {
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

/// In a pipeline, a line is a text, and an empty one too.
#[test]
fn lines_go_through_a_pipe_one_for_one() {
    let command = program(&["classify", "--input", "-", "--format", "tsv", "--no-header"]);
    let output = run_with_input(command, b"We won!\n\nI hate it");
    let lines: Vec<&str> = succeeded(&output).lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].starts_with("We won!\t") && lines[1].starts_with('\t'), "{lines:?}");
    // A part of a data set may be empty.
    let command = program(&["classify", "--input", "-", "--format", "csv"]);
    assert_eq!(succeeded(&run_with_input(command, b"")), "");
}

#[test]
fn objects_keep_their_own_text() {
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
fn bad_rows_are_named_and_passed_on() {
    let table = b"id,text\n1,fine\n2\n3,\"a\nb\",c,d\n4,\xff\xfe\n5,fine\n";
    let folder = Folder::with("in.csv", table);
    let output = folder.classify("in.csv", "out.csv", &[]);
    assert_eq!(output.status.code(), Some(1));
    let name = folder.file("in.csv");
    let name = name.display();
    assert_eq!(
        stderr(&output),
        format!(
            "error: {name}, line 3, row 2: 1 column, not 2\n\
             error: {name}, line 4, row 3: 4 columns, not 2\n\
             error: {name}, line 6, row 4: column 2 is not valid UTF-8 from byte 1 on\n"
        )
    );
    let (label, score) = label_and_score(&bundled(), "fine");
    let before = format!("id,text,label,score\n1,fine,{label},{score}\n2,,,\n3,\"a\nb,c,d\",,\n4,");
    let after = format!(",,\n5,fine,{label},{score}\n");
    let expected = [before.as_bytes(), b"\xff\xfe", after.as_bytes()];
    assert_eq!(folder.read("out.csv"), expected.concat());

    // What is resumed counts them again.
    let output = folder.classify("in.csv", "out.csv", &["--resume"]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(1), ""));
    assert_eq!(folder.read("out.csv"), expected.concat());

    let output = folder.classify("in.csv", "strict.csv", &["--strict"]);
    assert!(failed_with_one_line(&output, 2).contains("line 3, row 2: 1 column"));

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
fn texts_that_are_too_long_are_cut_refused_or_taken_in_windows() {
    let long = "so ".repeat(600);
    let folder = Folder::with("in.csv", format!("text\nfine\n{long}\n"));
    let output = folder.classify("in.csv", "cut.csv", &[]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).contains("1 text was cut to the 512 tokens"), "{}", stderr(&output));
    let output = folder.classify("in.csv", "refused.csv", &["--truncation", "error"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("line 3, row 2: 602 tokens"), "{}", stderr(&output));
    assert!(folder.text("refused.csv").ends_with(&format!("\n{long},,\n")));
    succeeded(&folder.classify("in.csv", "windows.csv", &["--truncation", "windows"]));
}

#[test]
fn large_fields_and_files_that_are_no_tables() {
    let large = "happy, sad\n\"\" ".repeat(1 << 17);
    let folder = Folder::with("in.csv", format!("text,n\n\"{large}\",1\nfine,2\n"));
    let output = folder.classify("in.csv", "out.csv", &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let (label, score) = label_and_score(&bundled(), "fine");
    assert!(folder.text("out.csv").ends_with(&format!("\nfine,2,{label},{score}\n")));
    assert!(folder.text("out.csv").starts_with(&format!("text,n,label,score\n\"{large}\",1,")));

    let utf16: Vec<u8> = "\u{feff}text\nfine\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: [(&[u8], &[&str], &str); 9] = [
        (&utf16, &[], "line 1: UTF-16, not UTF-8"),
        (b"te\xffxt\nfine\n", &[], "line 1: column 1 is not valid UTF-8 from byte 3 on"),
        (b"text\n\"fine\nfine\n", &[], "line 2: a quote is opened that nothing closes"),
        (b"body,id\nfine,1\n", &[], "line 1: no column is called `text`"),
        (b"body,id\nfine,1\n", &["--header"], "the columns are body, id: name that of the texts"),
        (
            b"body,id\nfine,1\n",
            &["--text-column", "txt"],
            "no column `txt`; the columns are body, id",
        ),
        (b"body,id\nfine,1\n", &["--header", "--text-column", "3"], "no column `3`"),
        (
            b"fine,1\n",
            &["--no-header", "--text-column", "x"],
            "without a header, columns have numbers",
        ),
        (
            b"text,score\nfine,1\n",
            &[],
            "line 1: there is a `score` already: give new names a --prefix",
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
    assert!(found.contains("line 2, row 2: there is a `label` already"), "{found}");
}

#[test]
fn files_that_are_there_are_not_lost() {
    let folder = Folder::with("in.csv", "text\nfine\nwow\n");
    let refused = |output: &str, options: &[&str], message: &str| {
        let found = folder.classify("in.csv", output, options);
        let found = failed_with_one_line(&found, 2).to_owned();
        assert!(found.contains(message), "{found}");
    };
    refused("in.csv", &["--overwrite"], "in.csv is the input");
    refused("out.tsv", &[], "another format");
    refused("no/such/out.csv", &[], "cannot write");
    assert!(!folder.file("out.tsv").exists());
    assert_eq!(folder.text("in.csv"), "text\nfine\nwow\n");

    succeeded(&folder.classify("in.csv", "out.csv", &[]));
    let whole = folder.text("out.csv");
    refused("out.csv", &[], "out.csv exists: --resume goes on with it, --overwrite begins anew");
    refused("out.csv", &["--resume", "--scores"], "its first line names other columns");
    refused("out.csv", &["--resume", "--precision", "int8"], "row 2 is another");
    assert_eq!(folder.text("out.csv"), whole);
    fs::write(folder.file("in.csv"), "text\nfine\nother\n").unwrap();
    refused("out.csv", &["--resume"], "row 2 is another");
    fs::write(folder.file("in.csv"), "text\nfine\n").unwrap();
    refused("out.csv", &["--resume"], "it has 2 rows, more than the input");
    succeeded(&folder.classify("in.csv", "out.csv", &["--overwrite"]));
    let line = whole.lines().nth(1).unwrap();
    assert_eq!(folder.text("out.csv"), format!("text,label,score\n{line}\n"));

    fs::write(folder.file("in.data"), "text\nfine\n").unwrap();
    let output = folder.classify("in.data", "out.data", &[]);
    assert!(failed_with_one_line(&output, 2).contains("does not tell its format"));
    let output = folder.classify("none.csv", "out2.csv", &[]);
    assert!(failed_with_one_line(&output, 2).contains("none.csv"));
    for options in [
        &["--input", "in.csv", "a text"][..],
        &["--input", "in.csv", "--json"],
        &["--output", "out.csv"],
        &["--resume"],
        &["--text-column", "x"],
        &["--input", "in.csv", "--resume"],
        &["--input", "in.csv", "--delimiter", "ab"],
    ] {
        let output = run(&[&["classify"], options].concat());
        assert_eq!((output.status.code(), stdout(&output)), (Some(2), ""), "{options:?}");
        assert!(stderr(&output).contains("--help"), "{}", stderr(&output));
    }
}

/// The rows of an output that is cut at any byte, and then resumed.
#[test]
fn an_output_cut_anywhere_is_gone_on_with() {
    let lines: String = (0..5).map(|n| format!("{{\"n\":{n},\"text\":\"wow {n}\"}}\n")).collect();
    for (input, output, table) in [("in.csv", "out.csv", csv(9)), ("in.jsonl", "out.jsonl", lines)]
    {
        let folder = Folder::with(input, table);
        succeeded(&folder.classify(input, output, &["--resume"]));
        let whole = folder.read(output);
        for cut in (0..=whole.len()).step_by(whole.len() / 16) {
            fs::write(folder.file(output), &whole[..cut]).unwrap();
            succeeded(&folder.classify(input, output, &["--resume", "--threads", "1"]));
            assert!(folder.read(output) == whole, "cut at {cut} of {}", whole.len());
        }
    }
}

/// A row has a limit, 64 MB; a table has none.
#[test]
fn an_output_larger_than_any_row_is_gone_on_with() {
    let pad = "x".repeat(1 << 20);
    let rows = (0..70).map(|n| format!("{{\"n\":{n},\"pad\":\"{pad}\",\"text\":\"wow {n}\"}}\n"));
    let folder = Folder::with("in.jsonl", rows.collect::<String>());
    succeeded(&folder.classify("in.jsonl", "out.jsonl", &[]));
    let whole = folder.read("out.jsonl");
    fs::write(folder.file("out.jsonl"), &whole[..whole.len() - 10]).unwrap();
    succeeded(&folder.classify("in.jsonl", "out.jsonl", &["--resume"]));
    assert!(folder.read("out.jsonl") == whole);
}

/// Kills the program as soon as its output is so large, if it is still at work.
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

#[test]
fn killed_ten_times_and_resumed_nothing_is_lost_or_doubled() {
    let folder = Folder::with("in.csv", csv(12_000));
    succeeded(&folder.classify("in.csv", "whole.csv", &[]));
    let whole = folder.read("whole.csv");
    let size = || fs::metadata(folder.file("out.csv")).map_or(0, |about| about.len());
    let mut killed = 0;
    for kill in 0..10 {
        // A little later than the last, somewhere in the next tenth.
        let at = (whole.len() as u64 * kill + finalize(kill) % whole.len() as u64) / 11;
        let child = folder.begin("in.csv", "out.csv", &["--resume"]);
        killed += usize::from(kill_at(child, size, at));
        let found = fs::read(folder.file("out.csv")).unwrap_or_default();
        assert!(whole.starts_with(&found), "kill {kill}");
    }
    println!("killed {killed} times");
    assert!(killed >= 5);
    succeeded(&folder.classify("in.csv", "out.csv", &["--resume"]));
    assert!(folder.read("out.csv") == whole);
}

/// The most memory that the program had while it was at work, in kB.
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
fn memory_does_not_grow_with_the_table() {
    let folder = Folder::with("small.csv", csv(2_000));
    fs::write(folder.file("large.csv"), csv(20_000)).unwrap();
    let [small, large] = [("small.csv", "1.csv"), ("large.csv", "2.csv")]
        .map(|(input, output)| high_water(folder.begin(input, output, &[])));
    println!("2,000 rows: {small} kB; 20,000 rows: {large} kB");
    assert!(small > 0 && large < small + 30_000);
}

#[test]
fn the_same_rows_come_from_every_precision_alone() {
    let folder = Folder::with("in.csv", csv(300));
    succeeded(&folder.classify("in.csv", "out.csv", &["--precision", "int8", "--threads", "2"]));
    let classifier = Classifier::builder(&*BUNDLED).precision(Precision::Int8).build().unwrap();
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
fn parquet_needs_its_feature() {
    let folder = Folder::with("in.parquet", "PAR1");
    let output = folder.classify("in.parquet", "out.parquet", &[]);
    assert!(failed_with_one_line(&output, 2).contains("--features parquet"));
}
