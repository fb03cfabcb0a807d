//! [`Attack`]: clients that mean harm, or are broken.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use clap::ValueEnum;

use crate::Error;

/// Ways to attack a server. Each does what one client can do over a network of some 300 Mbit/s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Attack {
    /// Connections that end at any byte of a request
    Disconnects,
    /// 200 requests, each of which comes at a byte a second
    Slowness,
    /// Bodies of a gigabyte
    Gigabytes,
    /// Lists within lists
    Depth,
    /// Lists of numbers
    Numbers,
    /// Lists of 10,000 texts
    Texts,
    /// Bytes that are not UTF-8
    Bytes,
    /// 5,000 connections without a complete request
    Connections,
}

/// A request that is answered.
const GOOD: &str =
    "POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 25\r\n\r\n{\"inputs\": \"I miss you.\"}";

/// Start of a request that never ends.
const PARTIAL: &str = "POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{";

const CHUNK: usize = 1 << 16;

impl Attack {
    /// Attacks until the process ends.
    pub fn run(self, address: SocketAddr) -> Result<(), Error> {
        match self {
            Self::Disconnects => disconnects(address),
            Self::Slowness => slowness(address),
            Self::Gigabytes => gigabytes(address),
            Self::Connections => connections(address),
            Self::Depth => posts(address, format!("{{\"inputs\": {}", "[".repeat(1_900_000))),
            Self::Numbers => posts(address, format!("{{\"inputs\": [{}1]}}", "1,".repeat(900_000))),
            Self::Texts => {
                posts(address, format!("{{\"inputs\": [{}\"a\"]}}", "\"a\",".repeat(9_999)))
            }
            Self::Bytes => posts(address, [&b"{\"inputs\": \""[..], &[0xff; 1_900_000]].concat()),
        }
    }
}

fn disconnects(address: SocketAddr) -> ! {
    let mut cut = 0;
    loop {
        cut = (cut + 7) % (GOOD.len() + 1);
        if let Ok(mut connection) = TcpStream::connect(address) {
            let _ = connection.write_all(&GOOD.as_bytes()[..cut]);
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn slowness(address: SocketAddr) -> ! {
    let mut slow: Vec<(Option<TcpStream>, usize)> = (0..200).map(|index| (None, index)).collect();
    loop {
        for (connection, written) in &mut slow {
            let byte = &GOOD.as_bytes()[*written % GOOD.len()..][..1];
            *written += 1;
            let is_open = connection.as_mut().is_some_and(|open| open.write_all(byte).is_ok());
            if !is_open {
                (*connection, *written) = (TcpStream::connect(address).ok(), 0);
            }
        }
        thread::sleep(Duration::from_secs(1));
    }
}

/// Announces its bodies or sends them in chunks, in turn.
fn gigabytes(address: SocketAddr) -> ! {
    let chunk = format!("{CHUNK:x}\r\n{}\r\n", "a".repeat(CHUNK));
    loop {
        for length in ["content-length: 1073741824", "transfer-encoding: chunked"] {
            let head = format!("POST /predict HTTP/1.1\r\nhost: a\r\n{length}\r\n\r\n");
            if let Ok(mut connection) = TcpStream::connect(address) {
                let _ = connection.write_all(head.as_bytes());
                while connection.write_all(chunk.as_bytes()).is_ok() {
                    thread::sleep(Duration::from_millis(1));
                }
            }
        }
    }
}

fn posts(address: SocketAddr, body: impl AsRef<[u8]>) -> ! {
    let body = body.as_ref();
    let length = body.len();
    let head = format!(
        "POST /predict HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    loop {
        if let Ok(mut connection) = TcpStream::connect(address) {
            let _ = connection.write_all(head.as_bytes());
            let _ = connection.write_all(body);
            let _ = connection.read_to_end(&mut Vec::new());
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Opens a thousand connections a second, and again those that the server closed.
fn connections(address: SocketAddr) -> ! {
    let mut open = Vec::new();
    loop {
        if open.len() == 5000 {
            open.clear();
        }
        if let Ok(mut connection) = TcpStream::connect(address) {
            // Some are silent, some have begun a request.
            if open.len() % 2 == 0 {
                let _ = connection.write_all(PARTIAL.as_bytes());
            }
            open.push(connection);
        }
        thread::sleep(Duration::from_millis(1));
    }
}
