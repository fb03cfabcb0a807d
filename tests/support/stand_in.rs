//! Tests on the stand-in for the NVIDIA driver's library (`tests/driver`), which a process must find when
//! it starts: each runs in one of its own.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names the test that a process was started for.
const MARK: &str = "ON_STAND_IN";

/// Runs the test of this name, which is the caller, in a process that has the stand-in for the driver
/// and these of its settings (`tests/driver/settings.rs`). What fails there fails here, with all that it
/// wrote.
pub fn on_stand_in(test: &str, settings: &[(&str, &str)], body: impl FnOnce()) {
    if is_on_stand_in() {
        return body();
    }
    let mut libraries = vec![library_folder()];
    libraries.extend(env::split_paths(&env::var_os("LD_LIBRARY_PATH").unwrap_or_default()));
    let log = tempfile::NamedTempFile::new().unwrap();
    let child = Command::new(env::current_exe().unwrap())
        .args([test, "--exact", "--include-ignored", "--nocapture", "--test-threads=1"])
        .env("LD_LIBRARY_PATH", env::join_paths(libraries).unwrap())
        .env("STAND_IN_LOG", log.path())
        .env(MARK, test)
        .envs(settings.iter().copied())
        .output()
        .unwrap();
    let [output, errors] =
        [child.stdout, child.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(child.status.success(), "{test} on the stand-in driver:\n{output}{errors}");
    // A name that is no test's would pass with none.
    assert!(output.contains("1 passed"), "`{test}` is not the caller's name");
}

/// Whether this is such a process.
pub fn is_on_stand_in() -> bool {
    env::var_os(MARK).is_some()
}

/// What the driver has done in this process until now (`tests/driver/log.rs`).
pub fn log() -> Vec<String> {
    let log = std::fs::read_to_string(env::var_os("STAND_IN_LOG").unwrap()).unwrap();
    log.lines().map(str::to_owned).collect()
}

/// Where Cargo builds examples, beside the folder of tests. It does so by itself only for all tests.
pub fn library_folder() -> PathBuf {
    let program = env::current_exe().unwrap();
    let folder = program.parent().and_then(|deps| deps.parent()).unwrap().join("examples");
    let library = folder.join("libcuda.so");
    assert!(
        is_up_to_date(&library),
        "{} is missing or older than its sources: `cargo build --release --examples` makes it",
        library.display(),
    );
    folder
}

/// By the list of sources that Cargo puts beside it. The crate's own are in it, but not of use to it.
fn is_up_to_date(library: &Path) -> bool {
    let changed = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    let Ok(sources) = std::fs::read_to_string(library.with_extension("d")) else { return false };
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut own = sources.split_whitespace().map(Path::new).filter(|path| path.starts_with(&tests));
    changed(library)
        .is_some_and(|built| own.all(|path| changed(path).is_some_and(|at| at <= built)))
}
