//! `hb doctor`: looks at this machine and says what would keep the pair from working, why, and what
//! to write in its place. It changes nothing: `gather` looks, `rules` judge, `show` prints.

pub(crate) mod facts;
pub(crate) mod finding;
mod firewall;
pub(crate) mod gather;
mod rules;
mod show;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use hb_config::dir::DEFAULT_DIR;

pub(crate) use finding::Area;
use finding::{Level, worst};
use gather::Places;
pub(crate) use show::Report;

use crate::{exit, print};

/// Look at this machine: what would keep the pair from working, why, and what to write
///
/// Links (interfaces, names, the port, the firewall), agents (each is asked to validate, as the daemon
/// would ask it), boot (what starts by itself and what must not), system (the daemon's rights, its
/// files, kernel settings, other managers of addresses). It changes nothing. Run it as root on each
/// node: without root much cannot be seen, which it says.
///
/// Exit status: 0 all is well, 1 warnings, 2 problems.
#[derive(Clone, Debug, Args)]
pub(crate) struct DoctorArgs {
    /// What to look at; all when absent
    #[arg(value_enum, value_name = "AREA")]
    area: Option<Choice>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Directory of the configuration
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DIR)]
    dir: PathBuf,
}

/// An area, or all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Choice {
    /// Interfaces, names, the port, the firewall.
    Links,
    /// The programs that start and stop resources.
    Agents,
    /// What starts when the machine does.
    Boot,
    /// The daemon's process, its files, the kernel, other managers of addresses.
    System,
    /// Everything.
    All,
}

impl Choice {
    fn areas(self) -> Vec<Area> {
        match self {
            Self::Links => vec![Area::Links],
            Self::Agents => vec![Area::Agents],
            Self::Boot => vec![Area::Boot],
            Self::System => vec![Area::System],
            Self::All => Area::ALL.to_vec(),
        }
    }
}

/// Runs `hb doctor`. Exit: 0 well, 1 warnings, 2 problems.
pub(crate) fn run(run_dir: &Path, state_dir: &Path, args: &DoctorArgs) -> ExitCode {
    let areas = args.area.unwrap_or(Choice::All).areas();
    let places = Places {
        dir: args.dir.clone(),
        run_dir: run_dir.to_owned(),
        state_dir: state_dir.to_owned(),
    };
    let report = examine(&places, areas);
    print::out(&if args.json { report.json() } else { report.text() });
    exit::code(code(worst(&report.findings)))
}

/// Looks and judges.
pub(crate) fn examine(places: &Places, areas: Vec<Area>) -> Report {
    let facts = gather::gather(places, &areas);
    let node = facts.config.settings.as_ref().map(|it| it.node.to_string());
    Report { node, findings: rules::judge(&facts, &areas), areas }
}

fn code(worst: Level) -> u8 {
    match worst {
        Level::Problem => exit::USAGE,
        Level::Warning => exit::NEGATIVE,
        Level::Note | Level::Ok => exit::OK,
    }
}
