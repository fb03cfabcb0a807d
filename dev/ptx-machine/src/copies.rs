//! `cp.async`: asynchronous copies from global to shared memory.

use std::collections::VecDeque;

use super::access::count_shared;
use super::error::{Fault, MemorySpace, Stop};
use super::global::aligned;
use super::instruction::{Address, Source};
use super::warp::{Surroundings, Warp, lanes};

/// Copies of one thread that are in flight. A copy happens as late as possible, when it is waited for, so that missing waits
/// always show.
#[derive(Clone, Default)]
pub struct Copies {
    /// Copies that are not in a group yet.
    open: Vec<Copy>,
    /// Groups, oldest first.
    groups: VecDeque<Vec<Copy>>,
}

#[derive(Clone)]
struct Copy {
    destination: u64,
    len: usize,
    bytes: [u8; 16],
}

impl Copies {
    /// Commits the pending copies as a group.
    pub fn commit(&mut self) {
        self.groups.push_back(std::mem::take(&mut self.open));
    }

    pub fn are_left(&self) -> bool {
        !self.open.is_empty() || self.groups.iter().any(|group| !group.is_empty())
    }
}

impl Warp {
    pub fn copy_async(
        &mut self,
        (destination, source): (Address, Address),
        bytes: usize,
        source_bytes: Option<Source>,
        active: u32,
        around: &mut Surroundings,
    ) -> Result<(), Stop> {
        let destinations = self.addresses(destination, around);
        let sources = self.addresses(source, around);
        let lens = self.values(source_bytes.unwrap_or(Source::Constant(bytes as u64)), around);
        for lane in lanes(active) {
            let (destination, source) = (destinations[lane], sources[lane]);
            let mut begin = || {
                let len = lens[lane] as u32 as usize;
                if len > bytes {
                    return Err(Fault::CopySize { bytes, source_bytes: len });
                }
                let mut copy = Copy { destination, len: bytes, bytes: [0; 16] };
                aligned(MemorySpace::Global, source, bytes)?;
                if len > 0 {
                    around.counts.global_access(len, false);
                    let block = around.geometry.block_number;
                    around.memory.load_part(block, source, &mut copy.bytes[..len])?;
                }
                around.shared.begin_copy(self.user(lane), destination, bytes)?;
                Ok(copy)
            };
            let copy = begin().map_err(|fault| fault.in_lane(lane))?;
            self.copies[lane].open.push(copy);
        }
        count_shared(&destinations, bytes, active, around);
        Ok(())
    }

    /// Waits until each active lane has at most `left` groups in flight.
    pub fn wait_for_copies(&mut self, left: usize, active: u32, around: &mut Surroundings) {
        for lane in lanes(active) {
            let user = self.user(lane);
            let groups = &mut self.copies[lane].groups;
            let ended = groups.len().saturating_sub(left);
            for copy in groups.drain(..ended).flatten() {
                around.shared.end_copy(user, copy.destination, &copy.bytes[..copy.len]);
            }
        }
    }
}
