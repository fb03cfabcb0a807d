//! Modules and their functions.

use std::collections::BTreeMap;

use crate::device;
use crate::error::{Error, Result};
use crate::handle::{self, Handle};
use crate::settings::SETTINGS;
use ptx_machine::{Kernel, Module};

#[derive(Default)]
pub struct Modules {
    modules: BTreeMap<Handle, Module>,
    functions: BTreeMap<Handle, Function>,
}

pub struct Function {
    module: Handle,
    pub name: String,
    /// Maximum dynamic shared memory of a launch, if it was set.
    pub most_dynamic_shared: Option<usize>,
}

impl Modules {
    /// Parses a PTX text, whose version the driver and the device must support.
    pub fn load(&mut self, text: &str) -> Result<Handle> {
        let stated = |directive: &str| {
            let line = text.lines().find_map(|line| line.trim().strip_prefix(directive));
            line.map(str::trim).ok_or(Error::InvalidPtx)
        };
        let version = stated(".version")?;
        let (major, minor) = version.split_once('.').ok_or(Error::InvalidPtx)?;
        let number = |text: &str| text.parse::<i32>().map_err(|_| Error::InvalidPtx);
        if (number(major)?, number(minor)?) > SETTINGS.ptx_version() {
            let reason = format_args!("PTX {version} is too new for the driver");
            return Err(Error::UnsupportedPtxVersion.because(reason));
        }
        let target = stated(".target")?;
        let wanted = target.strip_prefix("sm_").ok_or(Error::InvalidPtx)?;
        let (major, minor) = SETTINGS.capability;
        if number(wanted)? > 10 * major + minor {
            let reason = format_args!("{target} is too new for the device");
            return Err(Error::InvalidPtx.because(reason));
        }
        let handle = handle::new();
        self.modules.insert(handle, Module::parse(text)?);
        Ok(handle)
    }

    pub fn unload(&mut self, module: Handle) -> Result<()> {
        self.modules.remove(&module).ok_or(Error::InvalidHandle)?;
        self.functions.retain(|_, function| function.module != module);
        Ok(())
    }

    /// Returns the handle of a function, which is the same on every call.
    pub fn function_named(&mut self, module: Handle, name: &str) -> Result<Handle> {
        let text = self.modules.get(&module).ok_or(Error::InvalidHandle)?;
        text.kernel(name).ok_or(Error::NotFound)?;
        let known = self.functions.iter().find(|(_, f)| f.module == module && f.name == name);
        if let Some((&function, _)) = known {
            return Ok(function);
        }
        let function = handle::new();
        let name = name.to_owned();
        self.functions.insert(function, Function { module, name, most_dynamic_shared: None });
        Ok(function)
    }

    pub fn function(&self, function: Handle) -> Result<(&Module, &Function)> {
        let function = self.functions.get(&function).ok_or(Error::InvalidHandle)?;
        Ok((&self.modules[&function.module], function))
    }

    pub fn kernel(&self, function: Handle) -> Result<&Kernel> {
        let (module, function) = self.function(function)?;
        Ok(module.kernel(&function.name).expect("every function is a kernel of its module"))
    }

    /// Returns an attribute by its number in `CUfunction_attribute`.
    pub fn attribute(&self, function: Handle, number: u32) -> Result<i32> {
        let kernel = self.kernel(function)?;
        let (_, function) = self.function(function)?;
        let (major, minor) = SETTINGS.capability;
        Ok(match number {
            0 => kernel.most_threads.min(1024) as i32,
            1 => kernel.static_shared as i32,
            6 => 10 * major + minor,
            8 => function.most_dynamic_shared.unwrap_or(device::SHARED_BYTES) as i32,
            _ => {
                let reason = format_args!("the function attribute {number} is not modeled");
                return Err(Error::InvalidValue.because(reason));
            }
        })
    }

    /// Sets an attribute; only the maximum dynamic shared memory is supported.
    pub fn set_attribute(&mut self, function: Handle, number: u32, value: i32) -> Result<()> {
        let most = device::most_shared_bytes() - self.kernel(function)?.static_shared;
        let function = self.functions.get_mut(&function).ok_or(Error::InvalidHandle)?;
        match usize::try_from(value) {
            Ok(bytes) if number == 8 && bytes <= most => {
                function.most_dynamic_shared = Some(bytes);
                Ok(())
            }
            _ => Err(Error::InvalidValue),
        }
    }
}
