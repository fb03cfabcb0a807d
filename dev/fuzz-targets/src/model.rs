//! Loading a model of which a file is at fault, and using it.

use std::sync::Arc;

use distilbert::explain::ExplainOptions;
use distilbert::{Classifier, InstructionSet, ModelBytes, Precision, TokenBatch};
use test_support::model_files::{self, Files};

use crate::budget::within;

/// Bytes that any model may take, beyond 16 for each byte of its files: the parser of JSON alone is granted 24 MiB.
pub const CONSTANT: usize = 64 << 20;

/// Texts that a model must accept if it loads.
const TEXTS: [&str; 3] = ["w5 W17 <user>, café w5w6", "", "\u{1F600}\u{0}\u{301} [MASK] 你好"];

const PRECISIONS: [Precision; 3] = [Precision::F32, Precision::F16, Precision::Int8];

/// Returns the files of a model that loads.
pub fn base() -> Files {
    let mut files = model_files::weights().swap_remove(0);
    let [_, tokenizer] = model_files::tokenizers();
    files.extend(tokenizer);
    files.insert("config.json", model_files::text(&model_files::config()));
    files
}

/// Loads a model in a precision that `choice` selects, within the budget of its files, and uses it in every way.
pub fn load(files: Files, choice: u8) {
    let size = files.values().map(|bytes: &Arc<[u8]>| bytes.len()).sum();
    let model = model_files::model_bytes(files);
    let precision = PRECISIONS[usize::from(choice) % PRECISIONS.len()];
    within(size, CONSTANT, || use_model(model, precision));
}

fn use_model(model: ModelBytes, precision: Precision) {
    let builder = Classifier::builder_from(model).precision(precision).threads(1);
    let classifier = match builder.instruction_set(InstructionSet::Portable).build() {
        Ok(classifier) => classifier,
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "several lines: {error}");
            return;
        }
    };
    let batch = classifier.classify_batch(&TEXTS);
    for (index, text) in TEXTS.iter().enumerate() {
        let alone = classifier.classify(text);
        if let (Ok(batch), Ok(alone)) = (&batch, alone) {
            let both = batch[index].logits().iter().zip(alone.logits());
            both.for_each(|(a, b)| assert!(a == b || a.is_nan() && b.is_nan(), "{a} {b}"));
        }
    }
    let _ = classifier.explain(TEXTS[0], &ExplainOptions::default());
    if let Ok(batch) = TokenBatch::from_rows(&[[1, 5, 2]]) {
        let _ = classifier.logits(&batch);
    }
    let _ = format!("{:?}", classifier.info());
}
