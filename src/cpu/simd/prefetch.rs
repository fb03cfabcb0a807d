//! Prefetching.

/// Prefetches `bytes` bytes from `at` on into L2. The memory need not exist.
#[inline(always)]
pub(crate) fn prefetch(at: *const u8, bytes: usize) {
    for line in (0..bytes).step_by(64) {
        let line = at.wrapping_add(line);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: every x86-64 has SSE; prefetching changes nothing but the caches and never faults.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T1>(line.cast());
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: prefetching changes nothing but the caches and never faults.
        unsafe {
            std::arch::asm!(
                "prfm pldl2keep, [{}]",
                in(reg) line,
                options(readonly, nostack, preserves_flags)
            );
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let _ = line;
    }
}
