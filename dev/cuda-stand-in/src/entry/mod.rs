//! Entry points, with the names and types of `cuda.h`. They convert pointers to references and results to error codes, and
//! contain no other logic.
//!
//! Callers must follow the driver's contract: a pointer is null or points to a value of its type.

#![allow(non_snake_case, reason = "names of the driver's functions")]

mod context;
mod execution;
mod memory;
mod stream;

use std::mem::MaybeUninit;

use crate::error::{Error, Result};
use crate::failure;

/// Pointer through which a call returns a result.
type Out<'a, T> = Option<&'a mut MaybeUninit<T>>;

/// Runs a call and returns its error code.
fn code<F: FnOnce() -> Result<()>>(call: F) -> u32 {
    failure::check::<F>().and_then(|()| call()).map_or_else(|error| error as u32, |()| 0)
}

/// Runs a call that has a result, writes it through a pointer, and returns the error code.
fn give<T, F: FnOnce() -> Result<T>>(out: Out<T>, call: F) -> u32 {
    code(|| {
        failure::check::<F>()?;
        let out = out.ok_or(Error::InvalidValue)?;
        out.write(call()?);
        Ok(())
    })
}
