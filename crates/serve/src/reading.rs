//! What the daemon says, asked for at most once a second however many look (I/O through
//! `hb_cli`). When it cannot be asked, what it kept, with its age. What it means is for others.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hb_cli::history::{self, Past};
use hb_cli::status::{self, Known};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::{Refused, files};

/// What `hb notify` counts, when it runs here.
const NOTIFY_FILE: &str = "/var/lib/hb-notify/notify.json";
/// That file has one line.
const NOTIFY_MAX: usize = 64 << 10;
/// An answer is used for this long.
const FRESH: Duration = Duration::from_millis(900);

/// Reads for all clients.
#[derive(Debug)]
pub(crate) struct Source {
    run_dir: PathBuf,
    state_dir: PathBuf,
    known: Kept<Known>,
    past: Kept<Past>,
}

/// The last answer and when it was given. Who waits for the lock waits for a newer one.
type Kept<T> = Mutex<Option<(Instant, Arc<T>)>>;

impl Source {
    /// Of the daemon with these directories.
    pub(crate) fn new(run_dir: &Path, state_dir: &Path) -> Self {
        Self {
            run_dir: run_dir.to_owned(),
            state_dir: state_dir.to_owned(),
            known: Mutex::default(),
            past: Mutex::default(),
        }
    }

    /// The state of the pair.
    ///
    /// # Errors
    /// When this process cannot ask.
    pub(crate) async fn known(&self) -> Result<Arc<Known>, Refused> {
        let (run_dir, state_dir) = (self.run_dir.clone(), self.state_dir.clone());
        fresh(&self.known, move || status::known(&run_dir, &state_dir)).await
    }

    /// What happened; `None` when nobody knows.
    ///
    /// # Errors
    /// When this process cannot ask.
    pub(crate) async fn past(&self) -> Result<Option<Arc<Past>>, Refused> {
        let mut kept = self.past.lock().await;
        if let Some(past) = still(&kept) {
            return Ok(Some(past));
        }
        let (run_dir, state_dir) = (self.run_dir.clone(), self.state_dir.clone());
        let Ok(past) = blocking(move || history::past(&run_dir, &state_dir)).await? else {
            return Ok(None);
        };
        let past = Arc::new(past);
        *kept = Some((Instant::now(), past.clone()));
        Ok(Some(past))
    }
}

/// Notifications that could not be delivered, as `hb notify` counts them; `None` when it does not say.
pub(crate) async fn notify_failures() -> Option<u64> {
    #[derive(Deserialize)]
    struct Counts {
        failures: u64,
    }
    let read = blocking(|| files::read(Path::new(NOTIFY_FILE), NOTIFY_MAX)).await.ok()?;
    let (bytes, _) = read.ok()?;
    serde_json::from_slice::<Counts>(&bytes).ok().map(|counts| counts.failures)
}

async fn fresh<T: Send + 'static>(
    kept: &Kept<T>,
    ask: impl FnOnce() -> T + Send + 'static,
) -> Result<Arc<T>, Refused> {
    let mut kept = kept.lock().await;
    if let Some(value) = still(&kept) {
        return Ok(value);
    }
    let value = Arc::new(blocking(ask).await?);
    *kept = Some((Instant::now(), value.clone()));
    Ok(value)
}

fn still<T>(kept: &Option<(Instant, Arc<T>)>) -> Option<Arc<T>> {
    let (at, value) = kept.as_ref()?;
    (at.elapsed() < FRESH).then(|| value.clone())
}

async fn blocking<T: Send + 'static>(
    ask: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refused> {
    let done = tokio::task::spawn_blocking(ask).await;
    done.map_err(|error| Refused(format!("the daemon was not asked: {error}")))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_who_look_are_one_question() {
        static ASKED: AtomicU32 = AtomicU32::new(0);
        let kept = Kept::default();
        let ask = || ASKED.fetch_add(1, Ordering::SeqCst) + 1;
        let look = || async { fresh(&kept, ask).await.map(|number| *number).unwrap() };
        let (first, second) = tokio::join!(look(), look());
        assert_eq!((first, second), (1, 1));
        tokio::time::advance(FRESH).await;
        assert_eq!(look().await, 2);
        assert_eq!(ASKED.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn without_a_daemon_nothing_is_invented() {
        let dir = tempfile::tempdir().unwrap();
        let source = Source::new(dir.path(), dir.path());
        let known = source.known().await.unwrap();
        assert!(known.snapshot.is_none() && known.down.is_some());
        assert!(source.past().await.unwrap().is_none());
    }
}
