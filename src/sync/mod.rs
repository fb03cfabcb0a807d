//! Waiting and process lifetimes, for every engine.

#[cfg(feature = "explain")]
mod once;
mod process;
mod turns;

#[cfg(feature = "explain")]
pub(crate) use self::once::OnceBox;
pub(crate) use self::process::{PerProcess, Process};
pub(crate) use self::turns::{Turn, Turns};
