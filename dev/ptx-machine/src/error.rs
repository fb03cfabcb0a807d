//! Errors in a PTX text, in a launch, and in the behavior of a kernel.

use std::fmt;

use thiserror::Error;

#[derive(Clone, Debug, PartialEq, Error)]
pub enum Error {
    #[error("PTX line {line}: {defect}")]
    Text { line: usize, defect: Defect },
    #[error("kernel {kernel}: {defect}")]
    Launch { kernel: String, defect: LaunchDefect },
    #[error("{place}: {fault}")]
    Fault { fault: Fault, place: Box<Place> },
}

/// Defect of a PTX text. Anything unknown is a defect; nothing is skipped.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Defect {
    #[error("the instruction `{0}` is unknown")]
    Instruction(String),
    #[error("the modifier `.{modifier}` of `{instruction}` is unknown")]
    Modifier { instruction: String, modifier: String },
    #[error("`{instruction}` lacks {what}")]
    Lacks { instruction: String, what: &'static str },
    #[error("`{instruction}` is unknown for the type `.{name}`")]
    Type { instruction: String, name: String },
    #[error("the directive `{0}` is unknown")]
    Directive(String),
    #[error("the operand `{operand}` is not {wanted}")]
    Operand { operand: String, wanted: &'static str },
    #[error("{0} extra operands")]
    Operands(usize),
    #[error("`{0}` is declared twice")]
    Twice(String),
    #[error("{0}")]
    Syntax(&'static str),
}

#[derive(Clone, Debug, PartialEq, Error)]
pub enum LaunchDefect {
    #[error("the module has no such kernel")]
    Unknown,
    #[error("expected {wanted} arguments, found {given}")]
    ArgumentCount { given: usize, wanted: usize },
    #[error("argument {index} doesn't fit its parameter of {wanted} bytes")]
    ArgumentSize { index: usize, wanted: usize },
    #[error("expected 1 to {most} threads per block, found {given}")]
    Threads { given: u64, most: u64 },
    #[error("the number of blocks is zero or too large")]
    Grid,
    #[error("{given} bytes of shared memory exceed the limit of {most}")]
    SharedBytes { given: usize, most: usize },
}

/// Invalid behavior of a kernel.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Fault {
    #[error("{bytes} bytes at {address:#x} are outside {space}")]
    OutOfBounds { space: MemorySpace, address: u64, bytes: usize },
    #[error("{bytes} bytes at {address:#x} of {space} are not aligned")]
    Misaligned { space: MemorySpace, address: u64, bytes: usize },
    #[error("the byte at {address:#x} of {space} is read but was never written")]
    Uninitialized { space: MemorySpace, address: u64 },
    #[error(
        "a race: the byte at {address:#x} of shared memory is {now}, but thread {other} has \
         {before} it since the last barrier"
    )]
    Race { address: u64, now: Use, before: Use, other: u32 },
    #[error("a race: block {other} wrote the byte at {address:#x} of global memory")]
    BlockRace { address: u64, other: u32 },
    #[error("the byte at {address:#x} of shared memory is {now} while a copy to it is in flight")]
    CopyInFlight { address: u64, now: Use },
    #[error("the kernel ends with copies in flight")]
    CopiesLeft,
    #[error("a copy of {bytes} bytes has a source of {source_bytes}")]
    CopySize { bytes: usize, source_bytes: usize },
    #[error("only the lanes {active:#010x} of {alive:#010x} reach a barrier")]
    DivergentBarrier { active: u32, alive: u32 },
    #[error("only the lanes {active:#010x} execute an instruction that requires the whole warp")]
    PartialWarp { active: u32 },
    #[error("the mask is {mask:#010x}, but the lanes {active:#010x} are active")]
    Mask { mask: u32, active: u32 },
    #[error("a shuffle reads lane {lane}, which is inactive")]
    InactiveLane { lane: usize },
    #[error("a deadlock: the lanes {waiting:#010x} wait for lanes that never come")]
    Deadlock { waiting: u32 },
    #[error("a warp exceeded {0} instructions")]
    Endless(u64),
    #[error("division by zero")]
    DivisionByZero,
    #[error("execution continues past the kernel's last instruction")]
    NoExit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemorySpace {
    Global,
    Shared,
    Parameters,
}

impl fmt::Display for MemorySpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Global => "global memory",
            Self::Shared => "shared memory",
            Self::Parameters => "the parameters",
        })
    }
}

/// State of a byte in a race.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    Read,
    Written,
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Written => "written",
        })
    }
}

/// Location of a fault.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    pub kernel: String,
    pub block: [u32; 3],
    pub warp: usize,
    /// Index of the thread in its block, if the fault belongs to one thread.
    pub thread: Option<u32>,
    /// Line in the PTX text, from 1.
    pub line: usize,
    pub instruction: String,
    /// Source file and line of the instruction.
    pub source: Option<(String, u32)>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, block {:?}, warp {}", self.kernel, self.block, self.warp)?;
        if let Some(thread) = self.thread {
            write!(f, ", thread {thread}")?;
        }
        write!(f, ", PTX line {}, `{}`", self.line, self.instruction)?;
        match &self.source {
            Some((file, line)) => write!(f, ", {file}:{line}"),
            None => Ok(()),
        }
    }
}

/// Fault and the lane that caused it, before the location is known.
#[derive(Debug)]
pub struct Stop {
    pub fault: Fault,
    pub lane: Option<usize>,
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self { fault, lane: None }
    }
}

impl Fault {
    pub fn in_lane(self, lane: usize) -> Stop {
        Stop { fault: self, lane: Some(lane) }
    }
}
