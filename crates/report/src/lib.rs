//! Reports of [`distilbert`]'s explanations and of [`distilbert_evaluate`]'s evaluations: HTML files with
//! pictures in SVG. They run nothing and load nothing, whatever the texts and labels contain.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod evaluation;
pub mod explanation;
mod page;
