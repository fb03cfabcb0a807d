//! A single-file program: the bundled model is embedded in it and runs in int8.
//!
//! To embed only a quarter as many bytes, first run `distilbert quantize models/emotion-int8` and include the files of
//! that folder.
//!
//! ```sh
//! cargo run --release --example embedded -- "I can't believe we won!"
//! ```

use distilbert::{Classifier, ModelBytes, Precision};

fn main() -> Result<(), distilbert::Error> {
    let files = ModelBytes::new()
        .file("config.json", include_bytes!("../models/emotion/config.json"))
        .file("model.safetensors", include_bytes!("../models/emotion/model.safetensors"))
        .file("tokenizer.json", include_bytes!("../models/emotion/tokenizer.json"))
        .file("tokenizer_config.json", include_bytes!("../models/emotion/tokenizer_config.json"));
    let classifier = Classifier::builder_from(files).precision(Precision::Int8).build()?;
    let text = std::env::args().nth(1).unwrap_or_else(|| "I can't believe we won!".to_owned());
    let prediction = classifier.classify(&text)?;
    println!("{} {:.3}", prediction.label(), prediction.scores()[prediction.index()]);
    Ok(())
}
