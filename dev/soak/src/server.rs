//! [`Server`]: the process under test.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Error, Options};

/// Time in which the server must end after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running server, which is killed when this is dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

/// What a server holds.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Resident memory in MiB.
    pub mib: f64,
    pub descriptors: usize,
}

impl Server {
    /// Starts the program and waits until it listens. Its log is read and dropped.
    pub fn start(options: &Options, arguments: &[&str]) -> Result<Self, Error> {
        let precision = options.precision.to_string();
        let mut command = Command::new(&options.program);
        command.args(["serve", "--port", "0", "--precision", &precision, "--model"]);
        command.args([options.model.as_os_str()]).args(arguments.iter().map(OsStr::new));
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let mut log = BufReader::new(child.stderr.take().ok_or("the server has no log")?);
        let mut line = String::new();
        log.read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening on http://");
        let address =
            address.ok_or_else(|| format!("the server did not start: {line}"))?.parse()?;
        thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Ok(Self { child, address })
    }

    /// Returns what the server holds, from `/proc`.
    pub fn usage(&self) -> Result<Usage, Error> {
        let folder = format!("/proc/{}", self.child.id());
        let status = fs::read_to_string(format!("{folder}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()).ok_or("no VmRSS")?;
        let descriptors = fs::read_dir(format!("{folder}/fd"))?.count();
        Ok(Usage { mib: kib.parse::<f64>()? / 1024.0, descriptors })
    }

    /// Ends the server with SIGTERM, and checks its exit status.
    pub fn stop(mut self) -> Result<(), Error> {
        let id = self.child.id().to_string();
        if !Command::new("kill").args(["-s", "TERM", &id]).status()?.success() {
            return Err("the server had ended".into());
        }
        let start = Instant::now();
        let status = loop {
            match self.child.try_wait()? {
                Some(status) => break status,
                None if start.elapsed() > PATIENCE => {
                    return Err("SIGTERM didn't end the server".into());
                }
                None => thread::sleep(Duration::from_millis(10)),
            }
        };
        println!("SIGTERM: {status} after {:.2} s", start.elapsed().as_secs_f64());
        if status.success() {
            Ok(())
        } else {
            Err(format!("the server ended with {status}").into())
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
