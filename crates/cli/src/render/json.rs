//! JSON output.
//!
//! Values are written directly rather than through `serde_json::Value`, which would widen `f32` to `f64` and print 0.2
//! as 0.20000000298023224.

use std::io::{self, Write};

use serde::{Serialize, Serializer};

use crate::failure::Failure;

/// Writes a value as one line of JSON.
pub fn write_line(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

/// Writes a value to standard output as one line of JSON.
pub fn print(value: &impl Serialize) -> Result<(), Failure> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    write_line(&mut out, value).and_then(|()| out.flush()).map_err(Failure::Output)
}

/// Serializes pairs of a key and a value as an object, in their order.
pub fn object<K: Serialize, V: Serialize, S: Serializer>(
    pairs: &[(K, V)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(key, value)| (key, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Scores {
        #[serde(serialize_with = "object")]
        scores: Vec<(&'static str, f32)>,
    }

    #[test]
    fn writes_short_floats_and_objects_in_order() {
        let mut line = Vec::new();
        let scores = Scores { scores: vec![("b", 0.2), ("a", f32::NAN)] };
        write_line(&mut line, &scores).unwrap();
        assert_eq!(line, b"{\"scores\":{\"b\":0.2,\"a\":null}}\n");
    }

    #[test]
    fn floats_read_back_identically() {
        for bits in (0..=u32::MAX).step_by(65_537) {
            let value = f32::from_bits(bits);
            if value.is_finite() {
                let text = serde_json::to_string(&value).unwrap();
                assert_eq!(text.parse::<f32>().unwrap().to_bits(), bits, "{text}");
                assert_eq!(serde_json::from_str::<f32>(&text).unwrap().to_bits(), bits, "{text}");
            }
        }
    }
}
