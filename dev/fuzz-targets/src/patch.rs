//! Edits of a binary file, so that inputs get past its signature and reach its structure.

use crate::bytes::Bytes;

/// Largest number of edits of one file.
const MOST_EDITS: usize = 64;

/// Numbers that fields are set to.
const NUMBERS: [u64; 10] =
    [0, 1, 2, 0x7F, 0xFF, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF, 1 << 40, u64::MAX];

/// Returns a file with the edits that an input describes.
pub fn patched(original: &[u8], bytes: &mut Bytes<'_>) -> Vec<u8> {
    let mut file = original.to_vec();
    for _ in 0..MOST_EDITS {
        if bytes.is_empty() {
            break;
        }
        let (kind, at) = (bytes.byte(), bytes.offset() % (file.len() + 1));
        let len = 1 + usize::from(kind >> 4);
        let end = file.len().min(at + len);
        match kind & 15 {
            0..=4 => {
                let new = bytes.slice(end - at);
                file[at..at + new.len()].copy_from_slice(new);
            }
            5..=7 => {
                let number = bytes.choose(&NUMBERS).to_le_bytes();
                let len = (end - at).min(number.len());
                file[at..at + len].copy_from_slice(&number[..len]);
            }
            8..=9 => {
                if let Some(byte) = file.get_mut(at) {
                    *byte ^= 1 << (kind >> 5);
                }
            }
            10..=11 => {
                let new = bytes.slice(len).to_vec();
                file.splice(at..at, new);
            }
            12 => drop(file.drain(at..end)),
            13 => {
                // Another block of the same file.
                let from = bytes.offset() % (file.len() + 1);
                let block = file[from..file.len().min(from + 8 * len)].to_vec();
                let count = block.len().min(file.len() - at);
                file[at..at + count].copy_from_slice(&block[..count]);
            }
            14 => file.resize(file.len() + 8 * len, kind),
            _ if kind == 0xFF => file.truncate(at),
            _ => {}
        }
    }
    file
}
