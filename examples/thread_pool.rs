//! Shares one Rayon thread pool between a classifier and other work.
//!
//! ```sh
//! cargo run --release --example thread_pool
//! ```

use std::error::Error;
use std::sync::Arc;

use distilbert::Classifier;
use rayon::ThreadPoolBuilder;

fn main() -> Result<(), Box<dyn Error>> {
    let pool = Arc::new(ThreadPoolBuilder::new().num_threads(2).build()?);
    let classifier = Classifier::builder("models/emotion").thread_pool(pool.clone()).build()?;
    println!("computing on {} threads", classifier.info().threads);
    // Calls may come from anywhere, including the pool itself.
    let prediction = pool.install(|| classifier.classify("What a shock!"))?;
    println!("{}", prediction.label());
    Ok(())
}
