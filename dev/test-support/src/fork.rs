//! Tests in forked children.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Seconds after which a child counts as hanging.
const LIMIT: u32 = 60;

/// Runs `body` in a forked child, and returns `true` if it succeeds.
pub fn succeeds_in_child(body: impl FnOnce()) -> bool {
    // SAFETY: the child runs `body` on its only thread and then ends without returning to the test.
    match unsafe { libc::fork() } {
        -1 => panic!("the system refuses to fork"),
        0 => {
            // SAFETY: neither function touches memory of this program.
            unsafe { libc::alarm(LIMIT) };
            let result = catch_unwind(AssertUnwindSafe(body));
            // SAFETY: as above.
            unsafe { libc::_exit(i32::from(result.is_err())) }
        }
        child => {
            let mut status = -1;
            // SAFETY: the child is this thread's to wait for, and `status` is writable.
            let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
            assert_eq!(waited, child);
            status == 0
        }
    }
}
