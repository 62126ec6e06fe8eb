//! From the command line to a running node, in the order that matters: nothing outside of this
//! process changes before the configuration is known to be good and no other instance runs (I/O).
#![expect(clippy::disallowed_methods, reason = "makes directories at start")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use hb_config::settings::{Logging, Settings};
use hb_messaging::net::{Links, Pings};
use hb_node::api::STATUS_SOCKET;
use hb_node::effect::{Level, RestartedMaintenance};
use hb_node::{Identity, Node};
use nix::sys::stat::{Mode, umask};
use nix::unistd::chdir;

use crate::args::{Args, Paths};
use crate::configuration::{self, Loaded};
use crate::control::{self, Control};
use crate::daemonize::{self, Report};
use crate::exit::Fatal;
use crate::fence::Fence;
use crate::history::{FILE_NAME, HistoryFile};
use crate::legacy::hooks::Hooks;
use crate::logging::{Destinations, Logger, unix_s};
use crate::operations::Operations;
use crate::perform::{Edge, Ended};
use crate::pid_file::PidLock;
use crate::record::Recording;
use crate::reload::Reload;
use crate::service::Service;
use crate::shell::Shell;
use crate::signals::Signals;
use crate::watchdog::{self, Watchdog};
use crate::witness::Witness;
use crate::{foreign, hint, host, identity, legacy, realtime};

/// Where Heartbeat's resource scripts keep their scratch files (HA_RSCTMP).
pub(crate) const SCRATCH: &str = "rsctmp";

/// Runs the node until it leaves; returns its exit code.
///
/// # Errors
/// Why it did not start. The reason is in the log as well.
pub(crate) fn run(args: &Args, mut report: Report) -> Result<u8, Fatal> {
    let foreground = matches!(report, Report::Nobody);
    let result = prepare(args, foreground).and_then(|ready| ready.serve(args, &mut report));
    if let Err(error) = &result {
        report.failed(error.code());
    }
    result
}

/// A node that may start.
struct Prepared {
    settings: Settings,
    lock: PidLock,
    logger: Logger,
}

fn prepare(args: &Args, foreground: bool) -> Result<Prepared, Fatal> {
    let node = host::node_name(&args.paths.config)?;
    let destinations = |settings: Logging| Destinations {
        node: node.to_string(),
        settings,
        debug: args.debug.saturating_add(u8::from(args.verbose)),
        foreground,
        history: Some(args.paths.state.join(FILE_NAME)),
    };
    let Loaded { settings, lines, .. } = configuration::load(&args.paths.config, &node)
        .inspect_err(|error| {
            // Standard error gets the drawn form from `main`.
            let logger = Logger::start(Destinations {
                foreground: false,
                ..destinations(configuration::logging_of(&args.paths.config))
            });
            if let Fatal::Config { lines, .. } = error {
                lines.iter().for_each(|(level, line)| logger.say(*level, "config", line));
            }
            let text = "Configuration error, heartbeat not started.";
            logger.say(Level::Error, "config_invalid", text);
            logger.flush();
        })?;
    let starts_left = foreign::end_starts_left();
    let mut lock = PidLock::acquire(&args.paths.pid_file)?;
    if let Some((pid, exe)) = foreign::heartbeat_on_port(settings.udp_port) {
        let (port, exe) = (settings.udp_port, exe.display());
        return Err(Fatal::Foreign { what: format!("pid {pid} ({exe}) uses UDP port {port}") });
    }
    umask(Mode::from_bits_truncate(0o022));
    chdir("/").map_err(Fatal::system("leave the directory"))?;
    directories(&args.paths)?;
    let logger = Logger::start(destinations(settings.logging.clone()));
    for (level, line) in lines {
        logger.say(level, "config", line);
    }
    if starts_left > 0 {
        let text = format!(
            "{starts_left} programs that the heartbeat before this one was starting were waiting for a \
             disk, and were killed"
        );
        logger.say(Level::Warn, "starts_left", text);
    }
    if let Some(pid) = lock.left_by() {
        // Heartbeat 3.0.6 leaves its pid file behind when it is stopped in order; a socket is left
        // only by one of ours that had no time to remove it.
        if args.paths.run.join(STATUS_SOCKET).exists() {
            let text = format!(
                "the heartbeat before this one (pid {pid}) was killed or has crashed; resources \
                 that still run are kept"
            );
            logger.say(Level::Error, "killed", text);
        } else {
            let text = format!(
                "a Heartbeat 3 that has ended (pid {pid}) left its pid file; resources that still \
                 run are kept"
            );
            logger.say(Level::Info, "taken_over", text);
        }
    }
    lock.write(std::process::id())?;
    Ok(Prepared { settings, lock, logger })
}

fn directories(paths: &Paths) -> Result<(), Fatal> {
    for dir in [&paths.state, &paths.run] {
        fs::create_dir_all(dir).map_err(Fatal::path("make", dir.as_path()))?;
    }
    let scratch = paths.run.join(SCRATCH);
    let made = fs::create_dir_all(&scratch)
        .and_then(|()| fs::set_permissions(&scratch, Permissions::from_mode(0o1777)));
    made.map_err(Fatal::path("make", scratch))
}

impl Prepared {
    fn serve(self, args: &Args, report: &mut Report) -> Result<u8, Fatal> {
        let Self { settings, lock, logger } = self;
        let identity = identify(&settings, &args.paths.state, &logger);
        if let Some(priority) = realtime_priority(&settings, args) {
            for refused in realtime::enter(priority) {
                logger.say(Level::Warn, "realtime", refused);
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(4)
            .build()
            .map_err(Fatal::system("start the event loop"))?;
        let maintenance = args
            .in_maintenance
            .map(|left_ms| RestartedMaintenance { left: left_ms.map(Duration::from_millis) });
        let result = runtime.block_on(async {
            let shell = open(&settings, identity, args, &logger, report).await?;
            Ok(shell.run(maintenance).await)
        });
        // A lookup or an agent that hangs must not keep the process.
        runtime.shutdown_background();
        logger.flush();
        // Pid file and sockets stay then: whoever looks must not take it for a stop. The lock is given up
        // here: a child that is being started has it, too, until it is what it is to be.
        if let Ok(Ended::Restart(maintenance)) = result {
            drop(lock);
            return Err(daemonize::restart(maintenance));
        }
        control::remove(&args.paths.run);
        legacy::remove(&args.paths.run);
        lock.remove();
        result.map(Ended::code)
    }
}

/// The real-time priority that is to be asked for.
fn realtime_priority(settings: &Settings, args: &Args) -> Option<u8> {
    let wanted = settings.realtime && !args.no_realtime;
    wanted.then(|| settings.realtime_priority.unwrap_or(realtime::PRIORITY))
}

fn identify(settings: &Settings, state: &Path, logger: &Logger) -> Identity {
    let generation = identity::next_generation(state, settings.generation_source, unix_s());
    let uuid = identity::uuid(state, settings.uuid_source, &settings.node);
    for problem in [&generation.problem, &uuid.problem].into_iter().flatten() {
        logger.say(Level::Error, "state_file", problem);
    }
    logger.say(
        Level::Info,
        "starting",
        format!(
            "heartbeat {} starting as {} with generation {}",
            env!("CARGO_PKG_VERSION"),
            settings.node,
            generation.value
        ),
    );
    Identity { uuid: uuid.value, generation: generation.value, seed: identity::seed() }
}

/// Opens everything that the node talks through. Sockets that do not work are link failures with a
/// reason, not reasons to stay down.
async fn open(
    settings: &Settings,
    identity: Identity,
    args: &Args,
    logger: &Logger,
    report: &mut Report,
) -> Result<Shell, Fatal> {
    let signals = Signals::take()?;
    let priority = realtime_priority(settings, args);
    let (hints, hint_queue) = hint::channel();
    let operations = Operations::open(settings, &args.paths, priority, &hints, logger);
    operations.end_left_agents(logger).await;
    let fence = Fence::open(settings, operations.runner().clone());
    let witness = Witness::open(settings, operations.runner().clone());
    let (pings, warnings) = Pings::open(&settings.pings, identity::seed());
    for warning in warnings {
        logger.say(Level::Warn, "ping_socket", warning);
    }
    let control = Control::open(&args.paths.run, logger);
    legacy::open(&args.paths.run, &args.paths.state, &control.core(), logger);
    let edge = Edge {
        links: Links::open(&settings.media, settings.udp_port),
        pings,
        source: None,
        control,
        hooks: Hooks::open(&args.paths.config, operations.runner().clone(), logger),
        operations,
        hints: hint_queue,
        fence,
        witness,
        watchdog: watchdog(settings, logger)?,
        service: Service::new(),
        logger: logger.clone(),
        report: std::mem::replace(report, Report::Nobody),
    };
    let mut node = Node::new(settings, identity);
    let (kept, unreadable) = HistoryFile::new(args.paths.state.join(FILE_NAME)).read();
    if unreadable > 0 {
        let text = format!("{unreadable} lines of the history cannot be read; the rest is kept");
        logger.say(Level::Warn, "history_damaged", text);
    }
    node.remember(kept.clone());
    let reload = Reload::new(args.paths.config.clone(), settings.clone());
    let native = &settings.native;
    let tells_time = native.failback.window.is_some()
        || native.groups.values().any(|options| options.failback_window.is_some());
    let recording = Recording::begin(settings, identity, &node, kept, logger);
    Ok(Shell::new(node, edge, signals, reload, recording, tells_time))
}

/// The watchdog. A node that is to be reset when it is stuck or isolated does not start without it.
fn watchdog(settings: &Settings, logger: &Logger) -> Result<Watchdog, Fatal> {
    let config = settings.native.watchdog.as_ref();
    match Watchdog::open(config) {
        Ok(watchdog) => {
            if let Some(config) = config
                && let Some(timeout_ms) = watchdog::timeout_ms(&config.device)
                && timeout_ms != config.timeout_ms
            {
                let text = format!(
                    "{} bites after {timeout_ms} ms, not after the {} ms of hb.toml: set its timeout \
                     with its driver's options, or change hb.toml",
                    config.device, config.timeout_ms
                );
                logger.say(Level::Warn, "watchdog", text);
            }
            Ok(watchdog)
        }
        Err(reason) => {
            let required = config
                .is_some_and(|config| config.reboot_when_stuck || config.suicide_when_isolated);
            let text = format!("the watchdog cannot be used: {reason}");
            if required {
                return Err(Fatal::Refused(format!("{text}; [watchdog] of hb.toml relies on it")));
            }
            logger.say(Level::Warn, "watchdog", text);
            Ok(Watchdog::default())
        }
    }
}
