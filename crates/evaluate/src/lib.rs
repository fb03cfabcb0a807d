//! Evaluation of [`distilbert`] classifiers: metrics on labeled rows, comparisons of two models, and comparisons of
//! explanation methods.
//!
//! An [`Evaluation`] accumulates labeled rows with a model's scores. Its [`Report`] contains the table of
//! scikit-learn's `classification_report`, the confusion matrix, top-k accuracy, log loss, calibration, bootstrap
//! intervals, and the mistakes to begin an error analysis with. An [`Agreement`] compares the predictions of two
//! models, a [`MarginCurve`] shows the cost and the agreement of a cascade of two precisions for each margin, and
//! [`compare_methods`] compares the faithfulness of explanation methods.
//!
//! ```
//! use distilbert::ProblemType;
//! use distilbert_evaluate::{Evaluation, EvaluationOptions, Row};
//!
//! let labels = ["no", "yes"].map(str::to_owned);
//! let kind = ProblemType::SingleLabelClassification;
//! let mut evaluation = Evaluation::new(&labels, kind, &EvaluationOptions::default())?;
//! for (truth, scores) in [(1, [0.2, 0.8]), (0, [0.6, 0.4]), (0, [0.1, 0.9])] {
//!     evaluation.push(&Row::new(&[truth], &scores))?;
//! }
//! let report = evaluation.report()?;
//! assert_eq!(report.accuracy().value, 2.0 / 3.0);
//! assert_eq!(report.classes()[1].scores.recall, 1.0);
//! // The table that scikit-learn prints; `{report:.4}` has four decimals.
//! assert!(report.to_string().contains("\n         yes       0.50      1.00      0.67         1\n"));
//! # Ok::<(), distilbert_evaluate::Error>(())
//! ```
//!
//! Evaluating a model on texts:
//!
//! ```
//! # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
//! use distilbert::Classifier;
//! use distilbert_evaluate::{Evaluation, EvaluationOptions, Row};
//!
//! let classifier = Classifier::builder("models/emotion").build()?;
//! let (labels, kind) = (classifier.labels(), classifier.problem_type());
//! let mut evaluation = Evaluation::new(labels, kind, &EvaluationOptions::default())?;
//! let texts = ["I miss you so much.", "What a shock!"];
//! for ((text, truth), found) in texts.iter().zip([5, 6]).zip(classifier.classify_batch(&texts)?) {
//!     evaluation.push(&Row::new(&[truth], found.scores()).text(text).tokens(found.tokens()))?;
//! }
//! assert_eq!(evaluation.report()?.accuracy().value, 1.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! With `serde`, options can be serialized and deserialized, and results serialized, with the keys that
//! `distilbert … --json` prints.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod agreement;
mod bootstrap;
mod calibration;
mod comparison;
mod comparison_options;
mod decisions;
mod error;
mod evaluation;
mod margin_curve;
mod mistakes;
mod proportion;
mod ranking;
mod report;
mod scores;
#[cfg(feature = "serde")]
mod serialize;
mod table;

pub use self::agreement::{Agreement, Pair};
pub use self::bootstrap::Estimate;
pub use self::calibration::{Bin, Calibration};
pub use self::comparison::{MethodComparison, compare_methods};
pub use self::comparison_options::ComparisonOptions;
pub use self::error::{Error, Result};
pub use self::evaluation::{Evaluation, EvaluationOptions, Row};
pub use self::margin_curve::{MarginCurve, MarginPoint};
pub use self::mistakes::{ConfusedPair, Length, Mistake};
pub use self::ranking::Ranking;
pub use self::report::{Class, Confusion, Report};
pub use self::scores::{Average, Scores};
