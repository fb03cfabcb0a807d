//! Existing outputs, and interrupted and resumed runs.

use super::*;

#[test]
fn existing_files_are_not_lost() {
    let folder = Folder::with("in.csv", "text\nfine\nwow\n");
    let refused = |output: &str, options: &[&str], message: &str| {
        let found = folder.classify("in.csv", output, options);
        let found = failed_with_one_line(&found, 2).to_owned();
        assert!(found.contains(message), "{found}");
    };
    refused("in.csv", &["--overwrite"], "in.csv is both --input and --output");
    refused("out.tsv", &[], "--output must have the same format as --input");
    refused("no/such/out.csv", &[], "cannot write");
    assert!(!folder.file("out.tsv").exists());
    assert_eq!(folder.text("in.csv"), "text\nfine\nwow\n");

    succeeded(&folder.classify("in.csv", "out.csv", &[]));
    let whole = folder.text("out.csv");
    refused(
        "out.csv",
        &[],
        "out.csv already exists: pass --resume to continue or --overwrite to replace it",
    );
    refused("out.csv", &["--resume", "--scores"], "its columns differ");
    refused("out.csv", &["--resume", "--precision", "int8"], "row 2 differs");
    assert_eq!(folder.text("out.csv"), whole);
    fs::write(folder.file("in.csv"), "text\nfine\nother\n").unwrap();
    refused("out.csv", &["--resume"], "row 2 differs");
    fs::write(folder.file("in.csv"), "text\nfine\n").unwrap();
    refused("out.csv", &["--resume"], "it has 2 rows, more than the input");
    succeeded(&folder.classify("in.csv", "out.csv", &["--overwrite"]));
    let line = whole.lines().nth(1).unwrap();
    assert_eq!(folder.text("out.csv"), format!("text,label,score\n{line}\n"));

    fs::write(folder.file("in.data"), "text\nfine\n").unwrap();
    let output = folder.classify("in.data", "out.data", &[]);
    assert!(failed_with_one_line(&output, 2).contains("cannot tell the format"));
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

/// The output is cut at various bytes and resumed.
#[test]
fn resumes_output_cut_anywhere() {
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

/// Rows are limited to 64 MiB, tables are not.
#[test]
fn resumes_output_larger_than_the_row_limit() {
    let pad = "x".repeat(1 << 20);
    let rows = (0..70).map(|n| format!("{{\"n\":{n},\"pad\":\"{pad}\",\"text\":\"wow {n}\"}}\n"));
    let folder = Folder::with("in.jsonl", rows.collect::<String>());
    succeeded(&folder.classify("in.jsonl", "out.jsonl", &[]));
    let whole = folder.read("out.jsonl");
    fs::write(folder.file("out.jsonl"), &whole[..whole.len() - 10]).unwrap();
    succeeded(&folder.classify("in.jsonl", "out.jsonl", &["--resume"]));
    assert!(folder.read("out.jsonl") == whole);
}

#[test]
fn resumes_after_ten_kills() {
    let folder = Folder::with("in.csv", csv(50_000));
    let model = small_model(&folder);
    let resume = ["--model", &model, "--resume"];
    succeeded(&folder.classify("in.csv", "whole.csv", &resume[..2]));
    let whole = folder.read("whole.csv");
    let size = || fs::metadata(folder.file("out.csv")).map_or(0, |about| about.len());
    let mut killed = 0;
    for kill in 0..10 {
        // Somewhere in the next tenth of the output.
        let at = (whole.len() as u64 * kill + finalize(kill) % whole.len() as u64) / 11;
        let child = folder.begin("in.csv", "out.csv", &resume);
        killed += usize::from(kill_at(child, size, at));
        let found = fs::read(folder.file("out.csv")).unwrap_or_default();
        assert!(whole.starts_with(&found), "kill {kill}");
    }
    println!("killed {killed} times");
    assert!(killed >= 5);
    succeeded(&folder.classify("in.csv", "out.csv", &resume));
    assert!(folder.read("out.csv") == whole);
}
