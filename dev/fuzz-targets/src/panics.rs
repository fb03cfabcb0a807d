//! Panics that end a run.

use std::backtrace::Backtrace;
use std::panic;

/// Crates of the standard library, and of this repository.
const STANDARD: [&str; 3] = ["std", "core", "alloc"];
const OWN: [&str; 3] = ["distilbert", "fuzz_targets", "test_support"];

/// Makes a panic abort the process even if something catches it, unless it began in a dependency: those that are caught
/// become errors. libFuzzer reports uncaught panics in any case.
pub fn abort_on_own_panics() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map_or("", |location| location.file());
        // Sources of dependencies are in the registry, those of this repository are named relative to a workspace.
        if place.contains("/registry/") {
            return;
        }
        // The standard library's own code panics on behalf of whoever called it.
        let trace = place.starts_with("/rustc/").then(Backtrace::force_capture);
        if trace.as_ref().is_some_and(|trace| is_of_dependency(&trace.to_string())) {
            return;
        }
        eprintln!("{info}");
        if let Some(trace) = trace {
            eprintln!("{trace}");
        }
        std::process::abort();
    }));
}

/// Returns `true` if the function that called the standard library's panicking code is a dependency's.
fn is_of_dependency(trace: &str) -> bool {
    // Lines with places follow some of the names.
    let names = trace.lines().filter_map(|line| line.trim().split_once(": "));
    let names = names.filter(|(index, _)| index.bytes().all(|byte| byte.is_ascii_digit()));
    let behind =
        names.map(|(_, name)| name).skip_while(|name| !name.starts_with("core::panicking"));
    let mut crates = behind.filter_map(|name| {
        let name = name.trim_start_matches(|char: char| !char.is_alphanumeric());
        name.split_once("::").map(|(first, _)| first)
    });
    let caller = crates.find(|name| !STANDARD.contains(name));
    caller.is_some_and(|name| !OWN.iter().any(|own| name.starts_with(own)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_of_the_standard_library_are_found() {
        let trace = |caller: &str| {
            let above =
                "   0: fuzz_targets::panics::hook\n   1: std::panicking::rust_panic_with_hook\n";
            let end = "   7: fuzz_targets::table::parquet\n   8: main\n";
            let panicking = "   2: core::panicking::panic_fmt\n             at /rustc/1: 2\n   3: core::iter::sum\n";
            format!("{above}{panicking}   4: {caller}\n{end}")
        };
        assert!(is_of_dependency(&trace("parquet::arrow::build")));
        assert!(is_of_dependency(&trace("<&parquet::Item as core::iter::Iterator>::next")));
        assert!(!is_of_dependency(&trace("<distilbert_cli::table::Row as core::fmt::Debug>::fmt")));
        assert!(!is_of_dependency(&trace("distilbert::model::load")));
        assert!(!is_of_dependency("no frames: at all"));
    }
}
