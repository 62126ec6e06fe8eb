//! Work that may hang on a disk or a file server, on a thread of its own. Unlike a runtime's pool
//! it reports a machine that gives no thread instead of ending the process (starts threads).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Builder;

use tokio::runtime::Handle;
use tokio::sync::oneshot::{Receiver, channel};
use tokio::time::{Instant, timeout_at};

/// Work that hangs although its time is over. Each costs a thread, and perhaps a process.
const HANGING_MAX: usize = 64;
/// What the thread is called, and a process that it has begun until the kernel has read its program.
pub const NAME: &str = "slow";
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
    Builder::new().name(NAME.into()).stack_size(STACK_BYTES).spawn(move || {
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

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoResult {
    /// Its time was over first.
    #[error("its file system does not answer")]
    Late,
    /// Nothing was begun.
    #[error("{HANGING_MAX} others hang already: a disk or file server does not answer")]
    TooMany,
    /// As [`start`].
    #[error(transparent)]
    NoThread(#[from] io::Error),
}

/// Work that hangs. It cannot be ended, so there is a limit. Clones are one count.
#[derive(Clone, Debug, Default)]
pub(super) struct Hanging(Arc<AtomicUsize>);

impl Hanging {
    /// Runs `work` and waits for it until `deadline`. What has not begun by then never does.
    ///
    /// # Errors
    /// Without a result.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        deadline: Instant,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NoResult> {
        if self.0.load(Ordering::Acquire) >= HANGING_MAX {
            return Err(NoResult::TooMany);
        }
        let race = Arc::new(Race { hanging: self.clone(), is_decided: AtomicBool::default() });
        let (work_ends, patience_ends) = (WorkEnds(Arc::clone(&race)), PatienceEnds(race));
        let task = run(move || {
            let is_late = work_ends.0.is_decided.load(Ordering::Acquire);
            (!is_late).then(work)
        });
        let result = timeout_at(deadline, task).await;
        drop(patience_ends);
        result.map_or(Err(NoResult::Late), |result| result?.ok_or(NoResult::Late))
    }
}

/// Work against the patience of whoever waits for it. When patience ends first, the work counts until it
/// ends itself.
#[derive(Debug)]
struct Race {
    hanging: Hanging,
    /// Set by the first of the two; the second finds it set.
    is_decided: AtomicBool,
}

impl Race {
    fn ends(&self) {
        if self.is_decided.swap(true, Ordering::AcqRel) {
            self.hanging.0.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// Dropped when the work is over, or never begins.
struct WorkEnds(Arc<Race>);

impl Drop for WorkEnds {
    fn drop(&mut self) {
        self.0.ends();
    }
}

/// Dropped when nobody waits any more: there is a result, time is over, or the operation is cancelled.
struct PatienceEnds(Arc<Race>);

impl Drop for PatienceEnds {
    fn drop(&mut self) {
        self.0.hanging.0.fetch_add(1, Ordering::AcqRel);
        self.0.ends();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn what_hangs_is_counted_until_it_is_over_and_limited() {
        let hanging = Hanging::default();
        let counted = || hanging.0.load(Ordering::Acquire);
        let long = || Instant::now() + Duration::from_secs(60);
        assert_eq!(hanging.run(long(), || 7).await.unwrap(), 7);
        assert_eq!(counted(), 0);

        let (goes_on, hangs) = mpsc::channel::<()>();
        let hangs = Arc::new(std::sync::Mutex::new(hangs));
        // What has not begun in time is over at once.
        while counted() < HANGING_MAX {
            let hangs = Arc::clone(&hangs);
            let work = move || hangs.lock().unwrap().recv();
            let end = hanging.run(Instant::now() + Duration::from_millis(10), work).await;
            assert!(matches!(end, Err(NoResult::Late)), "{end:?}");
        }
        assert!(matches!(hanging.run(long(), || 7).await, Err(NoResult::TooMany)));
        drop(goes_on);
        while counted() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(hanging.run(long(), || 7).await.unwrap(), 7);
    }
}
