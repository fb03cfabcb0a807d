//! What can be wrong with a PTX text, with a launch, and with what a kernel does.

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

/// Of a PTX text. Whatever the machine does not know is one: nothing is passed over.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Defect {
    #[error("the instruction `{0}` is not known")]
    Instruction(String),
    #[error("the modifier `.{modifier}` of `{instruction}` is not known")]
    Modifier { instruction: String, modifier: String },
    #[error("`{instruction}` lacks {what}")]
    Lacks { instruction: String, what: &'static str },
    #[error("`{instruction}` is not known for the type `.{name}`")]
    Type { instruction: String, name: String },
    #[error("the directive `{0}` is not known")]
    Directive(String),
    #[error("the operand `{operand}` is not {wanted}")]
    Operand { operand: String, wanted: &'static str },
    #[error("{0} operands too many")]
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
    #[error("{given} arguments for {wanted} parameters")]
    ArgumentCount { given: usize, wanted: usize },
    #[error("argument {index} does not fit the parameter of {wanted} bytes")]
    ArgumentSize { index: usize, wanted: usize },
    #[error("{given} threads in a block, where 1 to {most} may be")]
    Threads { given: u64, most: u64 },
    #[error("no or too many blocks")]
    Grid,
    #[error("{given} bytes of shared memory, where {most} may be")]
    SharedBytes { given: usize, most: usize },
}

/// What a kernel does that it must not.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Fault {
    #[error("{bytes} bytes at {address:#x} are outside {space}")]
    OutOfBounds { space: MemorySpace, address: u64, bytes: usize },
    #[error("{bytes} bytes at {address:#x} of {space} are not aligned")]
    Misaligned { space: MemorySpace, address: u64, bytes: usize },
    #[error("the byte at {address:#x} of {space} is read, but was never written")]
    Uninitialised { space: MemorySpace, address: u64 },
    #[error(
        "a race: the byte at {address:#x} of shared memory is {now}, but thread {other} has \
         {before} it since the last barrier"
    )]
    Race { address: u64, now: Use, before: Use, other: u32 },
    #[error("a race: block {other} has written the byte at {address:#x} of global memory")]
    BlockRace { address: u64, other: u32 },
    #[error("the byte at {address:#x} of shared memory is {now}, but a copy to it is in flight")]
    CopyInFlight { address: u64, now: Use },
    #[error("the kernel ends with copies in flight")]
    CopiesLeft,
    #[error("a copy of {bytes} bytes has a source of {source_bytes}")]
    CopySize { bytes: usize, source_bytes: usize },
    #[error("a barrier is reached by the lanes {active:#010x} of {alive:#010x}")]
    DivergentBarrier { active: u32, alive: u32 },
    #[error("only the lanes {active:#010x} execute what needs the whole warp")]
    PartialWarp { active: u32 },
    #[error("the mask is {mask:#010x}, but the lanes {active:#010x} are active")]
    Mask { mask: u32, active: u32 },
    #[error("lane {lane} is read, which is not active")]
    InactiveLane { lane: usize },
    #[error("a deadlock: the lanes {waiting:#010x} wait for lanes that never come")]
    Deadlock { waiting: u32 },
    #[error("a warp has executed {0} instructions")]
    Endless(u64),
    #[error("division by zero")]
    DivisionByZero,
    #[error("the kernel's last instruction is followed by none")]
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

/// Of a byte.
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

/// Where a fault was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    pub kernel: String,
    pub block: [u32; 3],
    pub warp: usize,
    /// The thread's number in its block, where the fault is one thread's.
    pub thread: Option<u32>,
    /// In the PTX text, from 1.
    pub line: usize,
    pub instruction: String,
    /// The file and the line that the instruction was compiled from.
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

/// A fault, and the lane that has it, before the place is known.
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
