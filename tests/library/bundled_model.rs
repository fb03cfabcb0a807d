//! The bundled models have the accuracy that their cards and the guides state.
//!
//! Requires [GoEmotions](test_support::goemotions).

#![cfg(feature = "text")]

use std::path::PathBuf;
use std::sync::OnceLock;

use distilbert::{Classifier, Precision, Prediction};
use test_support::{bundled_model, goemotions, precisions, root};

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

/// Metrics of a precision, and its agreement with `f32`.
struct Quality {
    accuracy: f64,
    macro_f1: f64,
    classes: Vec<Class>,
    agreement: f64,
}

impl Quality {
    /// Returns the start of a row of the pages' tables.
    fn row(&self, name: &str) -> String {
        let [accuracy, macro_f1, agreement] =
            [self.accuracy, self.macro_f1, self.agreement].map(|share| 100.0 * share);
        format!("| {name} | {accuracy:.2} | {macro_f1:.2} | {agreement:.2} |")
    }
}

/// Development rows with one label, and their labels in `f32`.
struct Goemotions {
    texts: Vec<String>,
    truth: Vec<usize>,
    labels: Vec<String>,
    predictions: Vec<Prediction>,
}

impl Goemotions {
    /// Loads the data set once. Returns `None` if it is not available.
    fn get() -> Option<&'static Self> {
        static DATA: OnceLock<Option<Goemotions>> = OnceLock::new();
        DATA.get_or_init(Self::load).as_ref()
    }

    fn load() -> Option<Self> {
        let folder = goemotions::folder()?;
        let classifier = classifier(Precision::F32);
        let names =
            std::fs::read_to_string(folder.join("labels.txt")).unwrap().replace("joy", "happiness");
        assert!(
            names.lines().eq(classifier.labels()),
            "the labels differ from those of the data set"
        );
        let (texts, truth): (Vec<_>, Vec<_>) =
            goemotions::single_label_rows(&folder, "dev.tsv").into_iter().unzip();
        assert_eq!(texts.len(), 4946);
        let predictions = classifier.classify_batch(&texts).unwrap();
        Some(Self { texts, truth, labels: classifier.labels().to_vec(), predictions })
    }

    fn label(&self, prediction: &Prediction) -> usize {
        self.labels.iter().position(|label| label == prediction.label()).unwrap()
    }

    fn quality(&self, predictions: &[Prediction]) -> Quality {
        let found: Vec<usize> = predictions.iter().map(|found| self.label(found)).collect();
        let share = |expected: &[usize]| {
            let same = expected.iter().zip(&found).filter(|(expected, found)| expected == found);
            same.count() as f64 / found.len() as f64
        };
        let classes: Vec<Class> =
            (0..self.labels.len()).map(|id| class(id, &self.truth, &found)).collect();
        let macro_f1 = classes.iter().map(|class| class.f1).sum::<f64>() / classes.len() as f64;
        let in_f32: Vec<usize> = self.predictions.iter().map(|found| self.label(found)).collect();
        Quality { accuracy: share(&self.truth), macro_f1, classes, agreement: share(&in_f32) }
    }
}

fn classifier(precision: Precision) -> Classifier {
    Classifier::builder(bundled_model()).precision(precision).build().unwrap()
}

#[test]
fn accuracy_and_macro_f1_match_the_model_card() {
    let Some(data) = Goemotions::get() else { return };
    let card = std::fs::read_to_string(bundled_model().join("README.md")).unwrap();
    let quality = data.quality(&data.predictions);
    let Quality { accuracy, macro_f1, .. } = quality;
    println!("accuracy {accuracy:.4}, macro-F1 {macro_f1:.4}");
    assert!(accuracy >= 0.71 && macro_f1 >= 0.64, "accuracy {accuracy}, macro-F1 {macro_f1}");
    for figure in [format!("{accuracy:.4}"), format!("{macro_f1:.4}")] {
        assert!(card.contains(&figure), "the model card lacks {figure}");
    }
    for (label, class) in data.labels.iter().zip(&quality.classes) {
        let Class { precision, recall, f1, support } = class;
        let row = format!("| {label} | {precision:.3} | {recall:.3} | {f1:.3} | {support} |");
        assert!(card.contains(&row), "the model card lacks the row {row}");
    }
}

fn small_model() -> PathBuf {
    root().join("models/emotion-small")
}

#[test]
fn small_model_loads_and_classifies() {
    let classifier = Classifier::builder(small_model()).build().unwrap();
    assert_eq!(classifier.info().precision, Precision::Int8);
    assert!(classifier.info().checkpoint_bytes < 20_000_000);
    for (text, label) in [("Thank you so much!", "happiness"), ("I am so scared.", "fear")] {
        assert_eq!(classifier.classify(text).unwrap().label(), label, "{text}");
    }
}

#[test]
fn accuracy_of_the_small_model_matches_its_card() {
    let Some(data) = Goemotions::get() else { return };
    let classifier = Classifier::builder(small_model()).build().unwrap();
    let found = data.quality(&classifier.classify_batch(&data.texts).unwrap());
    let row = found.row("this model");
    println!("{row}");
    let card = std::fs::read_to_string(small_model().join("README.md")).unwrap();
    assert!(card.contains(&row), "the model card lacks {row}");
}

/// Pages with a table of the precisions. Its rows begin with accuracy, macro-F1 and agreement with `f32`.
const PAGES: [&str; 3] = ["README.md", "docs/evaluation.md", "models/emotion/README.md"];

#[test]
fn accuracy_in_every_precision_matches_the_pages() {
    let Some(data) = Goemotions::get() else { return };
    let pages = PAGES.map(|page| (page, std::fs::read_to_string(page).unwrap()));
    let exact = data.quality(&data.predictions);
    let mut missing = Vec::new();
    for precision in precisions() {
        let found = match precision {
            Precision::F32 => data.quality(&data.predictions),
            _ => data.quality(&classifier(precision).classify_batch(&data.texts).unwrap()),
        };
        let row = found.row(&precision.to_string());
        println!("{row}");
        check(precision, &found, &exact);
        if precision == Precision::Bf16 {
            // Results differ among the instructions for bf16.
            continue;
        }
        let lacking = pages.iter().filter(|(_, text)| !text.contains(&row));
        missing.extend(lacking.map(|(page, _)| format!("{page} lacks {row}")));
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// Checks what a precision promises.
fn check(precision: Precision, found: &Quality, exact: &Quality) {
    match precision {
        Precision::Int8 => {
            assert!(found.agreement >= 0.99, "only {} of labels agree", found.agreement);
            assert!((found.accuracy - exact.accuracy).abs() <= 0.002, "{}", found.accuracy);
            assert!((found.macro_f1 - exact.macro_f1).abs() <= 0.005, "{}", found.macro_f1);
        }
        Precision::Bf16 => {
            assert!(found.agreement >= 0.998, "only {} of labels agree", found.agreement);
        }
        Precision::Cascade { .. } => {
            assert!(found.agreement >= 0.999, "only {} of labels agree", found.agreement);
        }
        // The checkpoint stores f16, so nothing is lost.
        _ => assert_eq!(found.agreement, 1.0),
    }
}

/// Joins texts until they have 256 to 512 tokens, from short to long.
fn long_texts(data: &Goemotions) -> Vec<String> {
    const COUNT: usize = 200;
    const SPECIAL: usize = 2;
    let mut parts = data.texts.iter().zip(&data.predictions);
    let of_length = |least: usize| {
        let (mut text, mut tokens) = (String::new(), SPECIAL);
        while tokens < least {
            let (part, prediction) = parts.next().unwrap();
            // A part that would not fit is left out.
            if tokens + prediction.tokens() - SPECIAL <= 512 {
                text.push_str(part);
                text.push(' ');
                tokens += prediction.tokens() - SPECIAL;
            }
        }
        text
    };
    (0..COUNT).map(|index| 256 + index * 240 / COUNT).map(of_length).collect()
}

#[test]
fn labels_of_long_texts_agree_in_int8() {
    let Some(data) = Goemotions::get() else { return };
    let texts = long_texts(data);
    let [exact, found] = [Precision::F32, Precision::Int8]
        .map(|precision| classifier(precision).classify_batch(&texts).unwrap());
    assert!(exact.iter().all(|text| (256..=512).contains(&text.tokens()) && !text.truncated()));
    let same = exact.iter().zip(&found).filter(|(exact, found)| exact.label() == found.label());
    let agreement = 100.0 * same.count() as f64 / texts.len() as f64;
    println!("{agreement:.1}% of {} long texts", texts.len());
    assert!(agreement >= 98.5, "only {agreement}% of labels agree");
    let guide = std::fs::read_to_string("docs/evaluation.md").unwrap();
    let guide = guide.replace('\n', " ");
    assert!(guide.contains(&format!("the same label on {agreement:.1}%")), "{agreement:.1}%");
}
