//! Mixed requests, each of which must get the answer that it should.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use load_driver::{Connection, Failure, Reply};
use tokio::task::LocalSet;

use crate::cases::{Cases, Dice};
use crate::server::{Server, Usage};
use crate::{Error, Options};

/// Largest growth of memory after the first minute, or after a third of a run below three minutes.
const GROWTH: f64 = 1.05;
const PATH: &str = "/predict";
/// Time between lines of progress.
const PAUSE: Duration = Duration::from_secs(10);
/// Number of failures that are kept.
const KEPT: usize = 20;

/// What happened so far.
#[derive(Default)]
struct Record {
    counts: BTreeMap<&'static str, u64>,
    failures: Vec<String>,
}

impl Record {
    fn count(&mut self, kind: &'static str) {
        *self.counts.entry(kind).or_default() += 1;
    }

    fn fail(&mut self, message: String) {
        if self.failures.len() < KEPT {
            eprintln!("{message}");
            self.failures.push(message);
        }
    }
}

/// Loads the server for the duration of the options.
pub async fn run(options: &Options, connections: usize) -> Result<(), Error> {
    let cases = Rc::new(Cases::new(options)?);
    // Every request that is valid must be answered: nothing is shed.
    let server = Server::start(
        options,
        &["--max-wait", "60000", "--max-queue", "100000", "--timeout", "60"],
    )?;
    let (start, time) = (Instant::now(), options.duration());
    let before = server.usage()?;
    let record = Rc::new(RefCell::new(Record::default()));
    let local = LocalSet::new();
    for index in 0..connections {
        let client = Client {
            connection: Connection::new(server.address),
            cases: cases.clone(),
            record: record.clone(),
            dice: Dice(1000 + index as u64),
            server: server.address,
        };
        local.spawn_local(client.run(start + time));
    }
    let settled = Duration::from_secs(60).min(time / 3);
    let watch = watch(&server, &record, start, (settled, time));
    let usages = local.run_until(watch).await?;
    local.await;
    // Time for the server to see that the connections are closed.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let after = server.usage()?;
    check_panics(&server).await?;
    server.stop()?;
    let mut record = record.borrow_mut();
    if after.descriptors > before.descriptors + 1 {
        record.fail(format!(
            "{} descriptors are open, {} at the start",
            after.descriptors, before.descriptors
        ));
    }
    let (base, last) = usages;
    if last.mib > GROWTH * base.mib {
        record.fail(format!("memory grew from {:.1} to {:.1} MiB", base.mib, last.mib));
    }
    println!(
        "{:?}; memory {:.1} MiB once settled, {:.1} at the end",
        record.counts, base.mib, last.mib
    );
    match record.failures.len() {
        0 => Ok(()),
        count => Err(format!("{count} failures").into()),
    }
}

/// Prints the progress, and returns what the server held once it had settled and at the end.
async fn watch(
    server: &Server,
    record: &RefCell<Record>,
    start: Instant,
    (settled, time): (Duration, Duration),
) -> Result<(Usage, Usage), Error> {
    tokio::time::sleep(settled).await;
    let base = server.usage()?;
    while start.elapsed() < time {
        tokio::time::sleep(PAUSE.min(time - start.elapsed().min(time))).await;
        let usage = server.usage()?;
        let total: u64 = record.borrow().counts.values().sum();
        println!("{:.0} s: {total} requests, {usage:?}", start.elapsed().as_secs_f64());
    }
    Ok((base, server.usage()?))
}

async fn check_panics(server: &Server) -> Result<(), Error> {
    let metrics = Connection::new(server.address).get("/metrics").await?;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    let mut lines = metrics.lines().filter(|line| line.starts_with("distilbert_worker_panics"));
    match lines.next() {
        Some(line) if line.ends_with(" 0") => Ok(()),
        line => Err(format!("workers panicked: {line:?}").into()),
    }
}

/// One connection and its requests.
struct Client {
    connection: Connection,
    cases: Rc<Cases>,
    record: Rc<RefCell<Record>>,
    dice: Dice,
    server: std::net::SocketAddr,
}

impl Client {
    async fn run(mut self, end: Instant) {
        while Instant::now() < end {
            match self.dice.below(100) {
                0..5 => self.malformed().await,
                5 => self.oversized().await,
                6 => self.canceled().await,
                _ => self.good().await,
            }
        }
    }

    async fn good(&mut self) {
        let cases = self.cases.clone();
        let case = &cases.good[self.dice.below(cases.good.len())];
        match self.connection.post(PATH, case.body.clone()).await {
            Ok(Reply { status: 200, body }) if case.is_answer(&body) => self.count("good"),
            other => self.fail("a prediction", &other),
        }
    }

    async fn malformed(&mut self) {
        let cases = self.cases.clone();
        let (body, expected) = &cases.malformed[self.dice.below(cases.malformed.len())];
        match self.connection.post(PATH, body.clone()).await {
            Ok(reply) if reply.status == *expected => self.count("malformed"),
            other => self.fail("a malformed request", &other),
        }
    }

    /// The server may close the connection before it has all of the request, so that the client does not see the answer.
    async fn oversized(&mut self) {
        let body = self.cases.oversized.clone();
        match Connection::new(self.server).post(PATH, body).await {
            Ok(Reply { status: 413, .. }) | Err(Failure::Broken(_)) => self.count("oversized"),
            other => self.fail("an oversized request", &other),
        }
    }

    /// Closes a connection at a random time after a request.
    async fn canceled(&mut self) {
        let cases = self.cases.clone();
        let case = &cases.good[self.dice.below(cases.good.len())];
        let time = Duration::from_micros(self.dice.below(20_000) as u64);
        let mut connection = Connection::new(self.server);
        let _ = tokio::time::timeout(time, connection.post(PATH, case.body.clone())).await;
        self.count("canceled");
    }

    fn count(&self, kind: &'static str) {
        self.record.borrow_mut().count(kind);
    }

    fn fail(&self, what: &str, result: &Result<Reply, Failure>) {
        let result = match result {
            Ok(Reply { status, body }) => format!("{status} {}", String::from_utf8_lossy(body)),
            Err(error) => error.to_string(),
        };
        self.record.borrow_mut().fail(format!("{what} got {:.300}", result));
    }
}
