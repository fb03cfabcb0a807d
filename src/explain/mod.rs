//! Explanations of predictions: the contribution of each word, and measures of their faithfulness.
//!
//! [`Classifier::explain`] distributes a number, by default the predicted label's logit, over the tokens of a text
//! using a backward pass through the model. Relevances are read at the output of the embedding layer normalization and
//! summed over the tokens of each word. A [`Ledger`] records what the tokens do not account for, so that relevances and
//! ledger add up to the explained number.
//!
//! ```
//! # #[cfg(feature = "text")] {
//! use distilbert::Classifier;
//! use distilbert::explain::ExplainOptions;
//!
//! let classifier = Classifier::builder("models/emotion").build()?;
//! let explanation = classifier.explain("I can't believe we won!", &ExplainOptions::default())?;
//! assert_eq!(explanation.target(), "happiness");
//! for word in explanation.words() {
//!     println!("{:+.2} {}", word.relevance, word.text);
//! }
//! assert!(explanation.unexplained().abs() < 1e-4);
//! # }
//! # Ok::<(), distilbert::Error>(())
//! ```
//!
//! # Limits of explanations
//!
//! Relevance is not causation: it distributes a number within the model and need not match what the model would
//! predict if a word were removed. [`Classifier::perturb`], [`Classifier::occlusion`] and [`Classifier::faithfulness`] measure
//! that for one text, and the crate `distilbert-evaluate` over many texts.
//!
//! [`Method::Lrp`] treats attention probabilities as constants. A word that acts through queries and keys, such as a
//! negation that turns attention to other words, gets no credit for it; [`Method::AttnLrp`] and the gradient methods
//! count it.
//!
//! Layer-wise relevance propagation ([`Method::Lrp`], [`Method::AttnLrp`]) is reported to be covered by a patent in
//! some countries. Check before commercial use; [`Method::GradientXInput`] and [`Method::IntegratedGradients`] are the
//! alternatives.

mod attention;
mod explanation;
mod faithfulness;
mod ledger;
mod method;
mod objective;
mod occlusion;
mod options;
mod perturb;
mod relevance;
mod row;
#[cfg(feature = "samples")]
#[doc(hidden)]
pub mod sample;
mod variants;
#[cfg(feature = "text")]
mod words;

pub use self::attention::AttentionWeights;
pub use self::explanation::{Explanation, Token, Word};
pub use self::faithfulness::Faithfulness;
pub use self::ledger::Ledger;
pub use self::method::Method;
pub use self::objective::{Objective, Target};
pub use self::options::ExplainOptions;
pub use self::perturb::{Curve, Order, PerturbOptions, Point};
pub use self::variants::Replacement;
#[cfg(doc)]
use crate::Classifier;
