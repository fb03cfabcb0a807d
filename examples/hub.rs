//! Classifies a text with a model from the Hugging Face Hub. Needs network access the first time.
//!
//! ```sh
//! cargo run --release --features hub --example hub -- org/name "Nice."
//! ```

use distilbert::Classifier;
use distilbert::hub::HubOptions;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, text] = arguments.as_slice() else {
        return Err("expected the name of a model and a text".into());
    };
    let options = HubOptions::default().on_progress(|progress| {
        if progress.total == Some(progress.received) {
            eprintln!("{}: {} bytes", progress.file, progress.received);
        }
    });
    let classifier = Classifier::from_pretrained_with(model, &options)?.build()?;
    let prediction = classifier.classify(text)?;
    println!("{} ({:.1}%)", prediction.label(), 100.0 * prediction.score());
    Ok(())
}
