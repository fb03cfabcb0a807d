//! Shows which words led to a prediction.
//!
//! ```sh
//! cargo run --release --example explain "I can't believe we won!"
//! ```

use distilbert::Classifier;
use distilbert::explain::ExplainOptions;

fn main() -> Result<(), distilbert::Error> {
    let text = std::env::args().nth(1).unwrap_or_else(|| "I can't believe we won!".to_owned());
    let classifier = Classifier::builder("models/emotion").build()?;
    let explanation = classifier.explain(&text, &ExplainOptions::default())?;
    println!("{}", explanation.target());
    for word in explanation.words() {
        println!("  {:+.3}  {}", word.relevance, word.text);
    }
    Ok(())
}
