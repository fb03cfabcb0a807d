//! Loads a server and prints what happened as one line of JSON.
//!
//! ```text
//! load_driver ADDRESS PATH BODIES FIRST closed CONNECTIONS SECONDS
//! load_driver ADDRESS PATH BODIES FIRST open RATE CONNECTIONS SECONDS
//! ```
//!
//! `BODIES` is a file with one request per line. They are sent in turn, from the line with index `FIRST`.

use std::env;
use std::error::Error;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use hyper::body::Bytes;
use load_driver::{Rate, Target, closed, open};

const USAGE: &str = "usage: load_driver ADDRESS PATH BODIES FIRST (closed CONNECTIONS | open RATE CONNECTIONS) SECONDS";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [address, path, bodies, first, ref kind @ .., seconds] = arguments[..] else {
        return Err(USAGE.into());
    };
    let bodies = fs::read_to_string(bodies)?;
    let bodies: Vec<Bytes> = bodies.lines().map(|line| Bytes::from(line.to_owned())).collect();
    if bodies.is_empty() {
        return Err("there are no requests".into());
    }
    let first: usize = first.parse()?;
    let target = Target::new(address.parse()?, path, bodies);
    let target = Arc::new(Target { sent: AtomicUsize::new(first), ..target });
    let time = Duration::try_from_secs_f64(seconds.parse()?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tally = match *kind {
        ["closed", connections] => runtime.block_on(closed(&target, connections.parse()?, time)),
        ["open", rate, connections] => {
            let (per_second, connections) = (rate.parse()?, connections.parse()?);
            let rate = Rate { per_second, connections, seed: first as u64 };
            runtime.block_on(open(&target, rate, time))
        }
        _ => return Err(USAGE.into()),
    };
    println!("{}", tally.json());
    Ok(())
}
