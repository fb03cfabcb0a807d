//! Failures that a test asks for.

use std::any::type_name;
use std::ffi::{CStr, c_char};
use std::sync::{Mutex, PoisonError};

use crate::driver;
use crate::error::{Error, Result};
use crate::log;

static PLAN: Mutex<Option<Plan>> = Mutex::new(None);

struct Plan {
    /// Name of an entry point.
    entry: String,
    /// Uses that succeed before the first failure.
    before: u64,
    /// Uses that fail after that.
    times: u64,
}

/// Makes uses of an entry point fail: `times` of them, after `before` that succeed. A null pointer ends the failures.
/// Not part of the driver.
///
/// Allocations fail for lack of memory. A failing synchronization makes every later call fail, as in the driver.
///
/// # Safety
/// The name must be null or a null-terminated string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn standInFail(entry: *const c_char, before: u64, times: u64) {
    let plan = (!entry.is_null()).then(|| {
        // SAFETY: guaranteed by the caller.
        let entry = unsafe { CStr::from_ptr(entry) }.to_string_lossy().into_owned();
        Plan { entry, before, times }
    });
    *PLAN.lock().unwrap_or_else(PoisonError::into_inner) = plan;
}

/// Fails if a test asks for it. `F` is a closure of an entry point, whose name is part of the closure's.
pub fn check<F>() -> Result<()> {
    let Some(entry) = entry_of(type_name::<F>()) else { return Ok(()) };
    {
        let mut plan = PLAN.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(plan) = plan.as_mut().filter(|plan| plan.entry == entry) else { return Ok(()) };
        if plan.before > 0 {
            plan.before -= 1;
            return Ok(());
        }
        if plan.times == 0 {
            return Ok(());
        }
        plan.times -= 1;
    }
    log::line(format_args!("fail {entry}"));
    if entry.contains("Alloc") {
        return Err(Error::OutOfMemory);
    }
    if entry.ends_with("Synchronize") {
        driver::fail_current(Error::LaunchFailed);
    }
    Err(Error::LaunchFailed)
}

/// Returns the name of the function that a closure belongs to.
fn entry_of(closure: &str) -> Option<&str> {
    closure.strip_suffix("::{{closure}}")?.rsplit("::").next()
}
