//! Computes logits from token ids and an attention mask, for callers with their own tokenizer.
//!
//! Works without the feature `text`:
//!
//! ```sh
//! cargo run --release --no-default-features --example token_ids
//! ```

use distilbert::{Classifier, TokenBatch};

fn main() -> Result<(), distilbert::Error> {
    let classifier = Classifier::builder("models/emotion").build()?;
    // Two rows of four tokens, padded as a tokenizer would: "great" and "terrible!".
    let input_ids = [101, 2307, 102, 0, 101, 6659, 999, 102];
    let attention_mask = [1, 1, 1, 0, 1, 1, 1, 1];
    let batch = TokenBatch::from_padded(&input_ids, &attention_mask, 4)?;
    let logits = classifier.logits(&batch)?;
    for (row, logits) in logits.chunks_exact(classifier.labels().len()).enumerate() {
        println!("row {row}");
        for (label, logit) in classifier.labels().iter().zip(logits) {
            println!("  {label:<10} {logit:+.3}");
        }
    }
    Ok(())
}
