//! Typed kernel parameters, checked before a launch.

use std::borrow::Cow;

use cudarc::driver::{DeviceRepr, LaunchArgs, PushKernelArg};

use super::super::memory::{DeviceSlice, Element};
use crate::error::{DeviceError, Result};

/// Grid, and threads of each block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaunchSize {
    pub grid: [usize; 3],
    pub threads: u32,
}

/// Parameter types as PTX declares them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterType {
    U64,
    U32,
    F32,
}

/// Type of one kernel parameter.
///
/// # Safety
/// A value begins with the bytes of a parameter of type `TYPE`.
pub unsafe trait Parameter: DeviceRepr {
    const TYPE: ParameterType;
}

// SAFETY: the first field is the address, and the struct is `repr(C)`.
unsafe impl<T: Element> DeviceRepr for DeviceSlice<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Element> Parameter for DeviceSlice<'_, T> {
    const TYPE: ParameterType = ParameterType::U64;
}
// SAFETY: an `f32` is the value of 4 bytes that PTX declares as `.f32`.
unsafe impl Parameter for f32 {
    const TYPE: ParameterType = ParameterType::F32;
}

/// Nonnegative `int` parameter.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Size(i32);

impl Size {
    /// Converts a size, or fails if it does not fit an `int`.
    pub fn new(size: usize) -> Result<Self> {
        i32::try_from(size).map(Self).map_err(|_| {
            let reason = format!("size {size} exceeds {}", i32::MAX);
            DeviceError::Cuda { operation: "launch a kernel", reason }.into()
        })
    }

    pub fn get(self) -> usize {
        // `new` checks that it is not negative.
        self.0.unsigned_abs() as usize
    }
}

// SAFETY: a transparent wrapper of an `int`.
unsafe impl DeviceRepr for Size {}
// SAFETY: as above; PTX declares `int` parameters as `.u32`.
unsafe impl Parameter for Size {
    const TYPE: ParameterType = ParameterType::U32;
}

/// Indices on the device that are known to be below a bound.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Indices<'m> {
    values: DeviceSlice<'m, u32>,
    bound: usize,
}

impl<'m> Indices<'m> {
    /// # Safety
    /// Whenever a kernel reads `values`, all of them are below `bound`.
    pub unsafe fn new(values: DeviceSlice<'m, u32>, bound: usize) -> Self {
        Self { values, bound }
    }

    pub fn len(self) -> usize {
        self.values.len()
    }

    /// Exclusive upper bound of the values.
    pub fn bound(self) -> usize {
        self.bound
    }
}

// SAFETY: the struct is `repr(C)` and begins with a slice, which begins with its address.
unsafe impl DeviceRepr for Indices<'_> {}
// SAFETY: as above.
unsafe impl Parameter for Indices<'_> {
    const TYPE: ParameterType = ParameterType::U64;
}

/// Parameters in the order in which a kernel declares them. Implemented by [`kernel_parameters!`], and
/// compared with the PTX in tests.
pub trait ParameterList {
    #[cfg_attr(not(test), expect(dead_code, reason = "tests compare them with the PTX"))]
    const TYPES: &'static [ParameterType];

    /// Adds the parameters to a launch.
    fn push<'a>(&'a self, launch: &mut LaunchArgs<'a>);
}

/// Parameters of a kernel, which know whether they fit each other.
///
/// # Safety
/// `ParameterList` pushes the parameters of the kernel named by `kernel`. If `launch_size` succeeds, a
/// launch of that size accesses no memory outside the slices, and `launch_size` meets all other
/// requirements at the top of the kernel's source.
pub unsafe trait KernelParameters: ParameterList {
    /// Returns the kernel's entry point.
    fn kernel(&self) -> Cow<'static, str>;

    /// Checks the parameters and returns the size of the launch.
    fn launch_size(&self) -> Result<LaunchSize>;
}

/// Defines a parameter struct: the kernel's parameters in order and, after `host`, values that only
/// determine the kernel's name or the size of the launch.
macro_rules! kernel_parameters {
    (
        $(#[$meta:meta])*
        $name:ident<$memory:lifetime> { $($field:ident: $type:ty,)* }
        $(host { $($host_field:ident: $host_type:ty,)* })?
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy)]
        pub struct $name<$memory> {
            $(pub $field: $type,)*
            $($(pub $host_field: $host_type,)*)?
        }

        impl<$memory> $crate::cuda::kernels::parameters::ParameterList for $name<$memory> {
            const TYPES: &'static [$crate::cuda::kernels::parameters::ParameterType] =
                &[$(<$type as $crate::cuda::kernels::parameters::Parameter>::TYPE),*];

            fn push<'a>(&'a self, launch: &mut cudarc::driver::LaunchArgs<'a>) {
                $($crate::cuda::kernels::parameters::push_parameter(launch, &self.$field);)*
            }
        }
    };
}
pub(super) use kernel_parameters;

/// Adds one parameter to a launch.
pub fn push_parameter<'a, P: Parameter>(launch: &mut LaunchArgs<'a>, parameter: &'a P) {
    launch.arg(parameter);
}

/// Returns an error that names the kernel and the requirement unless it holds.
pub fn require(kernel: &str, requirement: &str, holds: bool) -> Result<()> {
    if holds {
        return Ok(());
    }
    let reason = format!("`{kernel}` requires {requirement}");
    Err(DeviceError::Cuda { operation: "launch a kernel", reason }.into())
}
