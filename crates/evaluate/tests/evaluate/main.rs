//! Reports on labelled rows have the figures of scikit-learn, and comparisons those of single texts.
//! `tests/reference/evaluate.py` makes the goldens.

mod faithfulness;
mod metrics;
