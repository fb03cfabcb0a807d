//! Shared memory of a block, and the accesses to each of its bytes.

use super::error::{Fault, MemorySpace, Use};
use super::global::aligned;

/// Shared memory with a shadow per byte.
///
/// Two accesses to a byte, at least one of which writes, are a race unless a barrier separates them: a barrier of the block,
/// or of the warp if both threads are in it.
pub struct Shared {
    bytes: Vec<u8>,
    shadows: Vec<Shadow>,
    /// Number of barriers of the block so far.
    epoch: u32,
}

/// Thread, and the number of barriers of its warp so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct User {
    pub thread: u32,
    pub warp_epoch: u32,
}

impl User {
    fn warp(self) -> u32 {
        self.thread / 32
    }

    /// Returns `true` if this thread's access happens before the other's, within one epoch of the block.
    fn is_before(self, other: Self) -> bool {
        self.thread == other.thread
            || self.warp() == other.warp() && self.warp_epoch < other.warp_epoch
    }
}

#[derive(Clone, Copy, Default)]
struct Shadow {
    state: State,
    write_epoch: u32,
    writer: User,
    read_epoch: u32,
    /// Last reader.
    reader: User,
    readers: Readers,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Uninitialized,
    Written,
    /// A copy to the byte is in flight.
    Pending,
}

/// Readers since the last barrier.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Readers {
    #[default]
    One,
    OneWarp,
    Many,
}

impl Shared {
    pub fn new(bytes: usize) -> Self {
        // Epochs start at 1, so that no shadow is in one initially.
        Self { bytes: vec![0xff; bytes], shadows: vec![Shadow::default(); bytes], epoch: 1 }
    }

    /// Passes a barrier of the block.
    pub fn pass_barrier(&mut self) {
        self.epoch += 1;
    }

    pub fn load(&mut self, user: User, address: u64, bytes: &mut [u8]) -> Result<(), Fault> {
        let start = self.check(address, bytes.len())?;
        let epoch = self.epoch;
        for (shadow, address) in self.shadows[start..][..bytes.len()].iter_mut().zip(address..) {
            shadow.read(user, epoch, address)?;
        }
        bytes.copy_from_slice(&self.bytes[start..][..bytes.len()]);
        Ok(())
    }

    pub fn store(&mut self, user: User, address: u64, bytes: &[u8]) -> Result<(), Fault> {
        let start = self.write(user, address, bytes.len(), State::Written)?;
        self.bytes[start..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    /// Begins a copy of some bytes, which must not be accessed until it ends.
    pub fn begin_copy(&mut self, user: User, address: u64, bytes: usize) -> Result<(), Fault> {
        self.write(user, address, bytes, State::Pending).map(|_| ())
    }

    /// Ends a copy. The bytes count as written now; other threads may access them after the next barrier.
    pub fn end_copy(&mut self, user: User, address: u64, bytes: &[u8]) {
        let range = address as usize..address as usize + bytes.len();
        for shadow in &mut self.shadows[range.clone()] {
            shadow.state = State::Written;
            (shadow.write_epoch, shadow.writer) = (self.epoch, user);
        }
        self.bytes[range].copy_from_slice(bytes);
    }

    fn write(&mut self, user: User, address: u64, bytes: usize, to: State) -> Result<usize, Fault> {
        let start = self.check(address, bytes)?;
        for (shadow, address) in self.shadows[start..][..bytes].iter_mut().zip(address..) {
            shadow.write(user, self.epoch, address)?;
            shadow.state = to;
        }
        Ok(start)
    }

    fn check(&self, address: u64, bytes: usize) -> Result<usize, Fault> {
        let space = MemorySpace::Shared;
        match usize::try_from(address) {
            Ok(start) if start.saturating_add(bytes) <= self.bytes.len() => {
                aligned(space, address, bytes)?;
                Ok(start)
            }
            _ => Err(Fault::OutOfBounds { space, address, bytes }),
        }
    }
}

impl Shadow {
    fn read(&mut self, user: User, epoch: u32, address: u64) -> Result<(), Fault> {
        match self.state {
            State::Written => (),
            State::Pending => return Err(Fault::CopyInFlight { address, now: Use::Read }),
            State::Uninitialized => {
                return Err(Fault::Uninitialized { space: MemorySpace::Shared, address });
            }
        }
        self.after_write(user, epoch, address, Use::Read)?;
        self.readers = if self.read_epoch != epoch || self.reader.is_before(user) {
            // Readers of a warp before its barrier can be dropped: they all happen before this access.
            match self.readers {
                Readers::Many if self.read_epoch == epoch => Readers::Many,
                Readers::OneWarp
                    if self.read_epoch == epoch && self.reader.warp_epoch == user.warp_epoch =>
                {
                    Readers::OneWarp
                }
                _ => Readers::One,
            }
        } else if self.reader.warp() == user.warp() && self.readers != Readers::Many {
            Readers::OneWarp
        } else {
            Readers::Many
        };
        (self.read_epoch, self.reader) = (epoch, user);
        Ok(())
    }

    fn write(&mut self, user: User, epoch: u32, address: u64) -> Result<(), Fault> {
        if self.state == State::Pending {
            return Err(Fault::CopyInFlight { address, now: Use::Written });
        }
        self.after_write(user, epoch, address, Use::Written)?;
        let reads_are_before = match self.readers {
            _ if self.read_epoch != epoch => true,
            Readers::One => self.reader.is_before(user),
            Readers::OneWarp => {
                self.reader.warp() == user.warp() && self.reader.warp_epoch < user.warp_epoch
            }
            Readers::Many => false,
        };
        if !reads_are_before {
            let other = self.reader.thread;
            return Err(Fault::Race { address, now: Use::Written, before: Use::Read, other });
        }
        (self.write_epoch, self.writer) = (epoch, user);
        Ok(())
    }

    /// Checks that the last write happens before this access.
    fn after_write(&self, user: User, epoch: u32, address: u64, now: Use) -> Result<(), Fault> {
        if self.write_epoch == epoch && !self.writer.is_before(user) {
            let other = self.writer.thread;
            return Err(Fault::Race { address, now, before: Use::Written, other });
        }
        Ok(())
    }
}
