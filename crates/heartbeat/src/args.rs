//! The command line: Heartbeat 3.0.6's letters, and long options for tests that keep a daemon away
//! from the machine's own directories. It decides nothing but which of them were given.

use std::path::PathBuf;

use clap::{ArgAction, Args as ClapArgs, Parser};

/// What `-V` prints after the program's name.
const VERSION: &str =
    concat!(env!("CARGO_PKG_VERSION"), " (Twinbeat; speaks the protocol of Heartbeat 3.0.6)");

/// Two-node high availability: keeps addresses and services on one of two machines.
///
/// Without an option it becomes a daemon and returns when the daemon is ready or has failed.
#[derive(Clone, Debug, Parser)]
#[command(name = "heartbeat", version = VERSION, disable_help_subcommand = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) mode: Mode,
    /// Say more in the log; twice: also each packet
    #[arg(short, action = ArgAction::Count)]
    pub(crate) debug: u8,
    /// Say more in the log (the same as one -d)
    #[arg(short)]
    pub(crate) verbose: bool,
    /// Without real-time scheduling and locked memory
    #[arg(short = 'l')]
    pub(crate) no_realtime: bool,
    #[command(flatten)]
    pub(crate) paths: Paths,
    /// Which stage of becoming a daemon this process is.
    #[arg(long, hide = true, value_name = "STAGE")]
    pub(crate) daemon_stage: Option<u8>,
    /// Begin in maintenance, for this many ms or until it is ended: it was when the daemon started anew.
    #[arg(long, hide = true, value_name = "MS", require_equals = true, num_args = 0..=1)]
    pub(crate) in_maintenance: Option<Option<u64>>,
    /// Remove the addresses of a daemon that does not come back, for heartbeat-gave-up.service.
    #[arg(long, hide = true)]
    pub(crate) gave_up: bool,
}

impl Args {
    /// The same with paths that stay right when the daemon leaves its directory.
    pub(crate) fn with_absolute_paths(mut self) -> Self {
        let Paths { config, state, run, pid_file } = &mut self.paths;
        for path in [config, state, run, pid_file] {
            if let Ok(absolute) = std::path::absolute(&*path) {
                *path = absolute;
            }
        }
        self
    }
}

/// What to do; one at most.
#[derive(Clone, Copy, Debug, ClapArgs)]
#[group(multiple = false)]
pub(crate) struct Mode {
    /// Stay in the foreground
    #[arg(short = 'f')]
    pub(crate) foreground: bool,
    /// Say whether it runs: exit code 0 yes, 3 no, 1 no but a pid file is left
    #[arg(short = 's')]
    pub(crate) status: bool,
    /// Stop it and wait until everything is released
    #[arg(short = 'k')]
    pub(crate) stop: bool,
    /// Check the configuration, then make the running daemon read it again
    #[arg(short = 'r')]
    pub(crate) reload: bool,
    /// Run the program on the disk in the place of the running one (after an upgrade, or to use a
    /// changed configuration); resources go on
    #[arg(long)]
    pub(crate) restart: bool,
}

/// Where things are. The defaults are Heartbeat's own paths.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Paths {
    /// Directory of ha.cf, haresources, authkeys, hb.toml and resource.d
    #[arg(long = "config-dir", hide = true, value_name = "DIR", default_value = "/etc/ha.d")]
    pub(crate) config: PathBuf,
    /// Directory of hb_generation, hb_uuid and history.jsonl
    #[arg(
        long = "state-dir",
        hide = true,
        value_name = "DIR",
        default_value = "/var/lib/heartbeat"
    )]
    pub(crate) state: PathBuf,
    /// Directory of status.sock and control.sock
    #[arg(long = "run-dir", hide = true, value_name = "DIR", default_value = "/run/heartbeat")]
    pub(crate) run: PathBuf,
    /// Pid file
    #[arg(
        long = "pid-file",
        hide = true,
        value_name = "FILE",
        default_value = "/run/heartbeat.pid"
    )]
    pub(crate) pid_file: PathBuf,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn modes_exclude_each_other() {
        assert!(Args::try_parse_from(["heartbeat", "-s", "-k"]).is_err());
        assert!(Args::try_parse_from(["heartbeat", "-f", "-r"]).is_err());
    }

    #[test]
    fn letters_combine_as_in_heartbeat() {
        let args = Args::try_parse_from(["heartbeat", "-fddl"]).expect("valid");
        assert!(args.mode.foreground && args.no_realtime);
        assert_eq!(args.debug, 2);
        assert_eq!(args.paths.config, PathBuf::from("/etc/ha.d"));
    }
}
