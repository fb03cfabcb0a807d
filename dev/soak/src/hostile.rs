//! What other clients notice of an attack.

use std::net::SocketAddr;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use load_driver::{Rate, Tally, Target, closed, open};

use crate::attack::Attack;
use crate::cases::Cases;
use crate::overload::{rate, target};
use crate::server::Server;
use crate::{Error, Options};

/// Time of one measurement. All are repeated in turn, so that changes of the machine meet each of them.
const TURN: Duration = Duration::from_secs(2);
/// Time in which an attack gets going.
const START: Duration = Duration::from_millis(500);
const CONNECTIONS: usize = 32;
/// Share of the capacity that the other clients ask for.
const SHARE: f64 = 0.3;
/// Largest growth of others' p99.
const GROWTH: f64 = 1.5;

/// Latencies of other clients.
#[derive(Default)]
struct Latencies {
    /// Without an attack.
    alone: Tally,
    /// During an attack on another server of this machine, which takes the attack's own time of the processors.
    beside: Tally,
    /// During an attack on their server.
    attacked: Tally,
}

/// Measures others' latencies during each attack, in turns until the time of the options is over.
pub async fn run(options: &Options) -> Result<(), Error> {
    let cases = Arc::new(Cases::new(options)?);
    let (server, other) = (Server::start(options, &[])?, Server::start(options, &[])?);
    let target = Arc::new(target(&server, &cases));
    let capacity = rate(&closed(&target, CONNECTIONS, Duration::from_secs(5)).await);
    let per_second = SHARE * capacity;
    println!("{per_second:.0} requests/s, {SHARE} of the capacity");
    let attacks = Attack::value_variants();
    let turns = attacks.len() as f64 * 3.0 * (TURN + START).as_secs_f64();
    let rounds = (options.duration().as_secs_f64() / turns).ceil() as u64;
    let mut found: Vec<Latencies> = attacks.iter().map(|_| Latencies::default()).collect();
    for seed in 0..rounds {
        for (&attack, latencies) in attacks.iter().zip(&mut found) {
            let load = Rate { per_second, connections: CONNECTIONS, seed };
            latencies.alone.add(&measured(&target, load, None).await?);
            let beside = Some((attack, other.address));
            latencies.beside.add(&measured(&target, load, beside).await?);
            let attacked = Some((attack, server.address));
            latencies.attacked.add(&measured(&target, load, attacked).await?);
        }
    }
    let usage = server.usage()?;
    println!("{:.1} MiB and {} descriptors after the attacks", usage.mib, usage.descriptors);
    server.stop()?;
    other.stop()?;
    let judged = attacks.iter().zip(&found).map(|(attack, latencies)| judge(*attack, latencies));
    match judged.filter(|is_right| !is_right).count() {
        0 => Ok(()),
        count => Err(format!("others noticed {count} of the attacks").into()),
    }
}

/// Measures the latencies of other clients, perhaps during an attack.
async fn measured(
    target: &Arc<Target>,
    load: Rate,
    attack: Option<(Attack, SocketAddr)>,
) -> Result<Tally, Error> {
    let _attacker = attack.map(|(attack, address)| Attacker::start(attack, address)).transpose()?;
    tokio::time::sleep(START).await;
    Ok(open(target, load, TURN).await)
}

/// Prints what others noticed, and returns `true` if it is little.
fn judge(attack: Attack, latencies: &Latencies) -> bool {
    let all = [&latencies.alone, &latencies.beside, &latencies.attacked];
    let failed = |tally: &&Tally| {
        tally.failed + tally.wrong + tally.statuses.values().sum::<u64>() - tally.of_status(200)
    };
    let failures: u64 = all.iter().map(failed).sum();
    let p99 = all.map(|tally| tally.quantile(0.99).as_secs_f64() * 1e3);
    let median = all.map(|tally| tally.quantile(0.5).as_secs_f64() * 1e3);
    println!(
        "{attack:?}: p50 {:.2}, {:.2}, {:.2} ms; p99 {:.2} ms alone, {:.2} beside an attack, {:.2} attacked; {failures} failures",
        median[0], median[1], median[2], p99[0], p99[1], p99[2],
    );
    failures == 0 && p99[2] <= GROWTH * p99[0]
}

/// A process that attacks until this is dropped. It gives way to the server and its clients, since attackers don't run on
/// the server's processors.
struct Attacker(Child);

impl Attacker {
    fn start(attack: Attack, address: SocketAddr) -> Result<Self, Error> {
        let name = attack.to_possible_value().ok_or("the attack has no name")?;
        let mut command = Command::new("nice");
        command.args(["-n", "19"]).arg(std::env::current_exe()?);
        command.args(["attack", name.get_name(), &address.to_string()]);
        Ok(Self(command.spawn()?))
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
