//! Checks of the JSON output and the HTML page.

use distilbert_evaluate::{Average, Estimate, Report};
use roxmltree::Node;
use serde_json::{Value, json};
use test_support::list;
use test_support::reading::{all, check_harmless, content, length, one, parse};

/// Checks every number of the JSON against the report.
pub fn check_json(json: &Value, report: &Report) {
    let same = |found: &Value, expected: f64| {
        assert!((found.as_f64().unwrap() - expected).abs() < 1e-12, "{found} {expected}");
    };
    assert_eq!(json["rows"], report.rows());
    let intervals = &json["intervals"];
    for (name, Estimate { value, low, high, .. }) in
        [("accuracy", report.accuracy()), ("macro_f1", report.macro_f1())]
    {
        same(&json[name], value);
        same(&intervals[name]["low"], low);
        same(&intervals[name]["high"], high);
    }
    assert_eq!(intervals["resamples"], report.resamples());
    assert_eq!(list(&json["labels"]).len(), report.classes().len());
    for (class, label) in report.classes().iter().zip(list(&json["labels"])) {
        assert_eq!(*label, class.label);
        let found = &json["per_class"][&class.label];
        same(&found["precision"], class.scores.precision);
        same(&found["recall"], class.scores.recall);
        same(&found["f1"], class.scores.f1);
        assert_eq!(found["support"], class.support);
        assert_eq!(found["predicted"], class.predicted);
    }
    let averages = json["averages"].as_object().unwrap();
    for &average in Average::ALL {
        let expected = report.average(average);
        assert_eq!(averages.contains_key(average.name()), expected.is_some());
        if let Some(expected) = expected {
            same(&averages[average.name()]["f1"], expected.f1);
            same(&averages[average.name()]["recall"], expected.recall);
        }
    }
    for (k, share) in json["top_k"].as_object().unwrap() {
        same(share, report.top_k_accuracy(k.parse().unwrap()).unwrap());
    }
    same(&json["log_loss"], report.log_loss());
    same(&json["calibration"]["expected_error"], report.calibration().expected_error());
    let bins = report.calibration().bins();
    assert_eq!(list(&json["calibration"]["bins"]).len(), bins.len());
    for (found, bin) in list(&json["calibration"]["bins"]).iter().zip(bins) {
        assert_eq!(found["count"], bin.count);
        same(&found["high"], bin.high);
        for (name, figure) in [("accuracy", bin.accuracy), ("confidence", bin.confidence)] {
            match figure {
                Some(figure) => same(&found[name], figure),
                None => assert_eq!(found[name], Value::Null),
            }
        }
    }
    let zero = &json["zero_division"];
    assert_eq!(zero["recall"], json!(report.without_support().collect::<Vec<_>>()));
    assert_eq!(zero["precision"], json!(report.never_predicted().collect::<Vec<_>>()));
    let label = |id: usize| report.classes()[id].label.as_str();
    let labels = |ids: &[usize]| json!(ids.iter().map(|&id| label(id)).collect::<Vec<_>>());
    let pairs = report.confused_pairs().iter().map(|pair| {
        json!({ "true": label(pair.truth), "predicted": label(pair.predicted), "rows": pair.rows })
    });
    assert_eq!(json["confused_pairs"], pairs.collect::<Value>());
    let lengths = report
        .lengths()
        .iter()
        .map(|of| json!({ "tokens": [of.from, of.to], "rows": of.rows, "mistakes": of.mistakes }));
    assert_eq!(json["lengths"], lengths.collect::<Value>());
    assert_eq!(list(&json["mistakes"]).len(), report.mistakes().len());
    for (found, mistake) in list(&json["mistakes"]).iter().zip(report.mistakes()) {
        assert_eq!(found["row"], mistake.row);
        assert_eq!(found["text"], mistake.text.clone().unwrap());
        assert_eq!(found["true"], labels(&mistake.truth));
        assert_eq!(found["predicted"], labels(&mistake.predicted));
        assert_eq!(found["confidence"].as_f64().unwrap() as f32, mistake.confidence);
    }
}

/// Checks the charts of a page against the JSON.
pub fn check_pictures(page: &str, json: &Value) {
    check_harmless(page);
    let document = parse(page);
    let matrix = one(document.root(), "matrix");
    let labels = list(&json["labels"]);
    let named = all(matrix, "name").into_iter().map(content).collect::<Vec<_>>();
    assert!(named.iter().zip(labels).all(|(name, label)| label == name));
    let cells = one(matrix, "cells");
    let mut found = vec![vec![0; labels.len()]; labels.len()];
    for path in cells.children().filter(|node| node.tag_name().name() == "path") {
        let place = path.attribute("d").unwrap().replace('M', "").replace(".5h1", "");
        let (x, y) = place.split_once(' ').unwrap();
        let title = content(path);
        let (pair, counts) = title.rsplit_once(": ").unwrap();
        let (count, support) = counts.split_once(" of ").unwrap();
        let (x, y): (usize, usize) = (x.parse().unwrap(), y.parse().unwrap());
        let [truth, predicted] = [y, x].map(|id| labels[id].as_str().unwrap());
        assert_eq!(pair, format!("{truth}, {predicted}"));
        assert_eq!(support, json["per_class"][truth]["support"].to_string());
        found[y][x] = count.parse().unwrap();
    }
    assert_eq!(json!(found), json["confusion"]);
    let written = all(matrix, "count").into_iter().map(content);
    let counts = found.iter().flatten().filter(|count| **count > 0).map(usize::to_string);
    assert!(written.eq(counts));

    let diagram = one(document.root(), "reliability");
    let bars = |class| {
        let bars = all(diagram, class).into_iter().filter(|bar| bar.tag_name().name() == "rect");
        bars.collect::<Vec<Node<'_, '_>>>()
    };
    let bins = list(&json["calibration"]["bins"]).iter().filter(|bin| bin["count"] != 0);
    let bins: Vec<&Value> = bins.collect();
    let (agreed, rows) = (bars("agreed"), bars("rows"));
    assert_eq!([agreed.len(), rows.len()], [bins.len(); 2]);
    for ((bar, rows), bin) in agreed.iter().zip(rows).zip(bins) {
        let figure = |name: &str| bin[name].as_f64().unwrap();
        let height = 200.0 * figure("accuracy").min(figure("confidence"));
        assert!((length(*bar, "height") - height).abs() < 0.11);
        assert!((length(*bar, "x") - 34.0 - 358.0 * figure("low") - 0.5).abs() < 0.11);
        assert_eq!(content(rows), bin["count"].to_string());
    }
    let said = all(document.root(), "said").into_iter().map(content);
    let texts = list(&json["mistakes"]).iter().map(|mistake| mistake["text"].as_str().unwrap());
    assert!(said.zip(texts).all(|(said, text)| said == text.replace('\u{1b}', "␛")));
    let classes = one(document.root(), "classes");
    let figures = classes.descendants().filter(|node| node.tag_name().name() == "td");
    let figures: Vec<String> = figures.map(content).collect();
    for (row, label) in figures.chunks(4).zip(labels) {
        let found = &json["per_class"][label.as_str().unwrap()];
        for (cell, name) in row.iter().zip(["precision", "recall", "f1"]) {
            assert_eq!(*cell, format!("{:.4}", found[name].as_f64().unwrap()));
        }
        assert_eq!(row[3], found["support"].to_string());
    }
}
