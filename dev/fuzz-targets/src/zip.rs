//! Uncompressed zip archives around a pickle, as `torch.save` writes them.

/// Size of each storage in bytes.
pub const STORAGE: usize = 96;

/// Returns the archive of a pickle with storages that are named by their numbers.
pub fn archive(pickle: &[u8], storages: usize) -> Vec<u8> {
    let mut files = vec![
        ("archive/data.pkl".to_owned(), pickle.to_vec()),
        ("archive/byteorder".to_owned(), b"little".to_vec()),
    ];
    files.extend((0..storages).map(|key| (format!("archive/data/{key}"), vec![0x3D; STORAGE])));
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in &files {
        let header = out.len() as u32;
        let len = (content.len() as u32).to_le_bytes();
        let name_len = (name.len() as u16).to_le_bytes();
        out.extend(b"PK\x03\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        out.extend(len.iter().chain(&len).chain(&name_len).chain(&[0, 0]));
        out.extend(name.as_bytes().iter().chain(content));
        directory.extend(b"PK\x01\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        directory.extend(len.iter().chain(&len).chain(&name_len));
        directory.extend([0; 12]);
        directory.extend(header.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (offset, len) = (out.len() as u32, directory.len() as u32);
    let count = (files.len() as u16).to_le_bytes();
    out.extend(directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(count.iter().chain(&count));
    out.extend(len.to_le_bytes().iter().chain(&offset.to_le_bytes()));
    out.extend([0, 0]);
    out
}
