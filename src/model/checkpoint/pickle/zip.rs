//! [`Archive`]: locations of the files in a zip archive, as `torch.save` writes it: without compression.

use std::collections::BTreeMap;

use super::machine::{damaged, excerpt};
use super::refuse::Refusal;
use crate::model::checkpoint::source::Source;

/// Length of the record at the end of an archive, without its comment.
const END_LEN: u64 = 22;

/// Longest comment at the end of an archive.
const MAX_COMMENT: u64 = u16::MAX as u64;

/// Length of the records that locate the directory of an archive with 64-bit sizes.
const LOCATOR_LEN: u64 = 20;
const END64_LEN: usize = 56;

/// Length of a directory entry and of the header before a file, without names and extra fields.
const ENTRY_LEN: usize = 46;
const HEADER_LEN: usize = 30;

/// Longest directory that is read, in bytes.
const MAX_DIRECTORY: u64 = 16 << 20;

/// Files of an archive by name.
pub(super) struct Archive<'a> {
    source: &'a Source,
    entries: BTreeMap<String, Entry>,
}

/// Location of a file's header, and the file's length.
#[derive(Clone, Copy)]
struct Entry {
    header: u64,
    len: u64,
    is_stored: bool,
}

/// Location of the bytes of a file.
#[derive(Clone, Copy)]
pub(super) struct Extent {
    pub offset: u64,
    pub len: u64,
}

impl<'a> Archive<'a> {
    /// Reads the directory at the end of an archive.
    pub fn open(source: &'a Source) -> Result<Self, Refusal> {
        let (offset, len) = directory(source)?;
        let fits = offset.checked_add(len).is_some_and(|end| end <= source.len());
        if !fits || len > MAX_DIRECTORY {
            return Err(damaged(format!(
                "its directory of {len} bytes at offset {offset} does not fit in the file"
            )));
        }
        let directory = read(source, "its directory", offset, len as usize)?;
        let mut entries = BTreeMap::new();
        let mut rest = directory.as_slice();
        while !rest.is_empty() {
            let (name, entry, after) = entry(rest)
                .ok_or_else(|| damaged("its directory has an invalid entry".to_owned()))?;
            if entries.insert(name.clone(), entry).is_some() {
                return Err(damaged(format!("it has two files named `{}`", excerpt(&name))));
            }
            rest = after;
        }
        Ok(Self { source, entries })
    }

    /// Returns the folder in the archive that holds `data.pkl`.
    pub fn root(&self) -> Result<String, Refusal> {
        let mut roots = self.entries.keys().filter_map(|name| name.strip_suffix("data.pkl"));
        match (roots.next(), roots.next()) {
            (Some(root), None) if root.ends_with('/') => Ok(root.to_owned()),
            _ => Err(damaged("it should hold one file data.pkl in a folder".to_owned())),
        }
    }

    /// Returns the location of a file's bytes, if there is such a file.
    pub fn find(&self, name: &str) -> Result<Option<Extent>, Refusal> {
        let Some(&Entry { header, len, is_stored }) = self.entries.get(name) else {
            return Ok(None);
        };
        let name = excerpt(name);
        if !is_stored {
            return Err(damaged(format!("its file `{name}` is compressed or encrypted")));
        }
        let outside =
            || damaged(format!("its file `{name}` extends beyond the end of the archive"));
        let fits = |end: Option<u64>| end.filter(|&end| end <= self.source.len());
        fits(header.checked_add(HEADER_LEN as u64)).ok_or_else(outside)?;
        let bytes = read(self.source, "the header of a file", header, HEADER_LEN)?;
        if !bytes.starts_with(b"PK\x03\x04") {
            return Err(damaged(format!("its file `{name}` lacks a header")));
        }
        let names = u64::from(u16_at(&bytes, 26)) + u64::from(u16_at(&bytes, 28));
        let offset = header + HEADER_LEN as u64 + names;
        fits(offset.checked_add(len)).ok_or_else(outside)?;
        Ok(Some(Extent { offset, len }))
    }

    /// Reads a file of at most `limit` bytes, if there is such a file.
    pub fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, Refusal> {
        let Some(Extent { offset, len }) = self.find(name)? else { return Ok(None) };
        if len > limit {
            let name = excerpt(name);
            return Err(damaged(format!(
                "its file `{name}` has {len} bytes, expected at most {limit}"
            )));
        }
        read(self.source, "a file", offset, len as usize).map(Some)
    }
}

/// Returns offset and length of an archive's directory.
fn directory(source: &Source) -> Result<(u64, u64), Refusal> {
    let missing = || damaged("it is not a complete zip archive".to_owned());
    let tail_len = source.len().min(END_LEN + MAX_COMMENT + LOCATOR_LEN);
    let start = source.len() - tail_len;
    let tail = read(source, "its end", start, tail_len as usize)?;
    let last = tail.len().checked_sub(END_LEN as usize).ok_or_else(missing)?;
    let is_end = |&at: &usize| {
        tail[at..].starts_with(b"PK\x05\x06")
            && at + END_LEN as usize + usize::from(u16_at(&tail, at + 20)) == tail.len()
    };
    let end = (0..=last).rev().find(is_end).ok_or_else(missing)?;
    let (len, offset) = (u32_at(&tail, end + 12), u32_at(&tail, end + 16));
    if len != u32::MAX && offset != u32::MAX && u16_at(&tail, end + 10) != u16::MAX {
        return Ok((offset.into(), len.into()));
    }
    let locator = end.checked_sub(LOCATOR_LEN as usize).ok_or_else(missing)?;
    if !tail[locator..].starts_with(b"PK\x06\x07") {
        return Err(missing());
    }
    let end64 = u64_at(&tail, locator + 8);
    let fits = end64.checked_add(END64_LEN as u64).is_some_and(|end| end <= source.len());
    if !fits {
        return Err(missing());
    }
    let record = read(source, "its end", end64, END64_LEN)?;
    if !record.starts_with(b"PK\x06\x06") {
        return Err(missing());
    }
    Ok((u64_at(&record, 48), u64_at(&record, 40)))
}

/// Returns the first entry of a directory with its name, and the rest of the directory.
fn entry(bytes: &[u8]) -> Option<(String, Entry, &[u8])> {
    if bytes.len() < ENTRY_LEN || !bytes.starts_with(b"PK\x01\x02") {
        return None;
    }
    let [flags, method] = [u16_at(bytes, 8), u16_at(bytes, 10)];
    let [name_len, extra_len, comment_len] = [28, 30, 32].map(|at| usize::from(u16_at(bytes, at)));
    let name = bytes.get(ENTRY_LEN..ENTRY_LEN + name_len)?;
    let extra = bytes.get(ENTRY_LEN + name_len..ENTRY_LEN + name_len + extra_len)?;
    let rest = bytes.get(ENTRY_LEN + name_len + extra_len + comment_len..)?;
    // The 64-bit fields are present only for those that are saturated, in this order.
    let mut wide = zip64(extra).as_chunks().0.iter().map(|&bytes| u64::from_le_bytes(bytes));
    let mut field = |at| match u32_at(bytes, at) {
        u32::MAX => wide.next(),
        narrow => Some(narrow.into()),
    };
    let [len, compressed, header] = [field(24)?, field(20)?, field(42)?];
    let is_stored = method == 0 && flags & 1 == 0 && compressed == len;
    let name = std::str::from_utf8(name).ok()?.to_owned();
    Some((name, Entry { header, len, is_stored }, rest))
}

/// Returns the content of the extra field with 64-bit sizes; empty if there is none.
fn zip64(mut extra: &[u8]) -> &[u8] {
    while extra.len() >= 4 {
        let len = usize::from(u16_at(extra, 2));
        let Some(content) = extra.get(4..4 + len) else { break };
        if u16_at(extra, 0) == 1 {
            return content;
        }
        extra = &extra[4 + len..];
    }
    &[]
}

fn read(source: &Source, content: &str, offset: u64, len: usize) -> Result<Vec<u8>, Refusal> {
    let mut bytes = vec![0; len];
    source.read(content, offset, &mut bytes)?;
    Ok(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
