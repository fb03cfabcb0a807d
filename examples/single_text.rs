//! Classifies one text with the bundled model.
//!
//! ```sh
//! cargo run --release --example single_text "I can't believe we won!"
//! ```

use distilbert::Classifier;

fn main() -> Result<(), distilbert::Error> {
    let text = std::env::args().nth(1).unwrap_or_else(|| "I can't believe we won!".to_owned());
    let classifier = Classifier::builder("models/emotion").build()?;
    let prediction = classifier.classify(&text)?;
    println!("{} ({:.1}%)", prediction.label(), 100.0 * prediction.score());
    for (label, score) in prediction.top_k(3) {
        println!("  {label:<10} {score:.3}");
    }
    Ok(())
}
