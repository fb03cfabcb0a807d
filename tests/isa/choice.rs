//! The library chooses the expected instruction set.

use distilbert::{Classifier, InstructionSet, TokenBatch};
use tempfile::TempDir;

use test_support::expected_set;
use test_support::generator::GeneratedModel;

#[test]
fn chooses_the_expected_instruction_set() {
    assert!(std::env::var_os("DISTILBERT_ISA").is_none(), "DISTILBERT_ISA must not be set");
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
