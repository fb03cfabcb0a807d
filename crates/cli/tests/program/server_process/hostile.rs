//! Clients that mean harm, or are broken: each is refused, and others are answered meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::BODY;
use super::serving::{Connection, Serving, StopOnDrop, post};

/// Number of latencies of other clients before and during an attack.
const SAMPLES: usize = 300;

/// Attacks the server from a thread while other clients send requests, each of which must succeed, and prints how their
/// latencies change.
fn attacked(name: &str, server: &Serving, attack: impl Fn(&AtomicBool) + Sync) {
    let before = latencies(server);
    let stopped = AtomicBool::new(false);
    let during = thread::scope(|scope| {
        let attacker = scope.spawn(|| attack(&stopped));
        let stop = StopOnDrop(&stopped);
        thread::sleep(Duration::from_millis(100));
        let during = latencies(server);
        drop(stop);
        attacker.join().unwrap();
        during
    });
    println!("{name}: others' median and p99 in ms before {before:?}, during {during:?}");
    assert_eq!(server.send(&post("/predict", "", BODY)).status, 200);
}

/// Returns the median and the 99th percentile in milliseconds of four clients that keep their connections, and of one
/// that opens a new one for each request.
fn latencies(server: &Serving) -> [f64; 2] {
    let one = |is_new: bool| {
        let mut connection = server.connect();
        let measure = |_| {
            let start = Instant::now();
            if is_new {
                connection = server.connect();
            }
            connection.send(post("/predict", "", BODY));
            let response = connection.receive();
            assert_eq!(response.status, 200, "{}", response.body);
            start.elapsed().as_secs_f64() * 1e3
        };
        (0..SAMPLES).map(measure).collect::<Vec<_>>()
    };
    let mut all: Vec<f64> = thread::scope(|scope| {
        let clients: Vec<_> = (0..5).map(|index| scope.spawn(move || one(index == 0))).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    all.sort_by(f64::total_cmp);
    [all[all.len() / 2], all[all.len() * 99 / 100]]
}

fn until_stopped(stopped: &AtomicBool, mut step: impl FnMut()) {
    while !stopped.load(Ordering::Relaxed) {
        step();
    }
}

/// Sends a whole body, or as much of it as the server takes, and returns the status.
fn sent(server: &Serving, body: &[u8]) -> u16 {
    let mut connection = server.connect();
    connection.send(format!(
        "POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n",
        body.len()
    ));
    let _ = connection.try_send(body);
    connection.receive().status
}

#[test]
fn clients_may_disconnect_at_any_time() {
    let server = Serving::small(&[]);
    let whole = post("/predict", "", BODY);
    attacked("disconnects", &server, |stopped| {
        let mut cut = 0;
        until_stopped(stopped, || {
            cut = (cut + 7) % (whole.len() + 1);
            let _ = server.connect().try_send(&whole[..cut]);
        });
    });
}

#[test]
fn clients_that_send_a_byte_at_a_time_hold_no_worker() {
    let server = Serving::small(&["--max-connections", "40"]);
    let whole = post("/predict", "", BODY);
    attacked("a byte at a time", &server, |stopped| {
        let mut slow: Vec<Connection> = (0..30).map(|_| server.connect()).collect();
        let mut bytes = whole.bytes().cycle();
        until_stopped(stopped, || {
            let byte = bytes.next().unwrap();
            for connection in &mut slow {
                let _ = connection.try_send([byte]);
            }
            thread::sleep(Duration::from_millis(50));
        });
    });
}

#[test]
fn large_bodies_are_refused_before_they_are_read() {
    let server = Serving::small(&[]);
    attacked("bodies of a gigabyte", &server, |stopped| {
        until_stopped(stopped, || {
            let mut announced = server.connect();
            announced
                .send("POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 1073741824\r\n\r\n");
            assert_eq!(announced.receive().status, 413);
            let mut chunked = server.connect();
            chunked.send("POST /predict HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
            let chunk = format!("{:x}\r\n{}\r\n", 1 << 16, "a".repeat(1 << 16));
            let taken = (0..1 << 14).take_while(|_| chunked.try_send(&chunk).is_ok()).count();
            // What the sockets hold, and no more.
            assert!(taken << 16 < 100 << 20, "{taken} chunks were taken");
            assert!(matches!(chunked.receive().status, 0 | 413));
        });
    });
}

#[test]
fn bodies_that_are_not_requests_are_refused() {
    let server = Serving::small(&[]);
    let texts = vec!["w4"; 10_000];
    let many = serde_json::json!({ "inputs": texts }).to_string();
    let deep = format!("{{\"inputs\": {}", "[".repeat(1_000_000));
    let numbers = format!("{{\"inputs\": [{}1]}}", "1,".repeat(900_000));
    let invalid = b"{\"inputs\": \"w4 \xff\xfe\xc0\x80\"}".to_vec();
    attacked("bodies that are not requests", &server, |stopped| {
        until_stopped(stopped, || {
            assert_eq!(sent(&server, many.as_bytes()), 422);
            assert_eq!(sent(&server, deep.as_bytes()), 400);
            assert_eq!(sent(&server, numbers.as_bytes()), 422);
            assert_eq!(sent(&server, &invalid), 400);
        });
    });
}

#[test]
fn thousands_of_connections_keep_nobody_out() {
    let server = Serving::small(&["--max-connections", "400"]);
    let partial = "POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{";
    let most = connections();
    attacked("thousands of connections", &server, |stopped| {
        let mut open = Vec::new();
        until_stopped(stopped, || {
            if open.len() < most {
                let mut connection = server.connect();
                // Some are silent, some have begun a request.
                if open.len() % 2 == 0 {
                    let _ = connection.try_send(partial);
                }
                open.push(connection);
            }
            thread::sleep(Duration::from_micros(50));
        });
        println!("{} connections were opened", open.len());
    });
    #[cfg(target_os = "linux")]
    {
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", server.id())).unwrap().count();
        assert!(descriptors < 500, "{descriptors}");
    }
}

/// Returns the number of connections of the attack: 5,000, or half of what this process may open.
fn connections() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let limit = line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
    limit.unwrap_or(1000_usize).div_ceil(2).min(5000)
}
