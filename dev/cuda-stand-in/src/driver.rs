//! State of the driver: contexts, and the current context of each thread.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use crate::context::Context;
use crate::device;
use crate::error::{Error, Result};
use crate::handle::{self, Handle};
use crate::settings::SETTINGS;

static DRIVER: Mutex<Driver> = Mutex::new(Driver {
    is_initialized: false,
    contexts: BTreeMap::new(),
    primaries: BTreeMap::new(),
});

thread_local! {
    static CURRENT: Cell<Handle> = const { Cell::new(handle::NULL) };
}

pub struct Driver {
    is_initialized: bool,
    contexts: BTreeMap<Handle, Context>,
    /// Primary context of each device that has one, and its reference count.
    primaries: BTreeMap<usize, (Handle, usize)>,
}

/// Locks the global state. A call holds the lock until it returns, so calls never overlap.
fn lock() -> MutexGuard<'static, Driver> {
    DRIVER.lock().expect("a panic ends the process")
}

pub fn initialize() -> Result<()> {
    if SETTINGS.devices == 0 {
        return Err(Error::NoDevice);
    }
    lock().is_initialized = true;
    Ok(())
}

/// Checks a device number. The driver must be initialized.
pub fn device(ordinal: i32) -> Result<usize> {
    initialized().and_then(|_| device::check(ordinal))
}

pub fn initialized() -> Result<MutexGuard<'static, Driver>> {
    let driver = lock();
    if driver.is_initialized { Ok(driver) } else { Err(Error::NotInitialized) }
}

/// Calls a function with the current context of this thread.
pub fn in_context<T>(call: impl FnOnce(&mut Context) -> Result<T>) -> Result<T> {
    let mut driver = initialized()?;
    let context = driver.contexts.get_mut(&CURRENT.get()).ok_or(Error::InvalidContext)?;
    context.check()?;
    call(context)
}

/// Makes every later call in the current context of this thread fail.
pub fn fail_current(error: Error) {
    if let Some(context) = lock().contexts.get_mut(&CURRENT.get()) {
        context.fail(error);
    }
}

pub fn current() -> Handle {
    CURRENT.get()
}

pub fn set_current(context: Handle) -> Result<()> {
    if context != handle::NULL && !initialized()?.contexts.contains_key(&context) {
        return Err(Error::InvalidContext);
    }
    CURRENT.set(context);
    Ok(())
}

/// Retains the device's primary context, and creates it if there is none.
pub fn retain_primary(ordinal: i32) -> Result<Handle> {
    let ordinal = device(ordinal)?;
    let mut driver = lock();
    let (context, count) = driver.primaries.entry(ordinal).or_insert_with(|| (handle::new(), 0));
    *count += 1;
    let context = *context;
    driver.contexts.entry(context).or_insert_with(|| Context::of(ordinal));
    Ok(context)
}

/// Releases the primary context; the last release destroys it.
pub fn release_primary(ordinal: i32) -> Result<()> {
    let ordinal = device(ordinal)?;
    let mut driver = lock();
    let (context, count) = driver.primaries.get_mut(&ordinal).ok_or(Error::InvalidContext)?;
    *count -= 1;
    if *count == 0 {
        let context = *context;
        driver.primaries.remove(&ordinal);
        driver.contexts.remove(&context);
    }
    Ok(())
}
