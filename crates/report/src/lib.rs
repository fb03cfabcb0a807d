//! HTML reports with SVG pictures of [`distilbert`]'s explanations and pruned models, and of [`distilbert_evaluate`]'s
//! evaluations.
//!
//! Reports are self-contained files without scripts; all text is escaped, whatever the texts and labels contain.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod evaluation;
pub mod explanation;
mod page;
pub mod pruning;
pub mod style;
