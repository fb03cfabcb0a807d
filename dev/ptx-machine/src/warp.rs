//! Warps: 32 lanes that execute one instruction at a time.
//!
//! Lanes that branch differently diverge into paths. The path furthest behind in the text always runs next, and paths that
//! meet are merged. Since compilers place the blocks of a loop or a conditional before the code that follows, lanes
//! reconverge as early as possible.

use super::arithmetic::evaluate;
use super::copies::Copies;
use super::counts::Counts;
use super::error::{Fault, Stop};
use super::global::Memory;
use super::instruction::{
    Axis, Guard, Instruction, LANES, Lanes, Operation, Order, Register, Source, Special,
};
use super::ptx::Kernel;
use super::shared::{Shared, User};
use super::types::Type;

/// Maximum number of instructions of a warp. Kernels that terminate need far fewer.
pub const MOST_INSTRUCTIONS: u64 = 1 << 24;

/// State that a warp uses but doesn't own.
pub struct Surroundings<'a> {
    pub kernel: &'a Kernel,
    pub parameters: &'a [u8],
    pub memory: &'a Memory,
    pub shared: Shared,
    pub counts: Counts,
    pub geometry: Geometry,
}

#[derive(Clone, Copy)]
pub struct Geometry {
    pub grid: [u32; 3],
    pub block_size: [u32; 3],
    pub block: [u32; 3],
    /// Index of the block in the grid.
    pub block_number: u32,
}

pub struct Warp {
    /// Index of the warp in the block.
    pub number: usize,
    pub registers: Vec<Lanes>,
    /// Pending copies of each lane.
    pub copies: Vec<Copies>,
    /// Paths that are not at a warp barrier, in the order of their instructions.
    paths: Vec<Path>,
    /// Paths at a warp barrier, and the lanes that each waits for.
    waiting: Vec<(Path, u32)>,
    /// Number of warp barriers so far.
    epoch: u32,
    executed: u64,
}

/// Lanes at one instruction.
#[derive(Clone, Copy)]
struct Path {
    next: usize,
    lanes: u32,
}

/// Reason why a warp stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    Barrier,
    End,
}

impl Warp {
    pub fn new(number: usize, threads: usize, registers: usize) -> Self {
        Self {
            number,
            registers: vec![[0; LANES]; registers],
            copies: vec![Copies::default(); LANES],
            paths: vec![Path { next: 0, lanes: u32::MAX >> (LANES - threads.min(LANES)) }],
            waiting: Vec::new(),
            epoch: 0,
            executed: 0,
        }
    }

    /// Returns the index of the current instruction, or of the last one.
    pub fn position(&self) -> usize {
        self.paths
            .first()
            .or(self.waiting.first().map(|(path, _)| path))
            .map_or(0, |path| path.next)
    }

    /// Runs to the next barrier of the block, or to the end.
    pub fn run(&mut self, around: &mut Surroundings) -> Result<Pause, Stop> {
        let kernel = around.kernel;
        loop {
            let Some(&Path { next, lanes }) = self.paths.first() else {
                return match self.waiting() {
                    0 => Ok(Pause::End),
                    waiting => Err(Fault::Deadlock { waiting }.into()),
                };
            };
            let instruction = kernel.instructions.get(next).ok_or(Fault::NoExit)?;
            let active = self.active(instruction.guard, lanes);
            self.executed += 1;
            around.counts.instructions += 1;
            if self.executed > MOST_INSTRUCTIONS {
                return Err(Fault::Endless(MOST_INSTRUCTIONS).into());
            }
            if active != 0 {
                match &instruction.operation {
                    Operation::Branch(target) => {
                        around.counts.divergent_branches += u64::from(active != lanes);
                        self.advance(lanes & !active);
                        self.add_path(Path { next: *target, lanes: active });
                        continue;
                    }
                    Operation::Exit => {
                        self.advance(lanes & !active);
                        continue;
                    }
                    Operation::Barrier => {
                        let alive = self.alive();
                        if active != alive {
                            return Err(Fault::DivergentBarrier { active, alive }.into());
                        }
                        self.advance(lanes);
                        self.epoch += 1;
                        return Ok(Pause::Barrier);
                    }
                    Operation::WarpBarrier(mask) => {
                        self.wait(*mask, lanes, active, around)?;
                        continue;
                    }
                    _ => self.execute(instruction, active, around)?,
                }
            }
            self.advance(lanes);
        }
    }

    /// Returns the lanes that have not exited.
    fn alive(&self) -> u32 {
        self.paths.iter().fold(self.waiting(), |lanes, path| lanes | path.lanes)
    }

    fn waiting(&self) -> u32 {
        self.waiting.iter().fold(0, |lanes, (path, _)| lanes | path.lanes)
    }

    /// Returns those of the lanes for which the instruction's guard is true.
    fn active(&self, guard: Option<Guard>, lanes: u32) -> u32 {
        let Some(Guard { predicate, is_negated }) = guard else { return lanes };
        let values = &self.registers[predicate];
        let holds = (0..LANES).fold(0, |mask, lane| mask | (values[lane] as u32 & 1) << lane);
        lanes & if is_negated { !holds } else { holds }
    }

    /// Advances these lanes of the first path to the next instruction; the others are elsewhere.
    fn advance(&mut self, lanes: u32) {
        let path = &mut self.paths[0];
        path.next += 1;
        path.lanes = lanes;
        let next = path.next;
        if lanes == 0 {
            self.paths.remove(0);
        } else if self.paths.get(1).is_some_and(|second| second.next == next) {
            self.paths.remove(0);
            self.paths[0].lanes |= lanes;
        }
    }

    fn add_path(&mut self, path: Path) {
        match self.paths.binary_search_by_key(&path.next, |path| path.next) {
            Ok(index) => self.paths[index].lanes |= path.lanes,
            Err(index) => self.paths.insert(index, path),
        }
    }

    /// Makes the active lanes wait until all lanes of the mask wait.
    fn wait(
        &mut self,
        mask: Source,
        lanes: u32,
        active: u32,
        around: &Surroundings,
    ) -> Result<(), Stop> {
        let next = self.paths[0].next + 1;
        let mask = self.common_mask(mask, active, around)?;
        if active & !mask != 0 {
            return Err(Fault::Mask { mask, active }.into());
        }
        self.advance(lanes & !active);
        self.waiting.push((Path { next, lanes: active }, mask));
        let arrived = self
            .waiting
            .iter()
            .filter(|(_, other)| *other == mask)
            .fold(0, |lanes, (path, _)| lanes | path.lanes);
        if arrived == mask {
            // A barrier of some lanes also orders the accesses of the others, which have none in the meantime unless they have
            // diverged.
            self.epoch += 1;
            let (released, waiting) = self.waiting.drain(..).partition(|&(_, other)| other == mask);
            self.waiting = waiting;
            let released: Vec<(Path, u32)> = released;
            for (path, _) in released {
                self.add_path(path);
            }
        }
        Ok(())
    }

    /// Returns the mask, which must be the same in all active lanes.
    fn common_mask(&self, mask: Source, active: u32, around: &Surroundings) -> Result<u32, Fault> {
        let masks = self.values(mask, around);
        let first = masks[active.trailing_zeros() as usize] as u32;
        match lanes(active).find(|&lane| masks[lane] as u32 != first) {
            None => Ok(first),
            Some(lane) => Err(Fault::Mask { mask: masks[lane] as u32, active }),
        }
    }

    /// Checks that the mask contains exactly the active lanes.
    pub fn check_mask(
        &self,
        mask: Source,
        active: u32,
        around: &Surroundings,
    ) -> Result<(), Fault> {
        match self.common_mask(mask, active, around)? {
            mask if mask == active => Ok(()),
            mask => Err(Fault::Mask { mask, active }),
        }
    }

    fn execute(
        &mut self,
        instruction: &Instruction,
        active: u32,
        around: &mut Surroundings,
    ) -> Result<(), Stop> {
        match &instruction.operation {
            Operation::Scalar { scalar, destination, sources } => {
                let sources = sources.map(|source| self.values(source, around));
                for lane in lanes(active) {
                    let values = [0, 1, 2, 3].map(|index: usize| sources[index][lane]);
                    let result = evaluate(scalar, values).map_err(|fault| fault.in_lane(lane))?;
                    self.registers[*destination][lane] = result;
                }
            }
            Operation::Pack { destination, parts, part } => {
                let parts: Vec<_> =
                    parts.iter().map(|&source| self.values(source, around)).collect();
                for lane in lanes(active) {
                    let pack =
                        |value, values: &Lanes| value << part.bits | part.truncate(values[lane]);
                    self.registers[*destination][lane] = parts.iter().rev().fold(0, pack);
                }
            }
            Operation::Unpack { destinations, source, part } => {
                let values = self.values(*source, around);
                for (shift, &destination) in (0..).step_by(part.bits as usize).zip(destinations) {
                    let unpack = |lane: usize| part.truncate(values[lane] >> shift);
                    self.set(destination, active, unpack);
                }
            }
            Operation::Load { space, of, destinations, address } => {
                self.load(*space, *of, destinations, *address, active, around)?;
            }
            Operation::Store { space, of, sources, address } => {
                self.store(*space, *of, sources, *address, active, around)?;
            }
            Operation::Fence => (),
            Operation::Shuffle(shuffle) => self.shuffle(shuffle, active, around)?,
            Operation::Vote { vote, destination, source, is_negated, mask } => {
                self.check_mask(*mask, active, around)?;
                let values =
                    self.values(*source, around).map(|value| value ^ u64::from(*is_negated));
                self.vote(*vote, *destination, &values, active);
            }
            Operation::Reduce { reduction, of, destination, source, mask } => {
                self.check_mask(*mask, active, around)?;
                let values = self.values(*source, around);
                self.reduce((*reduction, *of), *destination, &values, active);
            }
            Operation::ActiveMask(destination) => {
                self.set(*destination, active, |_| u64::from(active));
            }
            Operation::LoadMatrices { destinations, is_transposed, address } => {
                whole_warp(active)?;
                self.load_matrices(destinations, *is_transposed, *address, around)?;
            }
            Operation::MultiplyMatrices(product) => {
                whole_warp(active)?;
                around.counts.mma += 1;
                self.multiply_matrices(product, around);
            }
            Operation::CopyAsync { destination, source, bytes, source_bytes } => {
                let places = (*destination, *source);
                self.copy_async(places, *bytes, *source_bytes, active, around)?;
            }
            Operation::CommitGroup => {
                for lane in lanes(active) {
                    self.copies[lane].commit();
                }
            }
            Operation::WaitGroup(left) => self.wait_for_copies(*left, active, around),
            Operation::WaitAll => {
                for lane in lanes(active) {
                    self.copies[lane].commit();
                }
                self.wait_for_copies(0, active, around);
            }
            Operation::Branch(_)
            | Operation::Exit
            | Operation::Barrier
            | Operation::WarpBarrier(_) => {
                unreachable!("`run` handles instructions that change the paths")
            }
        }
        Ok(())
    }

    /// Writes a register in the active lanes.
    pub fn set(&mut self, register: Register, active: u32, value: impl Fn(usize) -> u64) {
        for lane in lanes(active) {
            self.registers[register][lane] = value(lane);
        }
    }

    /// Returns the value of a source in all lanes, active or not.
    pub fn values(&self, source: Source, around: &Surroundings) -> Lanes {
        match source {
            Source::Register(register) => self.registers[register],
            Source::Constant(value) => [value; LANES],
            Source::Special(special) => {
                std::array::from_fn(|lane| u64::from(self.special(special, lane, around.geometry)))
            }
        }
    }

    fn special(&self, special: Special, lane: usize, geometry: Geometry) -> u32 {
        let [width, height, _] = geometry.block_size;
        let thread = (self.number * LANES + lane) as u32;
        let axis = |axis, values: [u32; 3]| match axis {
            Axis::X => values[0],
            Axis::Y => values[1],
            Axis::Z => values[2],
        };
        match special {
            Special::Thread(of) => {
                axis(of, [thread % width, thread / width % height, thread / (width * height)])
            }
            Special::BlockSize(of) => axis(of, geometry.block_size),
            Special::Block(of) => axis(of, geometry.block),
            Special::GridSize(of) => axis(of, geometry.grid),
            Special::Lane => lane as u32,
            Special::Warp => self.number as u32,
            Special::LaneMask(order) => {
                let (this, below) = (1u32 << lane, (1u32 << lane) - 1);
                match order {
                    Order::Equal => this,
                    Order::Less => below,
                    Order::LessOrEqual => below | this,
                    Order::Greater => !(below | this),
                    Order::GreaterOrEqual => !below,
                }
            }
        }
    }

    /// Identifies a lane for the checks of shared memory.
    pub fn user(&self, lane: usize) -> User {
        User { thread: (self.number * LANES + lane) as u32, warp_epoch: self.epoch }
    }
}

fn whole_warp(active: u32) -> Result<(), Fault> {
    if active == u32::MAX { Ok(()) } else { Err(Fault::PartialWarp { active }) }
}

/// Returns the numbers of the lanes in a mask.
pub fn lanes(mask: u32) -> impl Iterator<Item = usize> + use<> {
    let mut left = mask;
    std::iter::from_fn(move || {
        let lane = (left != 0).then(|| left.trailing_zeros() as usize)?;
        left &= left - 1;
        Some(lane)
    })
}

/// Returns the lowest `bytes` bytes of a value.
pub fn from_bytes(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

/// Converts a loaded value to register contents, sign-extending signed types.
pub fn extend(of: Type, value: u64) -> u64 {
    of.number(value) as u64
}
