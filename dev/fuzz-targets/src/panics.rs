//! Panics that end a run.

use std::panic;

/// Makes a panic abort the process even if something catches it, unless it began in a dependency: those that are caught
/// become errors. libFuzzer reports uncaught panics in any case.
pub fn abort_on_own_panics() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map_or("", |location| location.file());
        // Sources of dependencies are in the registry, those of this repository are named relative to a workspace.
        if place.contains("/registry/") {
            return;
        }
        eprintln!("{info}");
        std::process::abort();
    }));
}
