//! `distilbert evaluate`.

mod check;
mod labels;

use std::fs;
use std::path::{Path, PathBuf};

use distilbert::{Classifier, Precision};
use distilbert_evaluate::{Estimate, Evaluation, EvaluationOptions, Report, Row};
use serde_json::{Value, json};
use tempfile::TempDir;

use self::check::{check_json, check_pictures};
use crate::support::{
    BUNDLED, bundled, edited_model, failed_with_one_line, load, objects, path, program, run,
    run_with_input, stderr, stdout, succeeded,
};
use test_support::reading::check_harmless;
use test_support::{Dice, golden, list, numbers};

const LABELS: [&str; 7] =
    ["anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"];

/// Returns texts of the goldens with random labels, none of which is disgust.
fn rows() -> Vec<(String, usize)> {
    let goldens = golden("bundled.json");
    let texts = list(&goldens["cases"]).iter().map(|case| case["text"].as_str().unwrap());
    let texts = texts.filter(|text| text.len() < 200 && !text.contains(['\r', '\n', '\t']));
    let mut dice = Dice(3);
    let mut label = || match dice.below(7) {
        1 => 4,
        label => label,
    };
    texts.map(|text| (text.to_owned(), label())).collect()
}

fn report(
    classifier: &Classifier,
    rows: &[(String, Vec<usize>)],
    options: &EvaluationOptions,
) -> Report {
    let (labels, kind) = (classifier.labels(), classifier.problem_type());
    let mut evaluation = Evaluation::new(labels, kind, options).unwrap();
    let texts: Vec<&str> = rows.iter().map(|(text, _)| text.as_str()).collect();
    let found = classifier.classify_batch(&texts).unwrap();
    for (number, ((text, truth), found)) in (1..).zip(rows.iter().zip(found)) {
        let tokens = classifier.tokenizer().unwrap().encode(text).unwrap().ids.len() + 2;
        assert_eq!(found.tokens(), tokens);
        let row = Row::new(truth, found.scores()).text(text).tokens(tokens).number(number);
        evaluation.push(&row).unwrap();
    }
    evaluation.report().unwrap()
}

/// Writes tab-separated values without a header.
fn write(folder: &TempDir, name: &str, rows: &[(String, impl AsRef<str>)]) -> PathBuf {
    let file = folder.path().join(name);
    let lines = rows.iter().map(|(text, label)| format!("{text}\t{}\n", label.as_ref()));
    fs::write(&file, lines.collect::<String>()).unwrap();
    file
}

fn evaluate(file: &Path, options: &[&str]) -> std::process::Output {
    run(&[&["evaluate", file.to_str().unwrap()], options].concat())
}

#[test]
fn json_text_and_page_match_the_library() {
    let folder = tempfile::tempdir().unwrap();
    let rows = rows();
    assert!(rows.len() > 100);
    let named: Vec<_> = rows.iter().map(|(text, id)| (text.clone(), LABELS[*id])).collect();
    let file = write(&folder, "data.tsv", &named);
    let page = folder.path().join("report.html");
    let options = ["--no-header", "--digits", "4", "--report", page.to_str().unwrap()];
    let others = ["--resamples", "100", "--seed", "3", "--bins", "10", "--mistakes", "7"];
    let options = [&options[..], &others].concat();
    let output = evaluate(&file, &[&options[..], &["--json", "--top", "4"]].concat());
    let json = objects(succeeded(&output)).pop().unwrap();
    let settings = EvaluationOptions::default().resamples(100).seed(3).bins(10).mistakes(7);
    let sets: Vec<_> = rows.into_iter().map(|(text, id)| (text, vec![id])).collect();
    let report = report(&bundled(), &sets, &settings);
    check_json(&json, &report);
    assert_eq!(json["top_k"].as_object().unwrap().len(), 4);
    assert_eq!(json["zero_division"]["recall"], json!(["disgust"]));
    check_pictures(&fs::read_to_string(&page).unwrap(), &json);

    let output = evaluate(&file, &options);
    let text = succeeded(&output);
    let Estimate { value, low, high, .. } = report.macro_f1();
    for part in [
        format!("{report:.4}"),
        "recall counts as 0.0000 (no row has the label): disgust\n".to_owned(),
        format!("macro-F1           {value:.4} ({low:.4} to {high:.4})\n"),
        format!("top-2 accuracy     {:.4}\n", report.top_k_accuracy(2).unwrap()),
        format!("log loss           {:.4}\n", report.log_loss()),
        format!("{:.4} (10 bins)\n", report.calibration().expected_error()),
        format!("row {}: ", report.mistakes()[6].row),
    ] {
        assert!(text.contains(&part), "{part}\n{text}");
    }
    assert!(text.contains(" rows/s on cpu"));
}

/// Needs the data set, which is not part of the project.
#[test]
fn goemotions_matches_scikit_learn() {
    let Some(folder) = std::env::var_os("GOEMOTIONS") else {
        println!("skipped: GOEMOTIONS is not set to the folder of the data set");
        return;
    };
    let folder = Path::new(&folder);
    let names = folder.join("labels.txt");
    let options = ["--no-header", "--label-names", names.to_str().unwrap(), "--skip-multi"];
    let options = [&options[..], &["--map", "joy=happiness", "--digits", "2"]].concat();
    let file = folder.join("dev.tsv");
    let output = evaluate(&file, &options);
    let text = succeeded(&output);
    let json = evaluate(&file, &[&options[..], &["--json"]].concat());
    let json = objects(succeeded(&json)).pop().unwrap();
    assert_eq!(json["skipped"]["multi"], 480);
    let goldens = golden("evaluate.json");
    let case = &goldens["cases"][0];
    assert!(text.contains(case["tables"]["2"].as_str().unwrap()), "{text}");
    assert_eq!(json["confusion"], case["confusion"]);
    let close = |found: &Value, expected: &Value, tolerance: f64| {
        let [found, expected] = [found, expected].map(|value| value.as_f64().unwrap());
        assert!((found - expected).abs() <= tolerance, "{found} {expected}");
    };
    close(&json["accuracy"], &case["accuracy"], 1e-12);
    close(&json["macro_f1"], &case["averages"]["macro"][2], 1e-12);
    // The golden's probabilities are rounded to five decimals.
    close(&json["log_loss"], &case["log_loss"], 1e-4);
    close(&json["calibration"]["expected_error"], &case["calibration"]["expected_error"], 1e-3);
    for (k, share) in (1..=3).zip(numbers(&case["top_k"])) {
        close(&json["top_k"][k.to_string()], &json!(share), 3e-4);
    }
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/evaluation.md");
    let guide = fs::read_to_string(guide).unwrap();
    let figures = text
        .lines()
        .filter(|line| !line.is_empty() && !line.contains("rows/s") && !line.starts_with("data "));
    let shown: Vec<&str> = guide.lines().collect();
    for line in figures.skip(3).take_while(|line| !line.starts_with("Most confused")) {
        assert!(shown.contains(&line), "docs/evaluation.md does not have the line {line}");
    }
}

#[test]
fn reads_label_names_and_numbers_from_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let rows =
        [("I love it", "happiness", 3), ("I miss you", "sadness", 5), ("Ugh, no", "anger", 0)];
    let file = |name: &str, content: String| {
        let file = folder.path().join(name);
        fs::write(&file, content).unwrap();
        file
    };
    let join = |line: &dyn Fn((&str, &str, usize)) -> String| rows.map(line).concat();
    let names = file("names.txt", "joy\nrage\nsadness\n".to_owned());
    let number = |name: &str| ["happiness", "anger", "sadness"].iter().position(|of| *of == name);
    let csv = |header: &str| {
        format!("{header}\n{}", join(&|(text, name, _)| format!("\"{text}\",{name}\n")))
    };
    let cases: Vec<(PathBuf, Vec<&str>)> = vec![
        (file("a.csv", csv("text,label")), vec![]),
        (file("b.csv", csv("text,dominant_emotion")), vec![]),
        (
            file("c.csv", csv("review,feeling")),
            vec!["--text-column", "review", "--label-column", "feeling"],
        ),
        (
            file(
                "d.jsonl",
                join(&|(text, _, id)| json!({"label": id, "text": text}).to_string() + "\n"),
            ),
            vec![],
        ),
        (
            file(
                "e.jsonl",
                join(&|(text, name, _)| json!({"label": [name], "text": text}).to_string() + "\n"),
            ),
            vec![],
        ),
        (
            file(
                "f.tsv",
                join(&|(text, name, _)| format!("{}\t{text}\n", name.replace("happiness", "joy"))),
            ),
            vec![
                "--no-header",
                "--text-column",
                "2",
                "--label-column",
                "1",
                "--map",
                "joy=happiness",
            ],
        ),
        (
            file("g.tsv", join(&|(text, name, _)| format!("{text}\t{}\n", number(name).unwrap()))),
            vec![
                "--no-header",
                "--label-names",
                names.to_str().unwrap(),
                "--map",
                "joy=happiness",
                "--map",
                "rage=anger",
            ],
        ),
    ];
    let classifier = bundled();
    let sets = rows.map(|(text, _, id)| (text.to_owned(), vec![id]));
    let report = report(&classifier, &sets, &EvaluationOptions::default());
    for (file, options) in cases {
        println!("{}", file.display());
        let output = evaluate(&file, &[&options[..], &["--json"]].concat());
        check_json(&objects(succeeded(&output)).pop().unwrap(), &report);
    }
    let input = fs::read(folder.path().join("a.csv")).unwrap();
    let output = run_with_input(program(&["evaluate", "-", "--format", "csv", "--json"]), &input);
    check_json(&objects(succeeded(&output)).pop().unwrap(), &report);
    let output = evaluate(&folder.path().join("a.csv"), &["--json", "--limit", "2"]);
    assert_eq!(objects(succeeded(&output))[0]["rows"], 2);
}

#[test]
fn evaluates_multi_label_models() {
    let model = edited_model(|config| config["problem_type"] = "multi_label_classification".into());
    let sets = [("I love it", vec![3, 6]), ("Fine.", vec![]), ("I am so sad", vec![5])];
    let sets = sets.map(|(text, ids)| (text.to_owned(), ids));
    let folder = tempfile::tempdir().unwrap();
    let names = |ids: &[usize]| ids.iter().map(|&id| LABELS[id]).collect::<Vec<_>>();
    let named: Vec<_> =
        sets.iter().map(|(text, ids)| (text.clone(), names(ids).join(","))).collect();
    let table = write(&folder, "data.tsv", &named);
    let lines = folder.path().join("data.jsonl");
    let line = |(text, ids): &(String, Vec<usize>)| json!({ "text": text, "label": names(ids) });
    fs::write(&lines, sets.iter().map(|row| line(row).to_string() + "\n").collect::<String>())
        .unwrap();
    let classifier = load(model.path(), Precision::F32);
    let report = report(&classifier, &sets, &EvaluationOptions::default());
    let page = folder.path().join("report.html");
    for (file, option) in [(&table, "--no-header"), (&lines, "--skip-multi")] {
        let options =
            [option, "--json", "--model", path(&model), "--report", page.to_str().unwrap()];
        let output = evaluate(file, &options);
        let json = objects(succeeded(&output)).pop().unwrap();
        check_json(&json, &report);
        assert_eq!(json["problem_type"], "multi_label_classification");
        assert_eq!(json["skipped"]["multi"], 0);
        assert_eq!(json["confusion"][5][1], json!([0, 1]));
        check_harmless(&fs::read_to_string(&page).unwrap());
    }
    let output = evaluate(&table, &["--no-header", "--model", path(&model)]);
    assert!(succeeded(&output).contains("samples avg"));
    assert!(stdout(&output).contains("subset accuracy"));
}

#[test]
fn reports_unusable_rows() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data.csv");
    let name = file.to_str().unwrap();
    let with = |rows: &str, options: &[&str]| {
        fs::write(&file, format!("text,label\nI love it,happiness\n{rows}")).unwrap();
        evaluate(&file, options)
    };
    let labels = LABELS.join(", ");
    for (rows, reason) in [
        (
            "So,joy\n",
            format!("line 3, row 2: there is no label `joy`; the labels are {labels}: map it with --map 'joy=…'"),
        ),
        (
            "\"a\nb\",sadness\nSo,7\n",
            format!("line 5, row 3: there is no label `7`; the labels are {labels}: map it with --map '7=…'"),
        ),
        (
            "So,\"anger,sadness\"\n",
            "line 3, row 2: 2 labels, but the model predicts one label per text: pass --skip-multi to skip such rows".to_owned(),
        ),
        ("So,\n", "line 3, row 2: no label: pass --skip-unlabeled to skip such rows".to_owned()),
    ] {
        let output = with(rows, &[]);
        assert_eq!(failed_with_one_line(&output, 2), format!("error: {name}, {reason}\n"));
    }
    for flag in ["--skip-unlabeled", "--skip-unlabelled"] {
        let output = with("a,\"anger,fear\"\nb,\nc,sadness\n", &["--skip-multi", flag, "--json"]);
        let json = objects(succeeded(&output)).pop().unwrap();
        assert_eq!(json["rows"], 2);
        assert_eq!(json["skipped"], json!({ "multi": 1, "unlabeled": 1 }));
    }

    // Invalid rows and overlong texts do not affect other rows.
    let long = format!("{},anger\n", "word ".repeat(600));
    let rows = format!("one\n{long}So sad,sadness\n");
    let output = with(&rows, &["--json", "--truncation", "error"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr(&output),
        format!(
            "error: {name}, line 3, row 2: expected 2 columns, found 1\n\
             error: {name}, line 4, row 3: 602 tokens, but the model takes at most 512\n"
        )
    );
    let json = objects(stdout(&output)).pop().unwrap();
    assert_eq!((&json["rows"], &json["failed"]), (&json!(2), &json!(2)));
    let output = with(&long, &["--json"]);
    assert_eq!(objects(succeeded(&output))[0]["truncated"], 1);
}

#[test]
fn usage_errors_exit_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data.csv");
    fs::write(&file, "text,label\nI love it,happiness\n").unwrap();
    let name = file.to_str().unwrap();
    let missing = folder.path().join("missing/report.html");
    let empty = folder.path().join("empty.csv");
    fs::write(&empty, "text,label\n").unwrap();
    let regression = edited_model(|config| config["problem_type"] = "regression".into());
    for (arguments, message) in [
        (vec![name, "--map", "joy=hapiness"], "there is no label `hapiness`; the labels are anger"),
        (vec![name, "--label-column", "emotion"], "there is no column `emotion`"),
        (vec![name, "--label-names", missing.to_str().unwrap()], "cannot read "),
        (vec![name, "--report", missing.to_str().unwrap()], "cannot write "),
        (vec![empty.to_str().unwrap()], "there is nothing to evaluate"),
        (vec![missing.to_str().unwrap(), "--format", "csv"], "cannot read "),
        (vec![name, "--model", path(&regression)], "a regression model has no labels to evaluate"),
    ] {
        let output = run(&[&["evaluate"], &arguments[..]].concat());
        let line = failed_with_one_line(&output, 2);
        assert!(line.contains(message), "{line}");
    }
    for arguments in [
        &["evaluate"][..],
        &["evaluate", name, "--map", "joy"],
        &["evaluate", name, "--bins", "0"],
        &["evaluate", name, "--stride", "4"],
        &["evaluate", name, "--digits", "16"],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
    }
    // A run that fails leaves an existing page unchanged and writes no new one.
    let page = folder.path().join("report.html");
    let options = ["--report", page.to_str().unwrap()];
    evaluate(&empty, &options);
    assert!(!page.exists());
    fs::write(&page, "before").unwrap();
    evaluate(&empty, &options);
    assert_eq!(fs::read_to_string(&page).unwrap(), "before");
    succeeded(&evaluate(&file, &[&options[..], &["--model", &BUNDLED]].concat()));
    assert!(fs::read_to_string(&page).unwrap().starts_with("<!DOCTYPE html>"));
}
