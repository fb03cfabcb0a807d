//! `distilbert compare`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use distilbert::Precision;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    BUNDLED, bundled, copy_model, edited_model, failed_with_one_line, load, objects, path, run,
    stderr, stdout, succeeded,
};
use test_support::{golden, list};

fn texts() -> Vec<String> {
    let goldens = golden("bundled.json");
    let texts = list(&goldens["cases"]).iter().map(|case| case["text"].as_str().unwrap());
    let texts =
        texts.filter(|text| text.len() < 200 && !text.contains(['\r', '\n', '\t', '"', ',']));
    texts.map(str::to_owned).collect()
}

/// Writes a table of texts labeled with the predictions of the bundled model, except for the first `wrong` rows.
fn table(wrong: usize) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("data.csv");
    let classifier = bundled();
    let rows = texts().into_iter().enumerate().map(|(row, text)| {
        let found = classifier.classify(&text).unwrap();
        let ranked = found.top_k(2);
        format!("{text},{}\n", ranked[usize::from(row < wrong)].0)
    });
    fs::write(&file, format!("text,label\n{}", rows.collect::<String>())).unwrap();
    (folder, file)
}

fn compare(file: &Path, options: &[&str]) -> Output {
    run(&[&["compare", file.to_str().unwrap()], options].concat())
}

fn compared(file: &Path, options: &[&str]) -> Value {
    let output = compare(file, &[options, &["--json"]].concat());
    let mut objects = objects(succeeded(&output));
    assert_eq!(objects.len(), 1);
    objects.remove(0)
}

#[test]
fn compares_precisions_row_by_row() {
    let (_folder, file) = table(3);
    let found = compared(&file, &["--differences", "1000"]);
    let texts = texts();
    let int8 = load(Path::new(&*BUNDLED), Precision::Int8);
    let [first, second] = [&bundled(), &int8].map(|model| model.classify_batch(&texts).unwrap());
    let differing: Vec<usize> =
        (0..texts.len()).filter(|&row| first[row].label() != second[row].label()).collect();
    let same = texts.len() - differing.len();
    let differences = |row: usize| {
        let pairs = first[row].logits().iter().zip(second[row].logits());
        pairs.map(|(a, b)| (a - b).abs()).collect::<Vec<f32>>()
    };
    let all: Vec<f32> = (0..texts.len()).flat_map(differences).collect();
    let largest = all.iter().copied().fold(0.0, f32::max);
    let mean = all.iter().copied().map(f64::from).sum::<f64>() / all.len() as f64;
    assert!(largest > 0.0);

    assert_eq!(found["models"][0]["precision"], "f32");
    assert_eq!(found["models"][1]["precision"], "int8");
    assert_eq!(found["models"][1]["folder"], *BUNDLED);
    assert_eq!(found["rows"], texts.len());
    assert_eq!(found["same_label"], same);
    assert_eq!(found["label_agreement"], json!(same as f64 / texts.len() as f64));
    let points = found["cascade"]["points"].as_array().unwrap();
    assert_eq!(points[0]["agreement"]["value"], found["label_agreement"]);
    assert_eq!(points[0]["accuracy"], found["accuracies"][1]);
    for point in points {
        let margin: f32 = point["margin"].to_string().parse().unwrap();
        let again = |row: &usize| second[*row].margin() < margin;
        let count = (0..texts.len()).filter(again).count();
        assert_eq!(point["share"], json!(count as f64 / texts.len() as f64));
        let wrong = differing.iter().filter(|row| !again(row)).count();
        let agreement = json!((texts.len() - wrong) as f64 / texts.len() as f64);
        assert_eq!(point["agreement"]["value"], agreement, "{margin}");
    }
    assert!(found["cascade"]["recommended"]["agreement"]["value"].as_f64().unwrap() >= 0.999);
    // A few texts prove little.
    assert_eq!(found["cascade"]["recommended_with_confidence"], Value::Null);
    assert_eq!(found["largest_logit_difference"].to_string().parse(), Ok(largest));
    let found_mean = found["mean_logit_difference"].as_f64().unwrap();
    assert!((found_mean - mean).abs() < 1e-12, "{found_mean} {mean}");
    // Only three labels differ from the first model's predictions.
    assert_eq!(found["labeled_rows"], texts.len());
    assert_eq!(found["accuracies"][0], json!((texts.len() - 3) as f64 / texts.len() as f64));
    let rows = found["differences"].as_array().unwrap();
    assert_eq!(rows.len(), differing.len());
    for (row, &number) in rows.iter().zip(&differing) {
        assert_eq!(row["row"], number + 1);
        assert_eq!(row["text"], json!(texts[number]));
        let labels = json!([[first[number].label()], [second[number].label()]]);
        assert_eq!(row["labels"], labels);
        assert_eq!(row["scores"][1].to_string().parse(), Ok(second[number].score()));
    }
}

#[test]
fn prints_what_a_cascade_costs_and_gives() {
    let (_folder, file) = table(1);
    let text = succeeded(&compare(
        &file,
        &["--precision", "int8", "--with-precision", "f32", "--limit", "9"],
    ))
    .to_owned();
    for part in [
        "margin    in f32  same label as f32",
        "  1.00  ",
        "recommended: --precision cascade:",
        "more rows are needed",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let options = ["--with-precision", "cascade:1000", "--limit", "9"];
    let found = compared(&file, &options);
    assert_eq!(found["models"][1]["precision"], "cascade:1000");
    assert_eq!((&found["label_agreement"], &found["cascade"]), (&json!(1.0), &Value::Null));
    assert_eq!(found["largest_logit_difference"], 0.0);
}

#[test]
fn compares_models_by_label_names() {
    let (_folder, file) = table(0);
    // Same weights with reversed labels.
    let turned = edited_model(|config| {
        let names = ["surprise", "sadness", "neutral", "happiness", "fear", "disgust", "anger"];
        config["id2label"] =
            names.iter().enumerate().map(|(id, name)| (id.to_string(), json!(name))).collect();
        config["label2id"] =
            names.iter().enumerate().map(|(id, &n)| (n.to_owned(), json!(id))).collect();
    });
    let found = compared(&file, &["--with-model", path(&turned), "--differences", "2"]);
    let happy = bundled();
    // The label in the middle stays the same.
    let same =
        texts().iter().filter(|text| happy.classify(text).unwrap().label() == "happiness").count();
    assert_eq!(found["same_label"], same);
    assert_eq!(found["accuracies"][0], 1.0);
    assert_eq!(found["differences"].as_array().unwrap().len(), 2);
    assert_eq!(found["models"][1]["precision"], "f32");

    let output = compare(&file, &["--with-model", path(&turned), "--differences", "2"]);
    let text = succeeded(&output);
    assert!(text.contains("accuracy") && text.contains("differing rows (first 2):"), "{text}");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[lines.len() - 1].contains(", true label "), "{text}");

    // A copy agrees.
    let copy = TempDir::new().unwrap();
    copy_model(copy.path(), |_| ());
    let output = compare(&file, &["--with-model", path(&copy), "--threads", "1"]);
    let text = succeeded(&output);
    assert!(text.contains("100.00%") && text.contains("0.00e0"), "{text}");
    assert!(!text.contains("differ") || text.matches("differ").count() == 2, "{text}");
}

#[test]
fn labels_are_optional() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("data.jsonl");
    fs::write(&file, "{\"text\":\"We won!\"}\n{\"text\":1,\"label\":\"x\"}\n").unwrap();
    let found = compared(&file, &["--with-precision", "f16"]);
    assert_eq!((&found["rows"], &found["accuracies"]), (&json!(2), &Value::Null));
    let file = folder.path().join("data.tsv");
    fs::write(&file, "We won!\nI hate it\n").unwrap();
    assert_eq!(compared(&file, &["--no-header"])["labeled_rows"], 0);
    let file = folder.path().join("plain.csv");
    fs::write(&file, "id,text\n1,We won!\n2\n").unwrap();
    let output = compare(&file, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("plain.csv, line 3, row 2: expected 2 columns, found 1"));
    assert!(stdout(&output).contains("rows                     1\n"), "{}", stdout(&output));
}

#[cfg(feature = "parquet")]
#[test]
fn reads_parquet() {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int32Array, RecordBatch, StringArray};

    let (folder, _) = table(0);
    let file = folder.path().join("data.parquet");
    let classifier = bundled();
    let texts = texts();
    let labels: Int32Array = texts
        .iter()
        .map(|text| {
            let label = classifier.classify(text).unwrap().label().to_owned();
            classifier.labels().iter().position(|other| *other == label).map(|id| id as i32)
        })
        .collect();
    let columns = |with_label: bool| {
        let texts: ArrayRef = Arc::new(StringArray::from(texts.clone()));
        let columns = [("text", texts), ("label", Arc::new(labels.clone()) as ArrayRef)];
        RecordBatch::try_from_iter(columns.into_iter().take(if with_label { 2 } else { 1 }))
            .unwrap()
    };
    for with_label in [true, false] {
        let rows = columns(with_label);
        let sink = fs::File::create(&file).unwrap();
        let mut writer = parquet::arrow::ArrowWriter::try_new(sink, rows.schema(), None).unwrap();
        writer.write(&rows).unwrap();
        writer.close().unwrap();
        let found = compared(&file, &[]);
        assert_eq!(found["rows"], texts.len());
        assert_eq!(found["labeled_rows"], if with_label { texts.len() } else { 0 });
        if with_label {
            assert_eq!(found["accuracies"][0], 1.0);
        }
    }
}

#[test]
fn rejects_models_and_tables_that_cannot_be_compared() {
    let (_folder, file) = table(0);
    let other = edited_model(|config| {
        config["id2label"]["6"] = json!("shock");
        config["label2id"] = Value::Null;
    });
    let output = compare(&file, &["--with-model", path(&other)]);
    let message = failed_with_one_line(&output, 2);
    assert!(message.contains("different labels") && message.contains("shock"), "{message}");
    let multi = edited_model(|config| config["problem_type"] = json!("multi_label_classification"));
    let output = compare(&file, &["--with-model", path(&multi)]);
    assert!(failed_with_one_line(&output, 2).contains("multi_label_classification"));
    let output = compare(&file, &["--label-column", "mood"]);
    assert!(failed_with_one_line(&output, 2).contains("no column `mood`"));
    let output = compare(&file, &["--with-model", "no/such/folder"]);
    assert!(failed_with_one_line(&output, 2).contains("no/such/folder"));
    let output = compare(Path::new("no/such.csv"), &[]);
    assert!(failed_with_one_line(&output, 2).contains("no/such.csv"));
    fs::write(&file, "text,label\n").unwrap();
    assert!(failed_with_one_line(&compare(&file, &[]), 2).contains("contains no texts"));
    fs::write(&file, "text,label\nfine,joy\n").unwrap();
    let output = compare(&file, &[]);
    assert!(failed_with_one_line(&output, 2).contains("line 2, row 1: there is no label `joy`"));
}
