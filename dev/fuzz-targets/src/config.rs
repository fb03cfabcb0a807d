//! `config.json`, beside weights that fit the original.

use std::sync::LazyLock;

use serde_json::Value;
use test_support::model_files::{self, Files};

use crate::bytes::Bytes;
use crate::json::changed;
use crate::model;

static BASE: LazyLock<Files> = LazyLock::new(model::base);
static CONFIG: LazyLock<Value> = LazyLock::new(model_files::config);

/// Loads a model with a configuration: the input itself, or the original with edits.
pub fn run(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let choice = bytes.byte();
    let config = match choice & 1 {
        0 => bytes.rest().into(),
        _ => model_files::text(&changed(&CONFIG, &mut bytes)),
    };
    let mut files = BASE.clone();
    files.insert("config.json", config);
    model::load(files, choice >> 1);
}
