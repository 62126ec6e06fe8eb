//! Heartbeat's FIFO: making it, reading it without ever waiting for it, and asking the core for
//! what is written there (I/O). A writer gets no answer, so each outcome is in the log.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hb_node::api::Response;
use hb_node::effect::Level;
use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::{OpenOptions, Receiver};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::control::Core;
use crate::legacy::fifo_text::{Command, Cutter, command};
use crate::logging::Logger;

/// Commands that may wait for their outcome. More than one is a script in a loop.
const WAITING_MAX: usize = 8;
/// Bytes that are read at a time.
const CHUNK: usize = 4096;
/// How long reading rests after a failure.
const REST: Duration = Duration::from_secs(1);

/// Makes the FIFO where there is none and listens to it.
pub(super) fn open(path: &Path, core: &Core, logger: &Logger) {
    let reader = make(path, logger).and_then(|()| {
        // Open for writing too: then there is a reader whenever a script opens it, and no end of
        // file when the script closes it.
        OpenOptions::new().read_write(true).open_receiver(path)
    });
    match reader {
        Ok(reader) => {
            tokio::spawn(listen(reader, core.clone(), logger.clone()));
        }
        Err(error) => {
            let text = format!(
                "no FIFO {}: {error}; Heartbeat's own hb_standby and hb_takeover cannot reach us",
                path.display()
            );
            logger.say(Level::Error, "no_fifo", text);
        }
    }
}

/// Makes sure that a FIFO of ours, for us alone, is at `path`.
fn make(path: &Path, logger: &Logger) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if is_ours(&found) => return Ok(()),
        Ok(found) => {
            let what = if found.file_type().is_fifo() { "a FIFO for others" } else { "no FIFO" };
            // Fails on a directory, which nobody made by mistake.
            fs::remove_file(path)?;
            let text = format!("{} was {what} and is replaced", path.display());
            logger.say(Level::Warn, "fifo_replaced", text);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR)?)
}

fn is_ours(found: &fs::Metadata) -> bool {
    found.file_type().is_fifo() && found.uid() == geteuid().as_raw() && found.mode() & 0o077 == 0
}

async fn listen(mut reader: Receiver, core: Core, logger: Logger) {
    let waiting = Arc::new(Semaphore::new(WAITING_MAX));
    let mut cutter = Cutter::default();
    let mut found = Vec::new();
    let mut chunk = [0; CHUNK];
    loop {
        let length = match reader.read(&mut chunk).await {
            Ok(length @ 1..) => length,
            // We hold a writer ourselves: there is no end.
            Ok(0) => {
                sleep(REST).await;
                continue;
            }
            Err(error) => {
                logger.say(Level::Error, "fifo", format!("reading the FIFO: {error}"));
                sleep(REST).await;
                continue;
            }
        };
        cutter.push(chunk.get(..length).unwrap_or_default(), &mut found);
        for message in found.drain(..) {
            match message.and_then(|message| command(&message)) {
                Ok(command) => carry_out(command, &waiting, &core, &logger),
                Err(reason) => {
                    let text = format!("message in the FIFO: {reason}");
                    logger.say(Level::Warn, "fifo_refused", text);
                }
            }
        }
    }
}

/// Asks the core and logs what came of it, without holding up the next message.
fn carry_out(command: Command, waiting: &Arc<Semaphore>, core: &Core, logger: &Logger) {
    let Command { text, request } = command;
    let Ok(slot) = Arc::clone(waiting).try_acquire_owned() else {
        let text = format!("{text} refused: {WAITING_MAX} commands of the FIFO are waiting");
        logger.say(Level::Warn, "fifo_refused", text);
        return;
    };
    logger.say(Level::Info, "fifo_command", format!("Command over the FIFO: {text}"));
    let (core, logger) = (core.clone(), logger.clone());
    tokio::spawn(async move {
        let (level, outcome) = match core.ask(request).await {
            Some(Response::Done { text }) => (Level::Info, text),
            Some(Response::Error { text }) => (Level::Warn, text),
            Some(Response::Status(_) | Response::History(_) | Response::Changes { .. }) | None => {
                (Level::Warn, "the daemon ended before it was done".into())
            }
        };
        logger.say(level, "fifo_outcome", format!("{text}: {outcome}"));
        drop(slot);
    });
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "writes files of the tests")]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn kind(path: &Path) -> (bool, u32) {
        let found = fs::symlink_metadata(path).expect("it is there");
        (found.file_type().is_fifo(), found.mode() & 0o777)
    }

    #[test]
    fn a_fifo_for_us_alone_is_made_whatever_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        let logger = Logger::to_nobody();
        let make = || make(&path, &logger).expect("writable");
        make();
        assert_eq!(kind(&path), (true, 0o600));
        let inode = || fs::metadata(&path).expect("it is there").ino();
        let first = inode();
        make();
        assert_eq!(inode(), first, "a FIFO of ours stays");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("ours");
        make();
        assert_eq!(kind(&path), (true, 0o600));
        for plant in [|path: &Path| fs::write(path, "x"), |path: &Path| symlink("/nowhere", path)] {
            fs::remove_file(&path).expect("ours");
            plant(&path).expect("writable");
            make();
            assert_eq!(kind(&path), (true, 0o600));
        }
    }

    #[test]
    fn a_directory_in_its_place_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        fs::create_dir(&path).expect("writable");
        assert!(make(&path, &Logger::to_nobody()).is_err());
        assert!(path.is_dir());
    }
}
