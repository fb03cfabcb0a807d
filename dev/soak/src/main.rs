//! Long runs of `distilbert serve`.
//!
//! ```sh
//! cargo build --release --package distilbert-cli --features serve --package soak
//! target/release/soak mixed target/release/distilbert models/emotion --minutes 60
//! target/release/soak overload target/release/distilbert models/emotion --minutes 2
//! target/release/soak hostile target/release/distilbert models/emotion --minutes 5
//! ```
//!
//! `mixed` sends texts of all lengths, of which some are malformed, oversized or canceled, and compares every answer with
//! the bits of `classify`. `overload` sends three times as many requests as the server can answer. Both watch memory and
//! file descriptors, end the server with SIGTERM, and fail if anything was not as it should be. `hostile` measures the
//! latencies of other clients during attacks.

mod attack;
mod cases;
mod hostile;
mod mixed;
mod overload;
mod server;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use distilbert::Precision;

use crate::attack::Attack;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
#[command(about = "Soak tests of `distilbert serve`")]
struct Cli {
    #[command(subcommand)]
    run: Run,
}

#[derive(Subcommand)]
enum Run {
    /// Send mixed requests and compare every answer with `classify`
    Mixed {
        #[command(flatten)]
        options: Options,

        /// Number of connections
        #[arg(long, default_value_t = 32)]
        connections: usize,
    },
    /// Send three times as many requests as the server can answer
    Overload {
        #[command(flatten)]
        options: Options,

        /// Option --max-wait of the server, in milliseconds
        #[arg(long, default_value_t = 50)]
        max_wait: u64,
    },
    /// Attack the server, and measure the effect on other clients
    Hostile {
        #[command(flatten)]
        options: Options,
    },
    /// Attack a server until this process is terminated
    #[command(hide = true)]
    Attack { attack: Attack, address: SocketAddr },
}

/// Options of every run.
#[derive(Args)]
struct Options {
    /// The program `distilbert`, built with the feature `serve`
    program: PathBuf,

    /// Model folder
    model: PathBuf,

    /// Precision
    #[arg(long, default_value_t = Precision::Int8)]
    precision: Precision,

    /// Duration
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
}

impl Options {
    fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.minutes * 60.0)
    }
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime.map_err(Error::from).and_then(|runtime| match Cli::parse().run {
        Run::Mixed { options, connections } => runtime.block_on(mixed::run(&options, connections)),
        Run::Overload { options, max_wait } => runtime.block_on(overload::run(&options, max_wait)),
        Run::Hostile { options } => runtime.block_on(hostile::run(&options)),
        Run::Attack { attack, address } => attack.run(address),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
