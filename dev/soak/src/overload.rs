//! More requests than the server can answer: the others are refused at once, and those that are accepted are answered in
//! time.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use load_driver::{Rate, Tally, Target, closed, open};

use crate::cases::Cases;
use crate::server::Server;
use crate::{Error, Options};

const CONNECTIONS: usize = 64;
/// Connections of the open loops: more than the server takes at a time.
const OPEN_CONNECTIONS: usize = 1000;
const FIRST: Duration = Duration::from_secs(10);
/// Deadline of requests, which is an option of the server.
const DEADLINE: Duration = Duration::from_secs(2);
/// Largest growth of memory between the start and the end of the overload.
const GROWTH: f64 = 1.1;

/// Measures the capacity, and loads the server with 90 % and then 300 % of it.
pub async fn run(options: &Options, max_wait: u64) -> Result<(), Error> {
    let cases = Arc::new(Cases::new(options)?);
    let wait = max_wait.to_string();
    let timeout = DEADLINE.as_secs().to_string();
    let limits = ["--max-wait", &wait, "--timeout", &timeout, "--max-connections", "2000"];
    let server = Server::start(options, &limits)?;
    let target = Arc::new(target(&server, &cases));
    let capacity = rate(&closed(&target, CONNECTIONS, FIRST).await);
    println!("capacity with {CONNECTIONS} connections: {capacity:.0} requests/s");
    let time = options.duration();
    let high = open(&target, share(capacity, 0.9, 1), time.min(Duration::from_secs(60))).await;
    print("90 %", &high);
    let before = server.usage()?;
    let loading = tokio::spawn({
        let target = target.clone();
        async move { open(&target, share(capacity, 3.0, 2), time).await }
    });
    tokio::time::sleep(time / 4).await;
    let early = server.usage()?;
    let over = loading.await?;
    let late = server.usage()?;
    print("300 %", &over);
    println!("memory {:.1} MiB before, {:.1} and {:.1} during", before.mib, early.mib, late.mib);
    server.stop()?;
    check(&high, &over)?;
    if late.mib > GROWTH * early.mib {
        return Err("memory grew".into());
    }
    Ok(())
}

/// Fails unless every response is right or a refusal, and the accepted requests were answered in time.
fn check(high: &Tally, over: &Tally) -> Result<(), Error> {
    for tally in [high, over] {
        let known = [200, 429, 503].map(|status| tally.of_status(status)).iter().sum::<u64>();
        let others = tally.statuses.values().sum::<u64>() - known;
        if others + tally.wrong + tally.failed > 0 {
            return Err(format!(
                "{others} other statuses, {} wrong, {} unanswered",
                tally.wrong, tally.failed
            )
            .into());
        }
    }
    if over.of_status(429) + over.of_status(503) == 0 {
        return Err("nothing was refused".into());
    }
    if over.slowest > DEADLINE {
        return Err("a request was answered after its deadline".into());
    }
    let (high, over) = (high.quantile(0.99), over.quantile(0.99));
    if over > 2 * high {
        return Err(format!("p99 of the accepted requests is {over:?}, {high:?} at 90 %").into());
    }
    Ok(())
}

pub fn target(server: &Server, cases: &Arc<Cases>) -> Target {
    // One text each, as long as texts in chats are.
    let is_short = |index: &usize| cases.good[*index].body.len() < 200;
    let chosen: Vec<usize> = (0..cases.good.len()).filter(is_short).collect();
    let bodies = chosen.iter().map(|&index| cases.good[index].body.clone()).collect();
    let cases = cases.clone();
    Target {
        check: Box::new(move |index, reply| {
            reply.status != 200 || cases.good[chosen[index]].is_answer(&reply.body)
        }),
        sent: AtomicUsize::new(0),
        ..Target::new(server.address, "/predict", bodies)
    }
}

fn share(capacity: f64, share: f64, seed: u64) -> Rate {
    Rate { per_second: share * capacity, connections: OPEN_CONNECTIONS, seed }
}

pub fn rate(tally: &Tally) -> f64 {
    tally.of_status(200) as f64 / tally.elapsed.as_secs_f64()
}

fn print(name: &str, tally: &Tally) {
    let [median, p99, most] =
        [0.5, 0.99, 1.0].map(|share| tally.quantile(share).as_secs_f64() * 1e3);
    println!(
        "{name}: {:?} in {:.1} s, accepted {:.0}/s with p50 {median:.1}, p99 {p99:.1}, at most {most:.1} ms",
        tally.statuses,
        tally.elapsed.as_secs_f64(),
        rate(tally),
    );
}
