//! Boundary around crates that parse files, whose panics become errors.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs code of another crate and returns its error, or its panic's message, as text.
///
/// Files are checked before they reach the crate, so a panic is a defect of the crate. The process's panic hook still
/// runs and, by default, prints the message: only a process-wide hook could silence it, and that hook belongs to the
/// program.
///
/// # Errors
/// Returns the error of `run`, or a message that names the crate.
pub fn guarded<T, E: ToString>(
    name: &str,
    run: impl FnOnce() -> Result<T, E>,
) -> Result<T, String> {
    // Values that the closure borrows are dropped with the error, not used any more, or, like a tokenizer that encodes,
    // not changed.
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => {
            let message = panic
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            Err(format!("the {name} crate panicked: {}", message.unwrap_or("no message")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panic_becomes_an_error() {
        let found: Result<(), _> =
            guarded("tokenizers", || -> Result<(), String> { panic!("no such token") });
        assert_eq!(found.unwrap_err(), "the tokenizers crate panicked: no such token");
    }
}
