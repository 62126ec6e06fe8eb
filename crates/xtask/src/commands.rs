//! The command lines of the programs, as clap knows them: for man pages, completions and checks of
//! the guide.

use clap::Command;

/// `hb`
pub(crate) fn hb() -> Command {
    hb_cli::command::tree()
}

/// `heartbeat`
pub(crate) fn heartbeat() -> Command {
    hb_heartbeat::command_line()
}

/// Names under which `hb` is one of its verbs.
pub(crate) const LEGACY: [(&str, &str); 2] =
    [("hb_standby", "standby"), ("hb_takeover", "takeover")];

/// `hb_standby` or `hb_takeover`: the verb under its legacy name.
pub(crate) fn legacy(name: &'static str, verb: &str) -> Command {
    let mut tree = hb();
    tree.build();
    let verb = tree.find_subcommand(verb).cloned().unwrap_or_default();
    verb.name(name).bin_name(name).display_name(name)
}
