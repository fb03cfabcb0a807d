//! HTTP/1.1 over one connection.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::answer::{Answer, answer};
use crate::{Fault, Request, State};

/// Answers the requests of a connection until it ends.
pub fn serve(stream: TcpStream, state: &Mutex<State>, is_contents: bool) {
    let Ok(reading) = stream.try_clone() else { return };
    let (mut reader, mut stream) = (BufReader::new(reading), stream);
    while let Some(request) = read_request(&mut reader, is_contents) {
        let (faults, answer) = {
            let mut state = state.lock().unwrap();
            (state.receive(&request), answer(&state, &request))
        };
        // A client may close the connection at any time.
        if !respond(&mut stream, &request, answer, &faults) {
            return;
        }
    }
}

fn read_request(reader: &mut impl BufRead, is_contents: bool) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let mut request = Request {
        method: words.next()?.to_owned(),
        path: words.next()?.to_owned(),
        authorization: None,
        range: None,
        is_contents,
    };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(": ") else { return Some(request) };
        match name.to_lowercase().as_str() {
            "authorization" => request.authorization = Some(value.to_owned()),
            "range" => request.range = Some(value.to_owned()),
            _ => (),
        }
    }
}

/// Sends an answer with its faults. Returns `false` if the connection ends.
fn respond(
    stream: &mut TcpStream,
    request: &Request,
    mut answer: Answer,
    faults: &[Fault],
) -> bool {
    let (mut ignores_range, mut limit) = (false, usize::MAX);
    for fault in faults {
        let bytes = |edit: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = answer.body.to_vec();
            edit(&mut bytes);
            Arc::new(bytes)
        };
        match fault {
            Fault::Hangup => return false,
            Fault::Delay(time) => thread::sleep(*time),
            Fault::Status(status) => {
                answer = Answer { status: *status, headers: Vec::new(), body: Arc::default() };
            }
            Fault::CloseAfter(count) => limit = *count,
            Fault::Short(count) => answer.body = bytes(&|bytes| bytes.truncate(*count)),
            Fault::Long => answer.body = bytes(&|bytes| bytes.push(0)),
            Fault::Corrupt => answer.body = bytes(&|bytes| *bytes.last_mut().unwrap() ^= 0xff),
            Fault::IgnoreRange => ignores_range = true,
            Fault::Header(name, value) => {
                answer.headers.retain(|(header, _)| header != name);
                answer.headers.extend(value.clone().map(|value| ((*name).to_owned(), value)));
            }
        }
    }
    let body = answer.body.clone();
    let mut body = body.as_slice();
    if let Some(start) = range_start(request).filter(|_| answer.status == 200 && !ignores_range) {
        if start >= body.len() {
            (answer.status, body) = (416, &[]);
        } else {
            let range = format!("bytes {start}-{}/{}", body.len() - 1, body.len());
            answer.headers.push(("Content-Range".to_owned(), range));
            (answer.status, body) = (206, &body[start..]);
        }
    }
    send(stream, request, &answer, body, limit).unwrap_or(false)
}

/// Returns the first requested byte.
fn range_start(request: &Request) -> Option<usize> {
    request.range.as_ref()?.strip_prefix("bytes=")?.split('-').next()?.parse().ok()
}

fn send(
    stream: &mut TcpStream,
    request: &Request,
    answer: &Answer,
    body: &[u8],
    limit: usize,
) -> std::io::Result<bool> {
    let mut head = format!("HTTP/1.1 {} -\r\nContent-Length: {}\r\n", answer.status, body.len());
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all((head + "\r\n").as_bytes())?;
    if request.method != "HEAD" {
        stream.write_all(&body[..limit.min(body.len())])?;
    }
    Ok(limit >= body.len())
}
