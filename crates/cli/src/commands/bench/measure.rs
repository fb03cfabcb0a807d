//! Latency and throughput of one classifier.

use std::time::{Duration, Instant};

use distilbert::{Classifier, Error};

use super::energy::EnergyMeter;

/// Minimum number of runs of a measurement.
const MIN_RUNS: usize = 5;

/// Source of the texts.
const ENGLISH: &str = "I had been looking forward to this for weeks, and when the parcel came at last the box \
    was open and half of it was missing. Nobody answers the phone, my mails come back, and all they say is that \
    they are sorry. My sister laughed until she cried, so we made tea, sat by the window and watched the rain.";

/// Latency of texts classified alone.
pub struct Latency {
    /// Number of tokens of the text.
    pub tokens: usize,
    pub runs: usize,
    pub median: Duration,
    pub p95: Duration,
    pub p99: Duration,
}

/// Throughput of a batch of texts.
pub struct Throughput {
    /// Number of texts.
    pub batch: usize,
    /// Number of tokens of each text.
    pub tokens: usize,
    pub texts_per_second: f64,
    /// Joules per thousand texts, if measured.
    pub joules_per_thousand: Option<f64>,
}

/// Returns a text of `tokens` tokens, special tokens included, or a few more if the last word has several.
pub fn text_of(classifier: &Classifier, tokens: usize) -> Result<String, Error> {
    let tokenizer = classifier.tokenizer()?;
    let wanted = tokens.saturating_sub(tokenizer.special_tokens());
    let mut text = String::new();
    let mut found = 0;
    for word in ENGLISH.split_whitespace().cycle() {
        // A tokenizer without English words may return no tokens.
        if found >= wanted || text.len() > 100 * tokens {
            break;
        }
        text.push_str(word);
        text.push(' ');
        found += tokenizer.encode(word)?.ids.len();
    }
    Ok(text)
}

/// Measures the latency of a text of `tokens` tokens.
pub fn latency(
    classifier: &Classifier,
    tokens: usize,
    duration: Duration,
) -> Result<Latency, Error> {
    let text = text_of(classifier, tokens)?;
    let tokenizer = classifier.tokenizer()?;
    let found = tokenizer.encode(&text)?.ids.len() + tokenizer.special_tokens();
    let limit = classifier.max_tokens();
    let mut times = run(duration, || classifier.classify(&text).map(drop))?;
    times.sort();
    Ok(Latency {
        tokens: found.min(limit),
        runs: times.len(),
        median: percentile(&times, 50),
        p95: percentile(&times, 95),
        p99: percentile(&times, 99),
    })
}

/// Measures the throughput of a batch of texts of `tokens` tokens each.
pub fn throughput(
    classifier: &Classifier,
    batch: usize,
    tokens: usize,
    duration: Duration,
    meter: Option<&EnergyMeter>,
) -> Result<Throughput, Error> {
    let texts = vec![text_of(classifier, tokens)?; batch];
    let read = || meter.and_then(|meter| meter.read().ok());
    let before = read();
    let times = run(duration, || classifier.classify_batch(&texts).map(drop))?;
    let joules =
        meter.zip(before.zip(read())).map(|(meter, (before, after))| meter.joules(&before, &after));
    let seconds: f64 = times.iter().map(Duration::as_secs_f64).sum();
    let count = (times.len() * batch) as f64;
    Ok(Throughput {
        batch,
        tokens,
        texts_per_second: count / seconds,
        joules_per_thousand: joules.map(|joules| joules / count * 1000.0),
    })
}

/// Runs `work` for a while and returns the time of each run, after one run as a warm-up.
fn run(
    duration: Duration,
    mut work: impl FnMut() -> Result<(), Error>,
) -> Result<Vec<Duration>, Error> {
    work()?;
    let mut times = Vec::new();
    let start = Instant::now();
    while times.len() < MIN_RUNS || start.elapsed() < duration {
        let begin = Instant::now();
        work()?;
        times.push(begin.elapsed());
    }
    Ok(times)
}

/// Returns a percentile of sorted times by the nearest-rank method.
fn percentile(times: &[Duration], percent: usize) -> Duration {
    let rank = (times.len() * percent).div_ceil(100).max(1);
    times[rank - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let times: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        let found = [50, 95, 99].map(|percent| percentile(&times, percent).as_millis());
        assert_eq!(found, [100, 190, 198]);
        assert_eq!(percentile(&times[..1], 99).as_millis(), 1);
        assert_eq!(percentile(&times[..5], 99).as_millis(), 5);
    }

    #[test]
    fn first_run_is_not_timed() {
        let mut calls = 0;
        let count = || {
            calls += 1;
            Ok(())
        };
        assert_eq!(run(Duration::ZERO, count).unwrap().len(), MIN_RUNS);
        assert_eq!(calls, MIN_RUNS + 1);
    }
}
