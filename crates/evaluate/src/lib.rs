//! How good a model is: what it says of labelled rows, held against their true labels.
//!
//! An [`Evaluation`] takes rows one after the other: true labels, and a probability for each label. Its
//! [`Report`] has the table of scikit-learn's `classification_report`, the confusion matrix, top-k accuracy,
//! log loss, calibration, bootstrap intervals, and what an analysis of errors starts from. An [`Agreement`] holds
//! two models against each other.
//!
//! ```
//! use distilbert::ProblemType;
//! use distilbert_evaluate::{Evaluate, Evaluation, Row};
//!
//! let labels = ["no", "yes"].map(str::to_owned);
//! let kind = ProblemType::SingleLabelClassification;
//! let mut evaluation = Evaluation::new(&labels, kind, &Evaluate::default())?;
//! for (truth, scores) in [(1, [0.2, 0.8]), (0, [0.6, 0.4]), (0, [0.1, 0.9])] {
//!     evaluation.push(&Row::new(&[truth], &scores))?;
//! }
//! let report = evaluation.report()?;
//! assert_eq!(report.accuracy().value, 2.0 / 3.0);
//! assert_eq!(report.classes()[1].scores.recall, 1.0);
//! // As scikit-learn prints it; `{report:.4}` has four digits.
//! assert!(report.to_string().contains("\n         yes       0.50      1.00      0.67         1\n"));
//! # Ok::<(), distilbert_evaluate::Error>(())
//! ```
//!
//! Rows of texts, through a model:
//!
//! ```
//! # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
//! use distilbert::Classifier;
//! use distilbert_evaluate::{Evaluate, Evaluation, Row};
//!
//! let classifier = Classifier::builder("models/emotion").build()?;
//! let (labels, kind) = (classifier.labels(), classifier.problem_type());
//! let mut evaluation = Evaluation::new(labels, kind, &Evaluate::default())?;
//! let texts = ["I miss you so much.", "What a shock!"];
//! for ((text, truth), found) in texts.iter().zip([5, 6]).zip(classifier.classify_batch(&texts)?) {
//!     evaluation.push(&Row::new(&[truth], found.scores()).text(text).tokens(found.tokens()))?;
//! }
//! assert_eq!(evaluation.report()?.accuracy().value, 1.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

mod agreement;
mod bootstrap;
mod calibration;
mod comparison;
mod decisions;
mod error;
mod evaluation;
mod mistakes;
mod report;
mod scores;
mod table;

pub use self::agreement::{Agreement, Pair};
pub use self::bootstrap::Estimate;
pub use self::calibration::{Bin, Calibration};
pub use self::comparison::{CompareMethods, MethodComparison, Ranking, compare_methods};
pub use self::error::{Error, Result};
pub use self::evaluation::{Evaluate, Evaluation, Row};
pub use self::mistakes::{ConfusedPair, Length, Mistake};
pub use self::report::{Class, Confusion, Report};
pub use self::scores::{Average, Scores};
