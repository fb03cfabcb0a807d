//! Log of the driver's operations, for tests that count them.
//!
//! `STAND_IN_LOG` is the path of a file that gets one line per operation, in the order in which they run, with the number
//! of bytes, blocks or nodes:
//!
//! ```text
//! kernel layer_norm 4x1x1
//! copy_to_device 1024        copy_to_host, copy_on_device, fill
//! graph 52                   with a line, indented, for each node
//! allocate 1024              free; allocate_pinned, free_pinned
//! load_module
//! begin_capture              end_capture 52, instantiate 52
//! synchronize_stream         synchronize_event, synchronize
//! error: the reason, as on standard error
//! ```

use std::env;
use std::fmt::Display;
use std::fs::File;
use std::io::Write;
use std::sync::LazyLock;

static FILE: LazyLock<Option<File>> = LazyLock::new(|| {
    let path = env::var_os("STAND_IN_LOG")?;
    let file = File::options().append(true).create(true).open(&path);
    Some(file.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
});

pub fn line(text: impl Display) {
    if let Some(mut file) = FILE.as_ref() {
        // In one write, so that lines don't interleave.
        file.write_all(format!("{text}\n").as_bytes()).expect("failed to write STAND_IN_LOG");
    }
}
