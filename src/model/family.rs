//! Recognition of models of other families and with other heads, so that errors can say what a folder holds.

use serde_json::{Map, Value};

use super::checkpoint::Checkpoint;
use super::config::Config;
use crate::error::CheckpointError;

/// Heads by the suffix of their class in Transformers.
const HEADS: [(&str, &str); 8] = [
    ("ForSequenceClassification", "sequence classification"),
    ("ForTokenClassification", "token classification"),
    ("ForQuestionAnswering", "question answering"),
    ("ForMaskedLM", "masked language modeling"),
    ("ForMultipleChoice", "multiple choice"),
    ("ForCausalLM", "text generation"),
    ("ForPreTraining", "pretraining"),
    ("Model", "an encoder without a head"),
];

/// Returns the first class that `architectures` names.
pub(super) fn architecture(json: &Map<String, Value>) -> Option<String> {
    let name = json.get("architectures")?.get(0)?.as_str()?;
    Some(name.to_owned())
}

/// Describes a class of Transformers, such as `BertForTokenClassification, token classification`.
pub(super) fn describe(class: &str) -> String {
    match HEADS.iter().find(|(suffix, _)| class.ends_with(suffix)) {
        Some((_, head)) => format!("{class}, {head}"),
        None => class.to_owned(),
    }
}

/// Returns an error that says which model the checkpoint holds, if it evidently holds a model other than
/// `DistilBertForSequenceClassification`.
///
/// The tensors decide, since classifiers often keep the `architectures` of the model that they were trained from.
pub(super) fn check(config: &Config, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
    let class = config.architecture.as_deref();
    let has = |prefix: &str| checkpoint.has_prefix(prefix);
    let found = if has("bert.") || has("roberta.") {
        class.map_or_else(|| "a BERT or RoBERTa model".to_owned(), describe)
    } else if has("pre_classifier.") && class != Some("DistilBertForMultipleChoice") {
        return Ok(());
    } else if has("qa_outputs.") {
        describe("DistilBertForQuestionAnswering")
    } else if has("vocab_projector.") || has("vocab_transform.") {
        describe("DistilBertForMaskedLM")
    } else if has("classifier.") {
        match class {
            Some(class) if !class.ends_with("ForSequenceClassification") => describe(class),
            _ => "a model without the layer `pre_classifier`, such as DistilBertForTokenClassification"
                .to_owned(),
        }
    } else if checkpoint.has_encoder_tensor("embeddings.word_embeddings.weight") {
        describe("DistilBertModel")
    } else {
        return Ok(());
    };
    Err(CheckpointError::OtherModel { found })
}
