//! Operations of streams and graphs.

use std::fmt;
use std::sync::Arc;

use crate::device;
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::host::{HostRange, PinnedMemory};
use crate::log;
use crate::memory::DeviceMemory;
use crate::module::Modules;
use crate::stream::Point;
use ptx_machine::{Argument, Launch};

#[derive(Clone)]
pub enum Operation {
    Kernel(KernelLaunch),
    CopyToDevice {
        to: u64,
        from: HostSource,
    },
    /// Copy to pinned memory. Copies to other memory are not operations, since the host waits for them.
    CopyToHost {
        to: HostRange,
        from: u64,
    },
    CopyOnDevice {
        to: u64,
        from: u64,
        len: usize,
    },
    Fill {
        at: u64,
        byte: u8,
        len: usize,
    },
    Free {
        address: u64,
    },
    Wait(Point),
    Graph(Arc<[Operation]>),
}

/// Memory that is read when the copy runs.
#[derive(Clone)]
pub enum HostSource {
    Pinned(HostRange),
    /// Other memory, and its bytes when the copy was queued, which must still be there.
    Pageable(HostRange, Arc<[u8]>),
}

/// Kernel launch. The arguments are copied, so later changes of the host's variables have no effect.
#[derive(Clone)]
pub struct KernelLaunch {
    pub function: Handle,
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub shared_bytes: usize,
    pub arguments: Vec<Argument>,
}

/// State that operations work on.
pub struct Resources {
    pub memory: DeviceMemory,
    pub pinned: PinnedMemory,
    pub modules: Modules,
}

impl Resources {
    /// Runs an operation other than a wait, which is between streams.
    pub fn run(&mut self, operation: &Operation) -> Result<()> {
        self.run_indented(operation, "")
    }

    fn run_indented(&mut self, operation: &Operation, indent: &str) -> Result<()> {
        let note = |text: fmt::Arguments| log::line(format_args!("{indent}{text}"));
        match operation {
            Operation::Kernel(launch) => self.run_kernel(launch, &note)?,
            Operation::CopyToDevice { to, from } => {
                let bytes: Arc<[u8]> = match from {
                    HostSource::Pinned(range) => self.pinned.read(*range)?.into(),
                    HostSource::Pageable(range, queued) => {
                        if range.read()[..] != queued[..] {
                            let reason = "pageable memory changed before its copy had run";
                            return Err(Error::IllegalAddress.because(reason));
                        }
                        queued.clone()
                    }
                };
                note(format_args!("copy_to_device {}", bytes.len()));
                self.memory.bytes.write(*to, &bytes)?;
            }
            Operation::CopyToHost { to, from } => {
                note(format_args!("copy_to_host {}", to.len));
                self.pinned.write(*to, &self.memory.bytes.read(*from, to.len)?)?;
            }
            Operation::CopyOnDevice { to, from, len } => {
                note(format_args!("copy_on_device {len}"));
                let bytes = self.memory.bytes.read(*from, *len)?;
                self.memory.bytes.write(*to, &bytes)?;
            }
            Operation::Fill { at, byte, len } => {
                note(format_args!("fill {len}"));
                self.memory.bytes.write(*at, &vec![*byte; *len])?;
            }
            Operation::Free { address } => {
                note(format_args!("free"));
                self.memory.free(*address)?;
            }
            Operation::Graph(nodes) => {
                note(format_args!("graph {}", nodes.len()));
                nodes.iter().try_for_each(|node| self.run_indented(node, "  "))?;
            }
            Operation::Wait(_) => unreachable!("streams handle waits, and graphs contain none"),
        }
        Ok(())
    }

    fn run_kernel(&mut self, launch: &KernelLaunch, note: &dyn Fn(fmt::Arguments)) -> Result<()> {
        let Ok((module, function)) = self.modules.function(launch.function) else {
            return Err(Error::LaunchFailed
                .because("the kernel's module was unloaded before the launch ran"));
        };
        let [x, y, z] = launch.grid;
        note(format_args!("kernel {} {x}x{y}x{z}", function.name));
        module.launch(&mut self.memory.bytes, &launch.on_machine(&function.name))?;
        Ok(())
    }

    /// Checks a launch before it is queued.
    pub fn check(&self, launch: &KernelLaunch) -> Result<()> {
        let kernel = self.modules.kernel(launch.function)?;
        let (_, function) = self.modules.function(launch.function)?;
        let refuse = |reason: fmt::Arguments| {
            Err(Error::InvalidValue.because(format_args!("kernel {}: {reason}", function.name)))
        };
        if let Err(defect) = kernel.check(&launch.on_machine(&function.name)) {
            return refuse(format_args!("{defect}"));
        }
        let ([x, y, z], [_, _, depth]) = (launch.grid, launch.block);
        if x > i32::MAX as u32 || y > 65535 || z > 65535 || depth > 64 {
            return refuse(format_args!("blocks {:?} of threads {:?}", launch.grid, launch.block));
        }
        let default = device::SHARED_BYTES - kernel.static_shared.min(device::SHARED_BYTES);
        let most = function.most_dynamic_shared.unwrap_or(default);
        if launch.shared_bytes > most {
            let given = launch.shared_bytes;
            return refuse(format_args!(
                "{given} bytes of dynamic shared memory exceed the limit of {most}"
            ));
        }
        Ok(())
    }
}

impl KernelLaunch {
    fn on_machine<'a>(&'a self, kernel: &'a str) -> Launch<'a> {
        Launch {
            kernel,
            grid: self.grid,
            block: self.block,
            shared_bytes: self.shared_bytes,
            arguments: &self.arguments,
        }
    }
}
