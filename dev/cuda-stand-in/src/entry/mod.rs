//! The entry points, with the names and types of `cuda.h`. They turn pointers into references and
//! results into codes; what they do is elsewhere.
//!
//! Whoever calls them keeps the driver's contract: a pointer is null or points at what its type says.

#![allow(non_snake_case, reason = "these are the driver's names")]

mod context;
mod execution;
mod memory;
mod stream;

use std::mem::MaybeUninit;

use crate::error::{Error, Result};

/// What is given back through a pointer.
type Out<'a, T> = Option<&'a mut MaybeUninit<T>>;

/// Runs a call and gives its code.
fn code(call: impl FnOnce() -> Result<()>) -> u32 {
    call().map_or_else(|error| error as u32, |()| 0)
}

/// As above, for a call that has something to give back.
fn give<T>(out: Out<T>, call: impl FnOnce() -> Result<T>) -> u32 {
    code(|| {
        let out = out.ok_or(Error::InvalidValue)?;
        out.write(call()?);
        Ok(())
    })
}
