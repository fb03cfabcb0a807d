//! Driver calls that fail while several callers compute on the stand-in: every caller returns, and later ones succeed.

use std::ffi::CStr;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use distilbert::{Device, Error, Precision};
use test_support::cuda::{gpu, logits, small_model};
use test_support::stand_in::{log, on_stand_in};

const CALLERS: usize = 12;

/// Time after which a caller counts as lost. A trial takes less than a second.
const LIMIT: Duration = Duration::from_secs(120);

/// Makes uses of an entry point of the stand-in fail: `times` of them, after `before` that succeed.
fn fail(entry: Option<&CStr>, before: u64, times: u64) {
    type Fail = unsafe extern "C" fn(*const libc::c_char, u64, u64);
    // SAFETY: the library is the stand-in, which the classifier has loaded, and the function has this type.
    unsafe {
        let library = libc::dlopen(c"libcuda.so".as_ptr(), libc::RTLD_NOW);
        assert!(!library.is_null(), "the stand-in is missing");
        let function = libc::dlsym(library, c"standInFail".as_ptr());
        assert!(!function.is_null(), "this is another driver");
        let fail = std::mem::transmute::<*mut libc::c_void, Fail>(function);
        fail(entry.map_or(std::ptr::null(), CStr::as_ptr), before, times);
    }
}

/// Calls from several threads while an entry point fails. Returns the number of calls that failed.
fn trial(model: &Path, precision: Precision, (entry, before, times): (&CStr, u64, u64)) -> usize {
    let gpu = gpu(model, Device::Cuda(0), precision);
    let rows: Vec<Vec<u32>> =
        (0..CALLERS as u32).map(|row| vec![7 + row; 3 + row as usize]).collect();
    let batch = |row: usize| distilbert::TokenBatch::from_rows(&rows[row..=row]).unwrap();
    let expected: Vec<Vec<f32>> = rows[..1].iter().map(|row| logits(&gpu, &[row])).collect();
    fail(Some(entry), before, times);
    let (done, results) = mpsc::channel();
    let mut failed = 0;
    thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (gpu, done, batch) = (&gpu, done.clone(), &batch);
            scope.spawn(move || {
                for call in 0..2 {
                    // The first shape has been captured; others are captured by these calls.
                    let row = if call == 0 { caller } else { 0 };
                    done.send((row, gpu.logits(&batch(row)))).unwrap();
                }
            });
        }
        for _ in 0..2 * CALLERS {
            let Ok((row, result)) = results.recv_timeout(LIMIT) else {
                eprintln!("{entry:?} from use {before} on, {times} times: callers never returned");
                std::process::abort();
            };
            match result {
                Ok(logits) if row == 0 => assert_eq!(logits, expected[0], "{entry:?}"),
                Ok(_) => {}
                Err(Error::Device(_)) => failed += 1,
                Err(error) => panic!("{entry:?}: {error}"),
            }
        }
    });
    // Contexts of failed calls, their graphs and their memory have been dropped by now.
    fail(None, 0, 0);
    // A failed synchronization means that the device is lost, and so are later calls.
    if !entry.to_bytes().ends_with(b"Synchronize") {
        // An error while memory is freed is reported by a later call.
        let last = (0..3).map(|_| gpu.logits(&batch(0))).find_map(Result::ok);
        assert_eq!(last.as_ref(), Some(&expected[0]), "{entry:?} from use {before} on");
    }
    failed
}

/// Entry points that calls use, those of allocations excepted.
const ENTRIES: [&CStr; 18] = [
    c"cuCtxGetCurrent",
    c"cuCtxSetCurrent",
    c"cuStreamCreate",
    c"cuStreamDestroy_v2",
    c"cuStreamBeginCapture_v2",
    c"cuStreamEndCapture",
    c"cuStreamSynchronize",
    c"cuEventCreate",
    c"cuEventSynchronize",
    c"cuMemsetD8Async",
    c"cuMemFreeAsync",
    c"cuMemFreeHost",
    c"cuMemcpyHtoDAsync_v2",
    c"cuMemcpyDtoHAsync_v2",
    c"cuLaunchKernel",
    c"cuGraphInstantiateWithFlags",
    c"cuGraphLaunch",
    c"cuGraphExecDestroy",
];

fn every_entry_fails(times: u64) {
    let folder = small_model(&[("n_layers", 1.into())]);
    for entry in ENTRIES {
        for before in [0, 4, 40] {
            trial(folder.path(), Precision::F16, (entry, before, times));
        }
    }
    let failures = log().iter().filter(|line| line.starts_with("fail ")).count();
    assert!(failures >= ENTRIES.len(), "only {failures} calls have failed");
}

#[test]
fn all_callers_return_after_one_failure() {
    on_stand_in("failures::all_callers_return_after_one_failure", &[], || every_entry_fails(1));
}

#[test]
fn all_callers_return_while_calls_keep_failing() {
    on_stand_in("failures::all_callers_return_while_calls_keep_failing", &[], || {
        every_entry_fails(u64::MAX);
    });
}

/// Callers share the contexts that there are, so that none fails.
#[test]
fn no_caller_fails_for_lack_of_memory_for_another_context() {
    on_stand_in("failures::no_caller_fails_for_lack_of_memory_for_another_context", &[], || {
        let folder = small_model(&[("n_layers", 1.into())]);
        for precision in [Precision::F16, Precision::Int8] {
            for entry in [c"cuMemAllocAsync", c"cuMemHostAlloc"] {
                for before in [0, 1, 5, 13] {
                    let failed = trial(folder.path(), precision, (entry, before, u64::MAX));
                    assert_eq!(failed, 0, "{entry:?} from use {before} on");
                }
            }
        }
        assert!(log().iter().any(|line| line == "fail cuMemAllocAsync"));
        assert!(log().iter().any(|line| line == "fail cuMemHostAlloc"));
    });
}
