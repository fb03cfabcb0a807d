//! [`Executor`]: the instruction set and the threads that an operation runs on.

use super::parallel::team::Leader;
use super::simd::SelectedIsa;

/// An instruction set and the threads of one call.
pub(crate) struct Executor<'a> {
    pub isa: SelectedIsa,
    pub leader: Leader<'a>,
}

impl Executor<'_> {
    /// Returns an executor in place of this one, which cannot be used in the meantime.
    #[cfg(feature = "explain")]
    pub fn reborrow(&mut self) -> Executor<'_> {
        Executor { isa: self.isa, leader: self.leader.reborrow() }
    }
}
