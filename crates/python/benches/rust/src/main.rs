//! Times calls of the library on request: each line of standard input names how many texts and calls; the answer is the
//! median of the calls in seconds.

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::time::Instant;

use distilbert::Classifier;

const TEXT: &str = "I can't believe that we really won this game today!!";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |name: &str| arguments.next().ok_or(format!("missing argument: {name}"));
    let classifier = Classifier::builder(next("model")?)
        .precision(next("precision")?.parse()?)
        .threads(next("threads")?.parse()?)
        .build()?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let (texts, calls) = line.split_once(' ').ok_or("expected: TEXTS CALLS")?;
        let texts: usize = texts.parse()?;
        let list: Vec<_> = (0..texts).map(|number| format!("{TEXT} {number}")).collect();
        let mut seconds = Vec::new();
        for _ in 0..calls.parse()? {
            let start = Instant::now();
            if texts == 1 {
                drop(classifier.classify(TEXT)?);
            } else {
                drop(classifier.classify_batch(&list)?);
            }
            seconds.push(start.elapsed().as_secs_f64());
        }
        seconds.sort_by(f64::total_cmp);
        println!("{}", seconds.get(seconds.len() / 2).ok_or("expected at least one call")?);
        io::stdout().flush()?;
    }
    Ok(())
}
