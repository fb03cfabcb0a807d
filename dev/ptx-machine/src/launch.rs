//! Launching a kernel, block by block.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;

use super::counts::Counts;
use super::error::{Error, Fault, LaunchDefect, Place, Stop};
use super::global::Memory;
use super::instruction::LANES;
use super::ptx::{Kernel, Module};
use super::shared::Shared;
use super::warp::{Geometry, Pause, Surroundings, Warp};

/// Configuration of a launch.
#[derive(Clone, Debug)]
pub struct Launch<'a> {
    pub kernel: &'a str,
    /// Number of blocks.
    pub grid: [u32; 3],
    /// Number of threads per block.
    pub block: [u32; 3],
    /// Dynamic shared memory in bytes, besides what the kernel declares.
    pub shared_bytes: usize,
    pub arguments: &'a [Argument],
}

/// Value of an argument.
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    /// Little-endian bits, zero-extended; bits beyond the parameter must be zero.
    Value(u64),
    /// Bytes, whose number must be that of the parameter.
    Bytes(Vec<u8>),
}

impl From<u64> for Argument {
    fn from(value: u64) -> Self {
        Self::Value(value)
    }
}

impl From<u32> for Argument {
    fn from(value: u32) -> Self {
        Self::Value(u64::from(value))
    }
}

impl From<i32> for Argument {
    fn from(value: i32) -> Self {
        Self::from(value as u32)
    }
}

impl From<f32> for Argument {
    fn from(value: f32) -> Self {
        Self::from(value.to_bits())
    }
}

/// Maximum shared memory of a block, on the device that has most.
const MOST_SHARED_BYTES: usize = 227 * 1024;

impl Module {
    /// Runs a kernel to its end. If several blocks have faults, the fault of the first block is returned.
    pub fn launch(&self, memory: &mut Memory, launch: &Launch) -> Result<Counts, Error> {
        let defect = |defect| Error::Launch { kernel: launch.kernel.to_owned(), defect };
        let kernel = self.kernels.get(launch.kernel).ok_or(defect(LaunchDefect::Unknown))?;
        let parameters = kernel.parameters(launch.arguments).map_err(defect)?;
        let blocks = kernel.check(launch).map_err(defect)?;
        let next = AtomicU32::new(0);
        // The first block with a fault so far, and the fault.
        let first_fault = Mutex::new((blocks, None));
        let worker = || {
            let mut counts = Counts::default();
            loop {
                let block = next.fetch_add(1, Relaxed);
                // Blocks are started in order, so all blocks before a faulting one run as well.
                if block >= first_fault.lock().unwrap().0 {
                    return counts;
                }
                match self.run_block(kernel, launch, &parameters, memory, block) {
                    Ok(of_block) => counts.add(&of_block),
                    Err(error) => {
                        let mut first = first_fault.lock().unwrap();
                        if block < first.0 {
                            *first = (block, Some(error));
                        }
                    }
                }
            }
        };
        let workers = thread::available_parallelism().map_or(1, NonZero::get).min(blocks as usize);
        let mut counts = Counts::default();
        thread::scope(|scope| {
            let helpers: Vec<_> = (1..workers).map(|_| scope.spawn(worker)).collect();
            counts.add(&worker());
            for helper in helpers {
                counts.add(&helper.join().expect("the machine doesn't panic"));
            }
        });
        memory.end_launch();
        match first_fault.into_inner().unwrap().1 {
            None => Ok(counts),
            Some(error) => Err(error),
        }
    }

    fn run_block(
        &self,
        kernel: &Kernel,
        launch: &Launch,
        parameters: &[u8],
        memory: &Memory,
        number: u32,
    ) -> Result<Counts, Error> {
        let [width, height, _] = launch.grid;
        let block = [number % width, number / width % height, number / width / height];
        let mut around = Surroundings {
            kernel,
            parameters,
            memory,
            shared: Shared::new(kernel.static_shared + launch.shared_bytes),
            counts: Counts::default(),
            geometry: Geometry {
                grid: launch.grid,
                block_size: launch.block,
                block,
                block_number: number,
            },
        };
        let threads = launch.block.iter().product::<u32>() as usize;
        let mut warps: Vec<_> = (0..threads.div_ceil(LANES))
            .map(|warp| Warp::new(warp, threads - warp * LANES, kernel.registers))
            .collect();
        run_warps(&mut warps, &mut around)
            .map_err(|(warp, stop)| self.place(kernel, block, &warps[warp], stop))?;
        Ok(around.counts)
    }

    fn place(&self, kernel: &Kernel, block: [u32; 3], warp: &Warp, stop: Stop) -> Error {
        let Stop { fault, lane } = stop;
        let instruction = kernel.instructions.get(warp.position()).or(kernel.instructions.last());
        let source = instruction.and_then(|instruction| instruction.source).map(|(file, line)| {
            (self.files.get(&file).cloned().unwrap_or_else(|| format!("file {file}")), line)
        });
        let place = Place {
            kernel: kernel.name.clone(),
            block,
            warp: warp.number,
            thread: lane.map(|lane| (warp.number * LANES + lane) as u32),
            line: instruction.map_or(0, |instruction| instruction.line),
            instruction: instruction.map_or(String::new(), |instruction| instruction.text.clone()),
            source,
        };
        Error::Fault { fault, place: Box::new(place) }
    }
}

/// Runs all warps to the end, from barrier to barrier. A warp that has ended counts as waiting at every barrier.
fn run_warps(warps: &mut [Warp], around: &mut Surroundings) -> Result<(), (usize, Stop)> {
    let mut running: Vec<usize> = (0..warps.len()).collect();
    while !running.is_empty() {
        let mut at_barrier = Vec::new();
        for index in running {
            match warps[index].run(around) {
                Ok(Pause::Barrier) => at_barrier.push(index),
                Ok(Pause::End) => (),
                Err(stop) => return Err((index, stop)),
            }
        }
        around.shared.pass_barrier();
        running = at_barrier;
    }
    for (index, warp) in warps.iter().enumerate() {
        if let Some(lane) = warp.copies.iter().position(|copies| copies.are_left()) {
            return Err((index, Fault::CopiesLeft.in_lane(lane)));
        }
    }
    Ok(())
}

impl Kernel {
    /// Builds the parameter memory from the arguments.
    fn parameters(&self, arguments: &[Argument]) -> Result<Vec<u8>, LaunchDefect> {
        let (given, wanted) = (arguments.len(), self.parameters.len());
        if given != wanted {
            return Err(LaunchDefect::ArgumentCount { given, wanted });
        }
        let mut memory = Vec::new();
        for (index, (argument, parameter)) in arguments.iter().zip(&self.parameters).enumerate() {
            let wanted = parameter.bytes;
            let misfit = LaunchDefect::ArgumentSize { index, wanted };
            memory.resize(parameter.offset, 0);
            match argument {
                Argument::Value(value) => {
                    let bytes = value.to_le_bytes();
                    let (low, high) = bytes.split_at_checked(wanted).ok_or(misfit.clone())?;
                    if high.iter().any(|&byte| byte != 0) {
                        return Err(misfit);
                    }
                    memory.extend(low);
                }
                Argument::Bytes(bytes) if bytes.len() == wanted => memory.extend(bytes),
                Argument::Bytes(_) => return Err(misfit),
            }
        }
        Ok(memory)
    }

    /// Checks the sizes and returns the number of blocks.
    pub fn check(&self, launch: &Launch) -> Result<u32, LaunchDefect> {
        let given = launch.block.iter().map(|&size| u64::from(size)).product();
        let most = self.most_threads.min(1024);
        if given == 0 || given > most {
            return Err(LaunchDefect::Threads { given, most });
        }
        let given = self.static_shared + launch.shared_bytes;
        if given > MOST_SHARED_BYTES {
            return Err(LaunchDefect::SharedBytes { given, most: MOST_SHARED_BYTES });
        }
        let [width, height, depth] = launch.grid;
        let blocks = width.checked_mul(height).and_then(|blocks| blocks.checked_mul(depth));
        // The largest block numbers are reserved for other writers.
        blocks.filter(|&blocks| blocks > 0 && blocks < u32::MAX / 2).ok_or(LaunchDefect::Grid)
    }
}
