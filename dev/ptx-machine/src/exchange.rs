//! Exchange between the lanes of a warp: shuffles, votes and reductions.

use super::error::{Fault, Stop};
use super::instruction::{LANES, Lanes, Reduction, Register, Shuffle, ShuffleMode, Vote};
use super::types::Type;
use super::warp::{Surroundings, Warp, lanes};

impl Warp {
    pub fn shuffle(
        &mut self,
        shuffle: &Shuffle,
        active: u32,
        around: &Surroundings,
    ) -> Result<(), Stop> {
        self.check_mask(shuffle.mask, active, around)?;
        let sources = self.values(shuffle.source, around);
        let others = self.values(shuffle.lane, around);
        let clamps = self.values(shuffle.clamp, around);
        for lane in lanes(active) {
            let (read, in_segment) =
                shuffle_source(shuffle.mode, lane, others[lane] as u32, clamps[lane] as u32);
            if active >> read & 1 == 0 {
                return Err(Fault::InactiveLane { lane: read }.in_lane(lane));
            }
            self.registers[shuffle.destination][lane] = sources[read] & u64::from(u32::MAX);
            if let Some(predicate) = shuffle.in_segment {
                self.registers[predicate][lane] = u64::from(in_segment);
            }
        }
        Ok(())
    }

    pub fn vote(&mut self, vote: Vote, destination: Register, values: &Lanes, active: u32) {
        let ballot =
            lanes(active).fold(0, |ballot, lane| ballot | (values[lane] as u32 & 1) << lane);
        let result = match vote {
            Vote::All => u32::from(ballot == active),
            Vote::Any => u32::from(ballot != 0),
            Vote::Uniform => u32::from(ballot == active || ballot == 0),
            Vote::Ballot => ballot,
        };
        self.set(destination, active, |_| u64::from(result));
    }

    pub fn reduce(
        &mut self,
        (reduction, of): (Reduction, Type),
        destination: Register,
        values: &Lanes,
        active: u32,
    ) {
        let combine = |a: i128, b: i128| match reduction {
            Reduction::Add => a + b,
            Reduction::Minimum => a.min(b),
            Reduction::Maximum => a.max(b),
            Reduction::And => a & b,
            Reduction::Or => a | b,
            Reduction::Xor => a ^ b,
        };
        let result = lanes(active).map(|lane| of.number(values[lane])).reduce(combine);
        let result = of.truncate(result.unwrap_or(0) as u64);
        self.set(destination, active, |_| result);
    }
}

/// Returns the lane that a lane reads, and whether it is in the segment. If it isn't, the lane reads itself.
pub fn shuffle_source(mode: ShuffleMode, lane: usize, other: u32, clamp: u32) -> (usize, bool) {
    let (lane, other) = (lane as i32, (other & 31) as i32);
    let (segment, clamp) = ((clamp >> 8 & 31) as i32, (clamp & 31) as i32);
    let last = lane & segment | clamp & !segment;
    let read = match mode {
        ShuffleMode::Up => lane - other,
        ShuffleMode::Down => lane + other,
        ShuffleMode::Butterfly => lane ^ other,
        ShuffleMode::Index => lane & segment | other & !segment,
    };
    // For `up`, the segment is bounded by its first lane.
    let in_segment = if mode == ShuffleMode::Up { read >= last } else { read <= last };
    let read = if in_segment { read } else { lane };
    (read as usize % LANES, in_segment)
}
