//! What every fuzz target has in common.

/// Defines the program of a target.
macro_rules! fuzz {
    ($name:literal) => {
        #[global_allocator]
        static ALLOCATOR: fuzz_targets::Counting = fuzz_targets::Counting;

        libfuzzer_sys::fuzz_target!(init: fuzz_targets::abort_on_own_panics(), |input: &[u8]| {
            static TARGET: std::sync::LazyLock<fuzz_targets::Target> =
                std::sync::LazyLock::new(|| fuzz_targets::target($name));
            TARGET(input);
        });
    };
}

pub(crate) use fuzz;
