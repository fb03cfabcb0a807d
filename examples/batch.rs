//! Classifies the lines of standard input in batches.
//!
//! A batch is packed without padding, so texts of different lengths cost no more together than alone.
//!
//! ```sh
//! printf 'So sad.\nWhat?!\n' | cargo run --release --example batch
//! ```

use std::error::Error;
use std::io::{self, BufRead};

use distilbert::Classifier;

const BATCH: usize = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let classifier = Classifier::builder("models/emotion").build()?;
    let lines: Vec<String> = io::stdin().lock().lines().collect::<Result<_, _>>()?;
    for texts in lines.chunks(BATCH) {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        for (text, prediction) in texts.iter().zip(classifier.classify_batch(&texts)?) {
            println!("{}\t{text}", prediction.label());
        }
    }
    Ok(())
}
