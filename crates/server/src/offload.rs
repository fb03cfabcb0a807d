//! [`run`]: does the work of requests on the runtime's own threads, or on others if there is much of it.

use crate::failure::{Failure, Kind};

/// Number of bytes whose work is done on the runtime's own threads. There are few of them, so that more would delay other
/// requests.
pub const MAX_INLINE_BYTES: usize = 4 << 10;

/// Does work on a number of bytes.
pub async fn run<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    if bytes <= MAX_INLINE_BYTES {
        return work();
    }
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Failure::new(Kind::Backend, error.to_string()))?
}
