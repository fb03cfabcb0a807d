//! The bundled model is as good as its card says, measured by this engine.
//!
//! Needs GoEmotions, which is not part of the project: set `GOEMOTIONS` to a folder with `dev.tsv`
//! and `labels.txt` of the Ekman grouping.

#![cfg(feature = "text")]

mod support;

use std::path::Path;

use distilbert::{Classifier, Prediction};
use support::bundled_model;

/// Texts with exactly one label, with that label's id.
fn single_label_rows(folder: &Path) -> Vec<(String, usize)> {
    let rows = std::fs::read_to_string(folder.join("dev.tsv")).unwrap();
    let row = |line: &str| {
        let mut fields = line.split('\t');
        let text = fields.next()?.to_owned();
        Some((text, fields.next()?.parse().ok()?))
    };
    rows.lines().filter_map(row).collect()
}

/// Precision, recall, F1 and support of one class.
struct Class {
    precision: f64,
    recall: f64,
    f1: f64,
    support: usize,
}

fn class(id: usize, truth: &[usize], found: &[usize]) -> Class {
    let pairs = || truth.iter().zip(found);
    let count = |of: &dyn Fn(&(&usize, &usize)) -> bool| pairs().filter(|pair| of(pair)).count();
    let hits = count(&|(truth, found)| **truth == id && **found == id) as f64;
    let support = count(&|(truth, _)| **truth == id);
    let claimed = count(&|(_, found)| **found == id).max(1) as f64;
    let (precision, recall) = (hits / claimed, hits / support.max(1) as f64);
    let f1 = 2.0 * precision * recall / (precision + recall).max(f64::MIN_POSITIVE);
    Class { precision, recall, f1, support }
}

#[test]
fn accuracy_and_macro_f1_are_those_of_the_card() {
    let Some(folder) = std::env::var_os("GOEMOTIONS") else {
        println!("skipped: GOEMOTIONS names no folder with the data set");
        return;
    };
    let folder = Path::new(&folder);
    let classifier = Classifier::builder(bundled_model()).build().unwrap();
    let names =
        std::fs::read_to_string(folder.join("labels.txt")).unwrap().replace("joy", "happiness");
    assert!(names.lines().eq(classifier.labels()), "the data set has other labels");

    let rows = single_label_rows(folder);
    assert_eq!(rows.len(), 4946);
    let texts: Vec<&str> = rows.iter().map(|(text, _)| text.as_str()).collect();
    let truth: Vec<usize> = rows.iter().map(|(_, label)| *label).collect();
    let id = |prediction: Prediction| {
        classifier.labels().iter().position(|label| label == prediction.label()).unwrap()
    };
    let found: Vec<usize> =
        classifier.classify_batch(&texts).unwrap().into_iter().map(id).collect();

    let right = truth.iter().zip(&found).filter(|(truth, found)| truth == found).count();
    let accuracy = right as f64 / rows.len() as f64;
    let classes: Vec<Class> =
        (0..classifier.labels().len()).map(|id| class(id, &truth, &found)).collect();
    let macro_f1 = classes.iter().map(|class| class.f1).sum::<f64>() / classes.len() as f64;
    println!("accuracy {accuracy:.4}, macro-F1 {macro_f1:.4}");
    assert!(accuracy >= 0.71 && macro_f1 >= 0.64, "accuracy {accuracy}, macro-F1 {macro_f1}");

    let card = std::fs::read_to_string(bundled_model().join("README.md")).unwrap();
    for figure in [format!("{accuracy:.4}"), format!("{macro_f1:.4}")] {
        assert!(card.contains(&figure), "the card does not say {figure}");
    }
    for (label, class) in classifier.labels().iter().zip(&classes) {
        let Class { precision, recall, f1, support } = class;
        let row = format!("| {label} | {precision:.3} | {recall:.3} | {f1:.3} | {support} |");
        assert!(card.contains(&row), "the card does not have the row {row}");
    }
}
