//! Binary tensors after the JSON of a body, Triton's extension of the protocol.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;

use super::Inference;
use super::input::FIELD;
use crate::endpoints::{json, typed};
use crate::failure::{Failure, Kind};
use crate::fields::bad;

/// Header with the length of the JSON at the beginning of a body.
const JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

/// Splits a body into its JSON and its binary data, which is empty if the header is absent.
pub fn split<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), Failure> {
    let Some(length) = headers.get(JSON_LENGTH) else { return Ok((body, &[])) };
    let length = length.to_str().ok().and_then(|length| length.parse().ok());
    length.and_then(|length| body.split_at_checked(length)).ok_or_else(|| {
        let size = body.len();
        bad(format!("{JSON_LENGTH}: expected at most {size}, the number of bytes of the body"))
    })
}

/// Returns the response with an answer and its binary data.
pub fn joined(inference: &Inference<'_>, binary: Vec<u8>) -> Result<Response, Failure> {
    if binary.is_empty() {
        return json(inference);
    }
    let mut body = serde_json::to_vec(inference)
        .map_err(|error| Failure::new(Kind::Backend, error.to_string()))?;
    let length = HeaderValue::from(body.len());
    body.extend(binary);
    let mut response = typed(Body::from(body), "application/octet-stream");
    response.headers_mut().insert(JSON_LENGTH, length);
    Ok(response)
}

/// Reads strings that follow their lengths in bytes.
pub fn read_strings(mut bytes: &[u8], most: usize) -> Result<Vec<String>, Failure> {
    let mut strings = Vec::new();
    while !bytes.is_empty() {
        let index = strings.len();
        if index == most {
            let message = format!("has more texts than the {most} that a request may have");
            return Err(Failure::new(Kind::Validation, message).about(FIELD));
        }
        let cut_off = || bad(format!("{FIELD}[{index}]: the binary data ends early"));
        let (length, rest) = bytes.split_first_chunk().ok_or_else(cut_off)?;
        let length = u32::from_le_bytes(*length) as usize;
        let (string, rest) = rest.split_at_checked(length).ok_or_else(cut_off)?;
        let string = std::str::from_utf8(string)
            .map_err(|_| bad(format!("{FIELD}[{index}]: expected UTF-8")))?;
        strings.push(string.to_owned());
        bytes = rest;
    }
    Ok(strings)
}

/// Writes the length of a string in bytes and the string.
pub fn write_string(string: &str, to: &mut Vec<u8>) {
    // Labels are far shorter than 4 GiB.
    to.extend((string.len() as u32).to_le_bytes());
    to.extend(string.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_survive_a_round_trip() {
        let strings = ["a", "", "naïve 🎉"];
        let mut bytes = Vec::new();
        strings.iter().for_each(|string| write_string(string, &mut bytes));
        assert_eq!(read_strings(&bytes, 3).unwrap(), strings);
        assert_eq!(read_strings(&bytes, 2).unwrap_err().kind, Kind::Validation);
        for end in [1, 4, bytes.len() - 1] {
            assert!(read_strings(&bytes[..end], 3).unwrap_err().message.contains("ends early"));
        }
        let broken = [1, 0, 0, 0, 0xff];
        assert!(read_strings(&broken, 3).unwrap_err().message.contains("expected UTF-8"));
    }

    #[test]
    fn the_json_ends_where_the_header_says() {
        let mut headers = HeaderMap::new();
        assert_eq!(split(&headers, b"{}").unwrap(), (&b"{}"[..], &b""[..]));
        headers.insert(JSON_LENGTH, HeaderValue::from(2));
        assert_eq!(split(&headers, b"{}ab").unwrap(), (&b"{}"[..], &b"ab"[..]));
        for length in ["5", "-1", "x"] {
            headers.insert(JSON_LENGTH, HeaderValue::from_static(length));
            assert!(split(&headers, b"{}ab").is_err());
        }
    }
}
