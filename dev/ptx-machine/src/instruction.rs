//! Instructions as the machine executes them.

use super::arithmetic::Scalar;
use super::types::Type;

/// Index of a register in a warp.
pub type Register = usize;

/// Values of a register, one per lane.
pub type Lanes = [u64; LANES];

pub const LANES: usize = 32;

#[derive(Clone, Debug)]
pub struct Instruction {
    pub guard: Option<Guard>,
    pub operation: Operation,
    /// Line in the PTX text, from 1.
    pub line: usize,
    pub text: String,
    /// Source file number and line.
    pub source: Option<(u32, u32)>,
}

/// Guard: the instruction applies to lanes in which the predicate is true, or false if `is_negated`.
#[derive(Clone, Copy, Debug)]
pub struct Guard {
    pub predicate: Register,
    pub is_negated: bool,
}

#[derive(Clone, Copy, Debug)]
pub enum Source {
    Register(Register),
    Constant(u64),
    Special(Special),
}

/// Special register, set by the hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    Thread(Axis),
    BlockSize(Axis),
    Block(Axis),
    GridSize(Axis),
    Lane,
    Warp,
    /// Mask of the lanes whose number compares this way with the own lane's.
    LaneMask(Order),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    X,
    Y,
    Z,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug)]
pub struct Address {
    pub base: Source,
    pub offset: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    Global,
    Shared,
    Parameters,
}

#[derive(Clone, Debug)]
pub enum Operation {
    Scalar {
        scalar: Scalar,
        destination: Register,
        sources: [Source; 4],
    },
    /// Packs several values into one, the first lowest.
    Pack {
        destination: Register,
        parts: Vec<Source>,
        part: Type,
    },
    Unpack {
        destinations: Vec<Register>,
        source: Source,
        part: Type,
    },
    Load {
        space: Space,
        of: Type,
        destinations: Vec<Register>,
        address: Address,
    },
    Store {
        space: Space,
        of: Type,
        sources: Vec<Source>,
        address: Address,
    },
    /// Jumps to the instruction with this index.
    Branch(usize),
    Exit,
    Barrier,
    WarpBarrier(Source),
    Fence,
    Shuffle(Shuffle),
    Vote {
        vote: Vote,
        destination: Register,
        source: Source,
        is_negated: bool,
        mask: Source,
    },
    Reduce {
        reduction: Reduction,
        of: Type,
        destination: Register,
        source: Source,
        mask: Source,
    },
    ActiveMask(Register),
    /// Loads as many 8 × 8 matrices of 16-bit elements as there are destinations.
    LoadMatrices {
        destinations: Vec<Register>,
        is_transposed: bool,
        address: Address,
    },
    MultiplyMatrices(MultiplyMatrices),
    CopyAsync {
        destination: Address,
        source: Address,
        bytes: usize,
        /// Number of bytes that are copied; the rest is filled with zeros.
        source_bytes: Option<Source>,
    },
    CommitGroup,
    /// Waits until at most this many groups are in flight.
    WaitGroup(usize),
    WaitAll,
}

#[derive(Clone, Debug)]
pub struct Shuffle {
    pub mode: ShuffleMode,
    pub destination: Register,
    /// Set to whether the source lane is in the segment.
    pub in_segment: Option<Register>,
    pub source: Source,
    pub lane: Source,
    pub clamp: Source,
    pub mask: Source,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShuffleMode {
    Up,
    Down,
    Butterfly,
    Index,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vote {
    All,
    Any,
    Uniform,
    Ballot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    Add,
    Minimum,
    Maximum,
    And,
    Or,
    Xor,
}

/// Matrix product `d = a · b + c`.
#[derive(Clone, Debug)]
pub struct MultiplyMatrices {
    pub shape: Shape,
    pub d: [Register; 4],
    pub a: [Source; 4],
    pub b: [Source; 2],
    pub c: [Source; 4],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `m16n8k16`, `f16` to `f32`.
    F16,
    /// `m16n8k32`, 8-bit integers to `s32`.
    Int8 { a_is_signed: bool, b_is_signed: bool },
}
