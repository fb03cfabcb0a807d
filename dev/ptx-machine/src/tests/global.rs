//! Device memory and its checks.

use crate::{Fault, Memory, MemorySpace};

const SPACE: MemorySpace = MemorySpace::Global;

#[test]
fn reads_return_what_was_written() {
    let mut memory = Memory::new();
    let buffers: Vec<_> = (1u8..5).map(|index| memory.allocate_with(&[index; 7])).collect();
    memory.free(buffers[1]).unwrap();
    assert_eq!(memory.read(buffers[2], 7), Ok(vec![3; 7]));
    let gone = Fault::OutOfBounds { space: SPACE, address: buffers[1], bytes: 1 };
    assert_eq!(memory.read(buffers[1], 1), Err(gone));
}

#[test]
fn rejects_invalid_accesses() {
    let mut memory = Memory::new();
    let start = memory.allocate(32);
    memory.write(start, &[1; 16]).unwrap();
    let load = |address, bytes: usize| memory.load(0, address, &mut vec![0; bytes]);
    assert_eq!(load(start, 16), Ok(()));
    let address = start + 2;
    let expected = Fault::Misaligned { space: SPACE, address, bytes: 4 };
    assert_eq!(load(address, 4), Err(expected));
    let expected = Fault::Uninitialized { space: SPACE, address: start + 16 };
    assert_eq!(load(start + 16, 4), Err(expected));
    for address in [0, start - 4, start + 32, u64::MAX - 3] {
        let expected = Fault::OutOfBounds { space: SPACE, address, bytes: 4 };
        assert_eq!(load(address, 4), Err(expected.clone()));
        assert_eq!(memory.store(0, address, &[0; 4]), Err(expected));
    }
    let expected = Fault::OutOfBounds { space: SPACE, address: start + 31, bytes: 2 };
    assert_eq!(memory.write(start + 31, &[0; 2]), Err(expected));
    let expected = Fault::OutOfBounds { space: SPACE, address: start + 1, bytes: 0 };
    assert_eq!(memory.free(start + 1), Err(expected));
}

#[test]
fn detects_races_between_blocks() {
    let mut memory = Memory::new();
    let start = memory.allocate_with(&[1; 16]);
    // The next launch may access what an earlier one wrote.
    for block in [3, 5] {
        memory.store(block, start + 4, &[2; 4]).unwrap();
        assert_eq!(memory.load(block, start, &mut [0; 16]), Ok(()));
        let race = Fault::BlockRace { address: start + 4, other: block };
        assert_eq!(memory.load(4, start, &mut [0; 16]), Err(race.clone()));
        assert_eq!(memory.store(4, start + 4, &[2; 4]), Err(race));
        memory.end_launch();
        assert_eq!(memory.load(4, start, &mut [0; 16]), Ok(()));
    }
}
