//! The command line of `hb`, also under its legacy names `hb_standby`, `hb_takeover` and
//! `cl_status`. What a verb does is in a module of its own.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::moves::{self, CleanupArgs, Direction, MoveArgs};
use crate::{
    address, check, cl_status, companion, completions, demo, doctor, drill, explain, history, key,
    lab, migrate, operate, plan, probe, push, reload, report, status, tune, ui, why, witness,
};

/// Looks at and operates a two-node Twinbeat cluster
#[derive(Debug, Parser)]
#[command(name = "hb", version, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    /// Directory of the daemon's sockets
    #[arg(long, global = true, value_name = "DIR", default_value = hb_node::api::RUN_DIR)]
    run_dir: PathBuf,
    /// Directory of what the daemon keeps over restarts
    #[arg(long, global = true, hide = true, value_name = "DIR", default_value = hb_node::api::STATE_DIR)]
    state_dir: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Is it fine, who is active, can it fail over, what to do
    Status(status::StatusArgs),
    Ui(ui::UiArgs),
    /// What happened, each thing with its cause, who asked, how long each part took, and the outage
    History(history::HistoryArgs),
    /// The chain of reasons: why it is so, since when, what would come next, what to do
    Why(why::WhyArgs),
    Plan(plan::PlanArgs),
    /// Give groups to the other node and wait until it has them
    Standby(MoveArgs),
    /// Get groups from the other node and wait until they run here
    Takeover(MoveArgs),
    /// Forget failures of a group and try it again
    Cleanup(CleanupArgs),
    Maintenance(operate::MaintenanceArgs),
    Fence(operate::FenceArgs),
    Reload(reload::ReloadArgs),
    PushConfig(push::PushArgs),
    Drill(drill::DrillArgs),
    Check(check::CheckArgs),
    Doctor(doctor::DoctorArgs),
    Report(report::ReportArgs),
    Explain(explain::ExplainArgs),
    Migrate(migrate::MigrateArgs),
    Key(key::KeyArgs),
    /// Play failovers on this machine: two nodes in namespaces, and a client that measures
    Demo(demo::Args),
    /// Leave a pair alone on a busy machine and count false alarms
    Soak(demo::soak::SoakArgs),
    Tune(tune::TuneArgs),
    /// Set, remove, look at or announce a floating address
    Address(address::AddressArgs),
    #[command(hide = true)]
    Probe(probe::ProbeArgs),
    #[command(hide = true)]
    Witness(witness::WitnessArgs),
    Serve(companion::ServeArgs),
    Notify(companion::NotifyArgs),
    Completions(completions::CompletionsArgs),
    /// What monitoring scripts of Heartbeat ask, with its words and exit codes
    #[command(name = "cl_status", disable_help_flag = true)]
    ClStatus {
        /// Words as of cl_status
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
}

/// The whole program: takes the words of the command line apart and hands over to a verb.
pub fn main() -> ExitCode {
    lab::help_if_asked();
    let args: Vec<String> = std::env::args().collect();
    let cli = Cli::parse_from(under_legacy_name(args));
    let run_dir = cli.run_dir.as_path();
    let state_dir = cli.state_dir.as_path();
    match cli.verb {
        Verb::Status(args) => status::run(run_dir, state_dir, &args),
        Verb::Ui(args) => ui::run(run_dir, state_dir, &args),
        Verb::History(args) => history::run(run_dir, state_dir, &args),
        Verb::Why(args) => why::run(run_dir, state_dir, &args),
        Verb::Plan(args) => plan::run(run_dir, state_dir, &args),
        Verb::Standby(args) => moves::run(run_dir, Direction::Standby, &args),
        Verb::Takeover(args) => moves::run(run_dir, Direction::Takeover, &args),
        Verb::Cleanup(args) => moves::cleanup(run_dir, &args),
        Verb::Maintenance(args) => operate::maintenance(run_dir, &args),
        Verb::Fence(args) => operate::fence(run_dir, &args),
        Verb::Reload(args) => reload::run(run_dir, &args),
        Verb::PushConfig(args) => push::run(&args),
        Verb::Drill(args) => drill::run(run_dir, state_dir, &args),
        Verb::Probe(args) => probe::run(run_dir, &args),
        Verb::Witness(args) => witness::run(run_dir, &args),
        Verb::Check(args) => check::run(&args),
        Verb::Report(args) => report::run(run_dir, state_dir, &args),
        Verb::Doctor(args) => doctor::run(run_dir, state_dir, &args),
        Verb::Explain(args) => explain::run(&args),
        Verb::Migrate(args) => migrate::run(&args),
        Verb::Key(args) => key::run(run_dir, &args),
        Verb::Demo(args) => demo::run(&args),
        Verb::Soak(args) => demo::soak::run(&args),
        Verb::Tune(args) => tune::run(run_dir, &args),
        Verb::Address(args) => address::run(&args),
        Verb::Serve(_) => companion::become_program("hb-serve"),
        Verb::Notify(_) => companion::become_program("hb-notify"),
        Verb::Completions(args) => completions::run(&args),
        Verb::ClStatus { words } => cl_status::run(run_dir, &words),
    }
}

/// The command line as clap knows it: for man pages, completions and checks of the documentation.
pub fn tree() -> clap::Command {
    Cli::command()
}

/// Called as `hb_standby all`, the program behaves as `hb standby all`.
fn under_legacy_name(args: Vec<String>) -> Vec<String> {
    let name = args.first().and_then(|path| Path::new(path).file_name()?.to_str()).unwrap_or("hb");
    let verb = match name {
        "hb_standby" => "standby",
        "hb_takeover" => "takeover",
        "cl_status" => "cl_status",
        _ => return args,
    };
    let rest = args.iter().skip(1).cloned();
    ["hb".to_owned(), verb.to_owned()].into_iter().chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        tree().debug_assert();
    }

    #[test]
    fn legacy_names_become_verbs() {
        let check = |args: &[&str], expected: &[&str]| {
            let args = args.iter().map(ToString::to_string).collect();
            assert_eq!(under_legacy_name(args), expected);
        };
        check(&["/usr/bin/cl_status", "rscstatus", "-m"], &["hb", "cl_status", "rscstatus", "-m"]);
        check(&["hb_standby"], &["hb", "standby"]);
        check(&["/x/hb_takeover", "local"], &["hb", "takeover", "local"]);
        check(&["/usr/bin/hb", "status"], &["/usr/bin/hb", "status"]);
    }
}
