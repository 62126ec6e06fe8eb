//! `hb migrate scan`: what changes when Twinbeat takes the place of Heartbeat 3, what must be
//! changed before, and the plan with its commands. It looks and says; it changes nothing but the
//! file of `--plan`.

mod compare;
mod directives;
mod finding;
mod judge;
mod look;
mod plan;
mod report;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use hb_config::dir::DEFAULT_DIR;

use finding::Readiness;
use look::{Installation, Places};
use report::Report;

/// Ready as it is.
const READY: u8 = 0;
/// Ready; something should be known or done.
const REMARKS: u8 = 1;
/// Not before changes, or nothing to look at.
const NOT_YET: u8 = 3;

/// What leads from Heartbeat 3 to Twinbeat
#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Scan(ScanArgs),
}

/// Say whether this Heartbeat 3 installation can be replaced one node at a time, and how.
///
/// Prints the verdict, each finding with its cure, and the plan with its commands. Keys are
/// compared and never shown, and of resource scripts only their size is looked at.
///
/// Exit status: 0 ready, 1 ready with remarks, 3 not before changes.
#[derive(Debug, Args)]
pub(crate) struct ScanArgs {
    /// Directory of ha.cf, haresources and authkeys.
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DIR)]
    dir: PathBuf,
    /// A copy of the other node's directory, to be compared with this one.
    #[arg(long, value_name = "DIR")]
    other: Option<PathBuf>,
    /// Look for this node instead of this machine.
    ///
    /// Without it the name is the first line of DIR/nodeinfo, or the host name (`uname -n`).
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Write findings and plan to this file, as Markdown.
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Where the rest of the machine is looked for.
    #[arg(long, hide = true, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

/// Runs `hb migrate`.
pub(crate) fn run(args: &MigrateArgs) -> ExitCode {
    let Verb::Scan(args) = &args.verb;
    match scan(args) {
        Ok(report) => ExitCode::from(print(args, &report)),
        Err(error) => {
            let _ = writeln!(io::stderr().lock(), "hb migrate scan: {error}");
            ExitCode::from(NOT_YET)
        }
    }
}

/// Looks and judges.
///
/// # Errors
/// A directory that cannot be read, in words.
fn scan(args: &ScanArgs) -> Result<Report, String> {
    let read = |dir: &PathBuf| {
        Installation::read(dir, args.node.as_deref()).map_err(|error| {
            let dir = dir.display();
            format!(
                "the directory {dir} cannot be read: {error}\n\
                 hint: --dir DIR says where ha.cf is, --other DIR where the other node's copy is"
            )
        })
    };
    let here = read(&args.dir)?;
    let other = args.other.as_ref().map(read).transpose()?;
    let machine = look::machine(&here, &args.dir, &Places::below(&args.root));
    Ok(judge::judge(&here, &machine, other.as_ref()))
}

fn print(args: &ScanArgs, report: &Report) -> u8 {
    let text = if args.json { report.json() } else { report.text() };
    // A reader that went away wants no more text; the exit status stays the answer.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    if let Some(path) = &args.plan {
        if let Err(error) = look::write(path, &report.markdown()) {
            let path = path.display();
            let _ = writeln!(io::stderr().lock(), "hb migrate scan: {path}: {error}");
            return NOT_YET;
        }
        if !args.json {
            let _ = writeln!(io::stdout().lock(), "\nWritten to {}.", path.display());
        }
    }
    exit_code(report)
}

fn exit_code(report: &Report) -> u8 {
    match report.readiness() {
        Readiness::Ready => READY,
        Readiness::Remarks => REMARKS,
        Readiness::NotYet => NOT_YET,
    }
}
