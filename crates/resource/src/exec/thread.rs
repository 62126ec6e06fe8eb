//! Work that may hang on a disk or a file server, on a thread of its own. Unlike a runtime's pool
//! it reports a machine that gives no thread instead of ending the process (starts threads).

use std::io;
use std::thread::Builder;

use tokio::runtime::Handle;
use tokio::sync::oneshot::{Receiver, channel};

/// Enough for reading files and starting a process; small, because locked memory counts.
const STACK_BYTES: usize = 256 * 1024;

/// Starts `work`; its result arrives through the channel. Dropping the channel does not stop it.
///
/// # Errors
/// When the machine gives no thread (EAGAIN): limits on processes or locked memory.
pub fn start<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Receiver<T>> {
    let (done, result) = channel();
    let runtime = Handle::current();
    Builder::new().name("slow".into()).stack_size(STACK_BYTES).spawn(move || {
        let _inside = runtime.enter();
        // Nobody may wait any more; then the result is dropped here.
        let _ = done.send(work());
    })?;
    Ok(result)
}

/// Runs `work` and waits for it.
///
/// # Errors
/// As [`start`].
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    start(work)?.await.map_err(|_| io::Error::other("a helper thread ended without a result"))
}
