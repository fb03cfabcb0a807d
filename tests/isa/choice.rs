//! The crate chooses the set that is expected of the processor.

use distilbert::{Classifier, InstructionSet, TokenBatch};
use tempfile::TempDir;

use test_support::expected_set;
use test_support::generator::GeneratedModel;

#[test]
fn the_expected_set_is_chosen_and_classifies() {
    assert!(std::env::var_os("DISTILBERT_ISA").is_none(), "DISTILBERT_ISA takes the choice away");
    let chosen = InstructionSet::choose(None).unwrap();
    println!("chosen: {chosen}");
    if let Some(expected) = expected_set() {
        assert_eq!(chosen, expected);
    }
    let folder = TempDir::new().unwrap();
    GeneratedModel::small().write(folder.path());
    let classifier = Classifier::builder(folder.path()).build().unwrap();
    assert_eq!(classifier.info().instruction_set, chosen);
    let batch = TokenBatch::from_rows(&[vec![1, 50, 60, 2]]).unwrap();
    assert_eq!(classifier.classify_tokens(&batch).unwrap().len(), 1);
}
