//! Keeps the daemon running where no service manager does: starts it again when it was killed, at once
//! and so that its peer sees a restart and not a death; gives up on one that is killed again and
//! again, and then takes down the addresses that it has left, for the peer has them by then (I/O).
#![expect(
    clippy::disallowed_methods,
    reason = "waits, and reads the clock, in a process of its own"
)]

use std::collections::VecDeque;
use std::thread::sleep;
use std::time::{Duration, Instant};

use hb_config::settings::{AddressSpec, BuiltIn, Settings};
use hb_node::effect::Level;
use hb_resource::address::{Removal, remove_tagged};

use crate::args::Args;
use crate::configuration::{self, Loaded};
use crate::exit::Exit;
use crate::host;
use crate::logging::{Destinations, Logger};
use crate::pid_file::PidLock;

/// Starts within [`BURST_WINDOW`] after which it is given up: what kills it kills the next one too.
const BURST_MAX: usize = 5;
/// What they are counted over.
const BURST_WINDOW: Duration = Duration::from_secs(60);
/// Pauses before the starts of a burst. The first is none, and all of them together are shorter than
/// a second: a peer with an ordinary dead time sees no death.
const PAUSES: [Duration; BURST_MAX] = [
    Duration::ZERO,
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
];
/// How much longer than its dead time the peer may need to take over.
const SLACK: Duration = Duration::from_secs(1);
/// Dead time when the configuration cannot be read any more (default of ha.cf).
const DEADTIME: Duration = Duration::from_secs(30);

/// When the daemon was started within the window.
#[derive(Debug, Default)]
pub(crate) struct Burst(VecDeque<Instant>);

impl Burst {
    /// How long to wait before the next start; `None` when it is given up.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Duration> {
        while self.0.front().is_some_and(|start| now.duration_since(*start) >= BURST_WINDOW) {
            self.0.pop_front();
        }
        let pause = PAUSES.get(self.0.len()).copied()?;
        self.0.push_back(now);
        Some(pause)
    }
}

/// The daemon is not started any more: once the peer has had time to take over, no address is left
/// here that it has, too. Services go on; nobody can know how to stop them without their manager.
pub(crate) fn give_up(args: &Args) {
    let settings = settings(args);
    let deadtime = settings
        .as_ref()
        .map_or(DEADTIME, |settings| Duration::from_millis(settings.timing.deadtime_ms));
    let logger = logger(args, settings.as_ref());
    let say = |level, text: String| {
        if let Some(logger) = &logger {
            logger.say(level, "given_up", text);
        }
    };
    let wait_ms = (deadtime + SLACK).as_millis();
    say(
        Level::Error,
        format!(
            "heartbeat ended again and again and is not started any more: start it by hand when \
             that is mended; its addresses are removed in {wait_ms} ms"
        ),
    );
    sleep(deadtime + SLACK);
    // Somebody has started it meanwhile: the addresses are in good hands. Otherwise nobody may start
    // it while they are removed.
    let Ok(lock) = PidLock::acquire(&args.paths.pid_file) else { return };
    let specs: Option<Vec<AddressSpec>> = settings.as_ref().map(addresses);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let removal = match runtime {
        Ok(runtime) => runtime.block_on(remove_tagged(specs.as_deref())),
        Err(error) => Removal { problems: vec![error.to_string()], ..Removal::default() },
    };
    for address in &removal.removed {
        say(Level::Warn, format!("{address} was removed: nobody manages it here"));
    }
    for problem in removal.problems {
        say(Level::Error, format!("an address could not be removed: {problem}"));
    }
    if let Some(logger) = &logger {
        logger.flush();
    }
    drop(lock);
}

/// Exit code of a guardian that has given up.
pub(crate) fn given_up_code() -> u8 {
    Exit::General.code()
}

fn settings(args: &Args) -> Option<Settings> {
    let node = host::node_name(&args.paths.config).ok()?;
    let Loaded { settings, .. } = configuration::load(&args.paths.config, &node).ok()?;
    Some(settings)
}

fn addresses(settings: &Settings) -> Vec<AddressSpec> {
    let resources = settings.groups.iter().flat_map(|group| &group.resources);
    resources
        .filter_map(|resource| match &resource.built_in {
            Some(BuiltIn::Address(spec)) => Some(spec.clone()),
            Some(BuiltIn::SendArp { .. }) | None => None,
        })
        .collect()
}

fn logger(args: &Args, settings: Option<&Settings>) -> Option<Logger> {
    let settings = settings?;
    Some(Logger::start(Destinations {
        node: settings.node.to_string(),
        settings: settings.logging.clone(),
        debug: args.debug,
        foreground: false,
        history: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_short_and_ends() {
        let (mut burst, now) = (Burst::default(), Instant::now());
        let pauses: Vec<_> = std::iter::from_fn(|| burst.next(now)).collect();
        assert_eq!(pauses, PAUSES);
        assert!(pauses.iter().sum::<Duration>() < Duration::from_secs(1));
        assert_eq!(burst.next(now + BURST_WINDOW - Duration::from_millis(1)), None);
        assert_eq!(burst.next(now + BURST_WINDOW), Some(Duration::ZERO));
    }
}
