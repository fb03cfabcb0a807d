//! The checks of shared memory.

use crate::shared::{Shared, User};
use crate::{Fault, MemorySpace, Use};

fn user(thread: u32, warp_epoch: u32) -> User {
    User { thread, warp_epoch }
}

fn race(now: Use, before: Use, other: u32) -> Result<(), Fault> {
    Err(Fault::Race { address: 4, now, before, other })
}

fn written_by(user: User) -> Shared {
    let mut shared = Shared::new(16);
    shared.store(user, 4, &[1, 2, 3, 4]).unwrap();
    shared
}

fn read(shared: &mut Shared, user: User) -> Result<(), Fault> {
    shared.load(user, 4, &mut [0; 4])
}

#[test]
fn detects_races_between_barriers() {
    let mut shared = written_by(user(1, 0));
    assert_eq!(read(&mut shared, user(1, 0)), Ok(()));
    assert_eq!(read(&mut shared, user(2, 0)), race(Use::Read, Use::Written, 1));
    let mut write = |thread| shared.store(user(thread, 0), 4, &[0; 4]);
    assert_eq!(write(2), race(Use::Written, Use::Written, 1));
    assert_eq!(write(1), Ok(()));
    shared.pass_barrier();
    assert_eq!(read(&mut shared, user(2, 0)), Ok(()));
    assert_eq!(shared.store(user(1, 0), 4, &[0; 4]), race(Use::Written, Use::Read, 2));
    assert_eq!(shared.store(user(2, 0), 4, &[0; 4]), Ok(()));
}

#[test]
fn warp_barrier_orders_only_its_own_warp() {
    let mut shared = written_by(user(1, 0));
    assert_eq!(read(&mut shared, user(2, 1)), Ok(()));
    assert_eq!(read(&mut shared, user(40, 1)), race(Use::Read, Use::Written, 1));
    assert_eq!(shared.store(user(3, 1), 4, &[0; 4]), race(Use::Written, Use::Read, 2));
    assert_eq!(shared.store(user(3, 2), 4, &[0; 4]), Ok(()));
}

#[test]
fn remembers_every_reader() {
    for (first, second, writer) in [(1, 2, 2), (2, 1, 2), (1, 40, 40), (40, 1, 40)] {
        let mut shared = written_by(user(0, 0));
        shared.pass_barrier();
        for thread in [first, second, writer] {
            read(&mut shared, user(thread, 0)).unwrap();
        }
        assert!(shared.store(user(writer, 0), 4, &[0; 4]).is_err(), "{first} {second}");
        let after_warp_barrier = shared.store(user(writer, 1), 4, &[0; 4]);
        assert_eq!(after_warp_barrier.is_ok(), first < 32 && second < 32, "{first} {second}");
    }
}

#[test]
fn detects_uninitialized_reads() {
    let mut shared = written_by(user(0, 0));
    let fault = shared.load(user(0, 0), 0, &mut [0; 16]);
    let expected = Fault::Uninitialized { space: MemorySpace::Shared, address: 0 };
    assert_eq!(fault, Err(expected));
}

#[test]
fn rejects_accesses_out_of_bounds_or_misaligned() {
    let mut shared = Shared::new(16);
    let space = MemorySpace::Shared;
    for address in [16, u64::MAX] {
        let fault = Fault::OutOfBounds { space, address, bytes: 4 };
        assert_eq!(shared.store(user(0, 0), address, &[0; 4]), Err(fault));
    }
    let fault = Fault::Misaligned { space, address: 6, bytes: 4 };
    assert_eq!(shared.store(user(0, 0), 6, &[0; 4]), Err(fault));
}

#[test]
fn copies_are_visible_after_a_wait_and_a_barrier() {
    let mut shared = Shared::new(16);
    shared.begin_copy(user(1, 0), 4, 4).unwrap();
    let in_flight = |now| Err(Fault::CopyInFlight { address: 4, now });
    assert_eq!(read(&mut shared, user(1, 0)), in_flight(Use::Read));
    assert_eq!(shared.store(user(1, 0), 4, &[0; 4]), in_flight(Use::Written));
    shared.pass_barrier();
    shared.end_copy(user(1, 0), 4, &[1, 2, 3, 4]);
    assert_eq!(read(&mut shared, user(1, 0)), Ok(()));
    assert_eq!(read(&mut shared, user(2, 0)), race(Use::Read, Use::Written, 1));
    shared.pass_barrier();
    assert_eq!(read(&mut shared, user(2, 0)), Ok(()));
}
