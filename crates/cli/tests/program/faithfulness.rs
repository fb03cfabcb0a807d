//! `distilbert faithfulness`, compared with the library.

use std::path::{Path, PathBuf};

use distilbert::explain::{Faithfulness, Method, Objective, Replacement};
use distilbert_evaluate::{ComparisonOptions, Estimate, Ranking, compare_methods};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{bundled, failed_with_one_line, objects, run, stderr, stdout, succeeded};

const INTEGRATED: Method = Method::IntegratedGradients { steps: 4 };

type Measure<T> = (&'static str, fn(&Faithfulness<T>) -> T);

fn measures<T: Copy>() -> [Measure<T>; 5] {
    [
        ("auac", |found| found.auac),
        ("most_relevant_first", |found| found.most_relevant_first),
        ("au_mse", |found| found.au_mse),
        ("comprehensiveness", |found| found.comprehensiveness),
        ("sufficiency", |found| found.sufficiency),
    ]
}

const TEXTS: [&str; 5] = [
    "I can't believe we won!",
    "no",
    "I miss him so much, it hurts.",
    "What a shock that was",
    "\"This is disgusting",
];

/// Writes a table to a temporary folder.
fn file(content: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("data.tsv");
    std::fs::write(&path, content).unwrap();
    (folder, path)
}

fn faithfulness(path: &Path, options: &[&str]) -> std::process::Output {
    run(&[&["faithfulness", path.to_str().unwrap(), "--threads", "2"], options].concat())
}

fn numbered() -> String {
    let rows = TEXTS.iter().enumerate().map(|(id, text)| format!("{id}\t{text}\r\n"));
    format!("\u{feff}id\ttext\r\n{}", rows.collect::<String>())
}

fn estimate(found: &Value) -> [f64; 3] {
    ["value", "low", "high"].map(|name| found[name].as_f64().unwrap())
}

#[test]
fn json_matches_the_library() {
    let (_folder, path) = file(numbered());
    let methods = "--methods=lrp,attn-lrp,gradient-x-input,integrated-gradients,rollout,random";
    let settings = "--steps 4 --objective probability --replacement unk --random-orders 3 --seed 9 \
        --resamples 50 --against rollout --json";
    let settings: Vec<&str> = [methods].into_iter().chain(settings.split(' ')).collect();
    let settings: Vec<&str> = settings.into_iter().filter(|part| !part.is_empty()).collect();
    let output = faithfulness(&path, &settings);
    let [object] = &objects(succeeded(&output))[..] else { panic!("one object is expected") };

    let methods = [Method::Lrp, Method::AttnLrp, Method::GradientXInput, INTEGRATED];
    let baselines = [Ranking::Rollout, Ranking::Random];
    let options = ComparisonOptions::default()
        .rankings(methods.map(Ranking::Method).into_iter().chain(baselines))
        .objective(Objective::Probability)
        .replacement(Replacement::Unk)
        .random_orders(3)
        .seed(9)
        .resamples(50);
    let expected = compare_methods(&bundled(), TEXTS, &options).unwrap();
    let settings = serde_json::json!({
        "data": path.to_str().unwrap(), "precision": "f32", "texts": 4, "truncated": 0,
        "skipped": { "without_words": 0, "of_one_word": 1 }, "objective": "probability",
        "replacement": "unk", "random_orders": 3, "steps": 4, "seed": 9, "resamples": 50,
        "confidence": 0.95, "against": "rollout",
    });
    for (name, value) in settings.as_object().unwrap() {
        assert_eq!(&object[name], value, "{name}");
    }
    let found = object["methods"].as_array().unwrap();
    assert_eq!(found.len(), 6);
    for (found, (ranking, means)) in found.iter().zip(expected.means()) {
        assert_eq!(found["method"], ranking.name());
        let difference = expected.difference(ranking, Ranking::Rollout).unwrap();
        for (name, of) in measures::<Estimate>() {
            for (found, of) in [(found, of(&means)), (&found["difference"], of(&difference))] {
                // Reading JSON may change the last bit.
                for (found, of) in
                    estimate(&found[name]).into_iter().zip([of.value, of.low, of.high])
                {
                    assert!((found - of).abs() <= 1e-15 * of.abs(), "{name}: {found}, {of}");
                }
            }
        }
    }
}

#[test]
fn text_has_settings_and_a_row_per_method() {
    let (_folder, path) = file(numbered());
    let options = ["--methods", "lrp,random", "--resamples", "60", "--limit", "4"];
    let output = faithfulness(&path, &options);
    let table = succeeded(&output);
    for setting in ["3, 1 of one word skipped", "pad", "60 resamples", "logit", "10 per text"] {
        assert!(table.contains(setting), "{setting}: {table}");
    }
    let options = ComparisonOptions::default().resamples(60);
    let options = options.rankings([Method::Lrp.into(), Ranking::Random]);
    let expected = compare_methods(&bundled(), &TEXTS[..4], &options).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    for (ranking, means) in expected.means() {
        let at = lines.iter().rposition(|line| line.starts_with(ranking.name())).unwrap();
        let values = measures().map(|(_, of)| format!("{:.3}", of(&means).value));
        let cells: Vec<&str> = lines[at].split_whitespace().collect();
        assert_eq!(cells[1..], values);
        let interval = |of: Estimate| format!("{:.3}..{:.3}", of.low, of.high);
        let intervals = measures().map(|(_, of)| interval(of(&means)));
        let intervals = intervals.map(|text| text.replace("-0.000", "0.000"));
        assert_eq!(lines[at + 1].split_whitespace().collect::<Vec<_>>(), intervals);
    }
    // The method with steps was not requested.
    assert!(!table.contains("steps") && !table.contains("minus"), "{table}");
}

#[test]
fn against_adds_a_table_of_differences() {
    let (_folder, path) = file(numbered());
    let options = ["--methods", "lrp,random", "--against", "random", "--resamples", "9"];
    let output = faithfulness(&path, &options);
    let table = succeeded(&output);
    let (means, differences) = table.split_once("\nminus random").unwrap();
    assert!(means.contains("\nrandom ") && means.contains("\nlrp "));
    assert!(differences.contains("\nlrp ") && !differences.contains("\nrandom "));
    assert!(differences.contains(" +") || differences.contains(" -"));
}

#[test]
fn errors_are_one_line() {
    let cases: [(&[u8], &[&str], &[&str]); 8] = [
        (b"id\tbody\n1\tone two\n", &["--text-column", "text"], &["line 1", "`text`", "body"]),
        (
            b"one two\t1\nthree four\n",
            &["--no-header"],
            &["line 2", "row 2", "expected 2 columns, found 1"],
        ),
        (b"one two\t1\n", &["--no-header", "--text-column", "3"], &["line 1", "column 3"]),
        (b"one two\t1\n", &["--text-column", "2"], &["line 1", "--no-header"]),
        (b"one two\nthr\xeee four\n", &["--no-header"], &["line 2", "UTF-8"]),
        (b"", &[], &["no texts"]),
        (b"no\nyes\n", &["--no-header"], &["2 texts", "two or more words"]),
        (b"we won\n", &["--no-header", "--precision", "int8"], &["int8"]),
    ];
    for (content, options, parts) in cases {
        let (_folder, path) = file(content);
        let output = faithfulness(&path, options);
        let message = failed_with_one_line(&output, 2);
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
    let output = run(&["faithfulness", "no/such.tsv"]);
    assert!(failed_with_one_line(&output, 2).contains("no/such.tsv"));
    let output = run(&["faithfulness", "no/such.tsv", "--model", "no/such/folder"]);
    assert!(failed_with_one_line(&output, 2).contains("no/such"));
}

#[test]
fn usage_errors_exit_with_2() {
    for options in [
        &["--methods", "shap"][..],
        &["--methods", ""],
        &["--steps", "0"],
        &["--methods", "lrp", "--steps", "5"],
        &["--methods", "lrp", "--against", "random"],
        &["--replacement", "zero"],
        &["--resamples", "0"],
        &["--random-orders", "0"],
        &["--limit", "0"],
        &["--text-column", "0"],
    ] {
        let output = run(&[&["faithfulness", "data.tsv"], options].concat());
        assert_eq!(output.status.code(), Some(2), "{options:?}");
        assert_eq!(stdout(&output), "", "{options:?}");
        let message = stderr(&output);
        assert!(message.contains("Usage:") || message.contains("--help"), "{message}");
    }
}

#[test]
fn help_ends_with_an_example() {
    let output = run(&["faithfulness", "--help"]);
    let end = succeeded(&output).rsplit("\n\n").next().unwrap();
    assert!(end.starts_with("Example") && end.contains("\n  distilbert faithfulness "), "{end}");
}
