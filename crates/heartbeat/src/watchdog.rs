//! The kernel's watchdog: fed as long as the core says that it decides, left alone when the core wants
//! this machine reset, disarmed at an orderly end (I/O, a thread). It decides nothing, and without
//! `[watchdog]` nothing is ever opened.
//!
//! Only writing is used, as the kernel's watchdog API allows: any write feeds, `V` before the close
//! disarms (magic close). The device keeps the timeout that it has; a timeout of hb.toml that is
//! longer than that is told. A regular file stands in for a device in tests: each feed is a line.
#![expect(clippy::disallowed_methods, reason = "opens and writes the device, on a thread")]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{Builder, JoinHandle};

use hb_config::settings::Watchdog as Config;

/// What feeds: no `V` in it.
const FEED: &[u8] = b"fed\n";
/// Magic close.
const DISARM: &[u8] = b"V";
/// Feeds that may wait for the device: a feed that waits says no more than one.
const WAITING_MAX: usize = 1;
/// Small, because locked memory counts.
const STACK_BYTES: usize = 256 * 1024;

/// The armed watchdog, or none.
#[derive(Debug, Default)]
pub(crate) struct Watchdog(Option<Armed>);

#[derive(Debug)]
struct Armed {
    feeds: SyncSender<()>,
    /// Ends with the device when the last sender is gone.
    thread: JoinHandle<File>,
}

impl Watchdog {
    /// Opens and so arms the device, when one is configured.
    ///
    /// # Errors
    /// Why it cannot be used, in words.
    pub(crate) fn open(config: Option<&Config>) -> Result<Self, String> {
        let Some(config) = config else { return Ok(Self(None)) };
        let explain = |error: io::Error| match error.raw_os_error() {
            Some(code) if code == nix::errno::Errno::EBUSY as i32 => {
                format!("{}: another program has it (systemd's RuntimeWatchdogSec?)", config.device)
            }
            Some(_) | None => format!("{}: {error}", config.device),
        };
        let device = OpenOptions::new().append(true).open(&config.device).map_err(explain)?;
        let (feeds, queue) = sync_channel(WAITING_MAX);
        let thread = Builder::new()
            .name("watchdog".into())
            .stack_size(STACK_BYTES)
            .spawn(move || serve(device, &queue))
            .map_err(explain)?;
        Ok(Self(Some(Armed { feeds, thread })))
    }

    /// The core has decided something; never waits.
    pub(crate) fn feed(&self) {
        if let Some(armed) = &self.0 {
            match armed.feeds.try_send(()) {
                // A device that does not take its feeds bites, as it should.
                Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
            }
        }
    }

    /// Not fed and not disarmed any more, whatever follows: the machine is reset.
    pub(crate) fn let_it_bite(&mut self) {
        if let Some(armed) = self.0.take() {
            // The thread keeps the device open: closing it could disarm some drivers.
            std::mem::forget(armed);
        }
    }

    /// An orderly end: the machine is not reset.
    ///
    /// # Errors
    /// Why the device may still bite.
    pub(crate) fn disarm(&mut self) -> io::Result<()> {
        let Some(Armed { feeds, thread }) = self.0.take() else { return Ok(()) };
        drop(feeds);
        let mut device = thread.join().map_err(|_| io::Error::other("its thread has crashed"))?;
        device.write_all(DISARM)
    }
}

fn serve(mut device: File, queue: &Receiver<()>) -> File {
    while queue.recv().is_ok() {
        if let Err(error) = device.write_all(FEED) {
            tracing::error!(%error, "the watchdog does not take its feed");
        }
    }
    device
}

/// The timeout in ms that the kernel names for a device, if it says so.
pub(crate) fn timeout_ms(device: &str) -> Option<u64> {
    let name = Path::new(device).file_name()?.to_str()?;
    // The old name stands for the first device.
    let name = if name == "watchdog" { "watchdog0" } else { name };
    let text = fs::read_to_string(Path::new("/sys/class/watchdog").join(name).join("timeout"));
    text.ok()?.trim().parse::<u64>().ok()?.checked_mul(1_000)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn config(device: &Path) -> Config {
        Config {
            device: device.to_string_lossy().into_owned(),
            timeout_ms: 60_000,
            reboot_when_stuck: true,
            suicide_when_isolated: false,
        }
    }

    fn wait_for(path: &Path, text: &str) {
        let begin = Instant::now();
        while fs::read_to_string(path).unwrap() != text {
            assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", fs::read_to_string(path));
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn fed_and_disarmed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("watchdog");
        File::create(&path).unwrap();
        let mut dog = Watchdog::open(Some(&config(&path))).expect("opens");
        dog.feed();
        wait_for(&path, "fed\n");
        dog.feed();
        wait_for(&path, "fed\nfed\n");
        dog.disarm().expect("disarmed");
        wait_for(&path, "fed\nfed\nV");
        dog.feed();
        wait_for(&path, "fed\nfed\nV");
    }

    #[test]
    fn let_go_it_is_neither_fed_nor_disarmed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("watchdog");
        File::create(&path).unwrap();
        let mut dog = Watchdog::open(Some(&config(&path))).expect("opens");
        dog.feed();
        wait_for(&path, "fed\n");
        dog.let_it_bite();
        dog.feed();
        dog.disarm().expect("nothing to do");
        drop(dog);
        wait_for(&path, "fed\n");
    }

    #[test]
    fn without_a_device_there_is_none() {
        let mut dog = Watchdog::open(None).expect("none");
        dog.feed();
        dog.let_it_bite();
        dog.disarm().expect("nothing to do");
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing");
        let error = Watchdog::open(Some(&config(&missing))).expect_err("not made");
        assert!(error.contains("missing"), "{error}");
        assert!(!missing.exists(), "a device that is not there is not made");
    }
}
