//! Values of JSON Lines tables.

use super::*;

#[test]
fn numbers_are_texts_as_they_are_written() {
    let rows = [
        (r#"{"text": 12345678901234567890123 }"#, "12345678901234567890123"),
        (r#"{"text":1.50,"n":1E+400}"#, "1.50"),
        (r#"{"text":-0,"n":0.1000}"#, "-0"),
        (r#"{"text":1e5,"bad":"\ud800"}"#, "1e5"),
        (r#"{"text":"a","text":"\u0062"}"#, "b"),
        (r#"{"text":true}"#, "true"),
    ];
    let folder = Folder::with("in.jsonl", rows.map(|(line, _)| format!("{line}\n")).concat());
    succeeded(&folder.classify("in.jsonl", "out.jsonl", &[]));
    let classifier = bundled();
    for ((line, text), found) in rows.iter().zip(folder.text("out.jsonl").lines()) {
        let (label, score) = label_and_score(&classifier, text);
        let start = &line[..line.len() - 1];
        assert_eq!(found, format!("{start},\"label\":\"{label}\",\"score\":{score}}}"));
    }
}

#[test]
fn values_that_are_not_texts_are_reported() {
    let rows = r#"{"text":["a"]}
{"text":{"a":1}}
{"text":null}
{"n":1}
{"text":"\ud800"}
"#;
    let folder = Folder::with("in.jsonl", rows);
    let output = folder.classify("in.jsonl", "out.jsonl", &[]);
    assert_eq!(output.status.code(), Some(1));
    let reasons = stderr(&output).lines().map(|line| line.split_once("row ").unwrap().1);
    assert_eq!(
        reasons.collect::<Vec<_>>(),
        [
            "1: `text` is a list, not text",
            "2: `text` contains a nested value",
            "3: `text` is missing",
            "4: `text` is missing",
            "5: `text` is not valid JSON at character 8",
        ]
    );
}

#[test]
fn numeric_labels_are_read_as_they_are_written() {
    let folder = Folder::with("in.jsonl", "{\"text\":\"a\",\"label\":12345678901234567890123}\n");
    let input = folder.file("in.jsonl");
    let output = run(&["evaluate", input.to_str().unwrap()]);
    assert!(failed_with_one_line(&output, 2).contains("label `12345678901234567890123`"));
}
