//! Tests on the stand-in for the NVIDIA driver library (`dev/cuda-stand-in`). A process must find it when it starts, so
//! each test runs in a process of its own.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command;

/// Environment variable with the name of the test that a process was started for.
const MARK: &str = "ON_STAND_IN";

/// Runs the calling test, which must have the name `test`, in a process that has the stand-in for the driver and these
/// settings (`dev/cuda-stand-in/src/settings.rs`). If the process fails, the test fails with its output.
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
    // With a wrong name, zero tests would run and pass.
    assert!(output.contains("1 passed"), "`{test}` is not the caller's name");
}

/// Returns `true` in a process with the stand-in.
pub fn is_on_stand_in() -> bool {
    env::var_os(MARK).is_some()
}

/// Returns the log of the driver in this process (`dev/cuda-stand-in/src/log.rs`).
pub fn log() -> Vec<String> {
    let log = std::fs::read_to_string(env::var_os("STAND_IN_LOG").unwrap()).unwrap();
    log.lines().map(str::to_owned).collect()
}

/// Creates a folder whose only file is `libcuda.so`, a link to the stand-in.
///
/// Cargo builds the stand-in next to the tests, as a development dependency. It has another name there because Cargo adds
/// that folder to the library path of everything it runs.
pub fn library_folder() -> PathBuf {
    let program = env::current_exe().unwrap();
    let dependencies = program.parent().unwrap();
    let library = dependencies.join("libcuda_stand_in.so");
    assert!(library.is_file(), "{} is missing", library.display());
    let folder = dependencies.with_file_name("cuda-stand-in");
    fs::create_dir_all(&folder).unwrap();
    match std::os::unix::fs::symlink("../deps/libcuda_stand_in.so", folder.join("libcuda.so")) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => panic!("{error}"),
        _ => folder,
    }
}
