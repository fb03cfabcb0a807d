//! The bundled model classifies a text, including the tokenizer.

use distilbert::Classifier;

use test_support::{bundled_model, sets};

#[test]
fn bundled_model_classifies_a_text() {
    for set in sets() {
        let builder = Classifier::builder(bundled_model()).instruction_set(set);
        let prediction = builder.build().unwrap().classify("I am so happy!").unwrap();
        assert_eq!(prediction.label(), "happiness", "on {set}");
    }
}
