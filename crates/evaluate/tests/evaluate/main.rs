//! Metrics against goldens of scikit-learn, which `tests/reference/evaluate.py` writes, and comparisons of explanation
//! methods against single texts.

mod cascade;
mod faithfulness;
mod metrics;
