//! `hb report`: one archive for a bug report, without secrets. `collect` looks at the machine,
//! `secrets` finds and covers what must not be told, `archive` writes. It changes nothing else.

mod archive;
mod collect;
mod secrets;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use hb_config::dir::DEFAULT_DIR;
use jiff::{Timestamp, Zoned};

use crate::history::since;
use crate::{exit, print};

/// Collect what a bug report needs into one archive, secrets covered
///
/// Configuration, status, history, logs, the recording, what `hb doctor` says, and the state of the
/// network. Keys, passwords and the content of files that hold them are covered in every part; the
/// file MANIFEST in the archive says what is in it and what is not. Look into it before you send it:
/// names and addresses of your machines are not covered.
#[derive(Clone, Debug, Args)]
pub(crate) struct ReportArgs {
    /// Logs and history since then: 30m, 2h, 7d, 17:20, 2026-11-08
    #[arg(long, value_name = "TIME", default_value = "1d")]
    since: String,
    /// The archive; in this directory when absent. A file that is there is not written over
    #[arg(long, short, value_name = "FILE.tar.gz")]
    output: Option<PathBuf>,
    /// Directory of the configuration
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DIR)]
    dir: PathBuf,
}

/// One file of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// Below the archive's own directory.
    path: String,
    /// What it is, in words.
    about: String,
    /// Why it is not there, when it is not.
    content: Result<Vec<u8>, String>,
}

/// Runs `hb report`. Exit: 0 written, 1 not.
pub(crate) fn run(run_dir: &Path, state_dir: &Path, args: &ReportArgs) -> ExitCode {
    match report(run_dir, state_dir, args) {
        Ok(text) => {
            print::out(&text);
            exit::code(exit::OK)
        }
        Err(error) => {
            print::err(&format!("hb report: {error}\n"));
            exit::code(exit::NEGATIVE)
        }
    }
}

/// Writes the archive; what is said of it.
///
/// # Errors
/// In words: the time cannot be read, the file cannot be written.
fn report(run_dir: &Path, state_dir: &Path, args: &ReportArgs) -> Result<String, String> {
    let now = Zoned::now();
    let since_ms = since::parse(&args.since, &now)?;
    let places = collect::Places {
        dir: args.dir.clone(),
        run_dir: run_dir.to_owned(),
        state_dir: state_dir.to_owned(),
    };
    let collected = collect::collect(&places, since_ms);
    let name = format!("hb-report-{}-{}", collected.node, now.strftime("%Y%m%d-%H%M%S"));
    let output = args.output.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.tar.gz")));
    let head = format!(
        "hb {} on {}, {}\nlogs and history since {}\n",
        env!("CARGO_PKG_VERSION"),
        collected.node,
        now.strftime("%Y-%m-%d %H:%M:%S %z"),
        Timestamp::from_millisecond(i64::try_from(since_ms).unwrap_or(0))
            .map(|at| at.to_string())
            .unwrap_or_default(),
    );
    let at = u64::try_from(now.timestamp().as_second()).unwrap_or(0);
    let made = archive::archive(&name, &head, at, collected.entries, &collected.secrets);
    let bytes = made.map_err(|error| error.to_string())?;
    archive::write(&output, &bytes).map_err(|error| format!("{}: {error}", output.display()))?;
    let shown = output.display();
    let root = if nix::unistd::geteuid().is_root() {
        ""
    } else {
        "Not as root: much could not be read; MANIFEST says what.\n"
    };
    Ok(format!(
        "{shown}: {} KiB, {} secrets covered\n{root}Look into it before you send it: `tar tzf {shown}`; \
         it names your machines and addresses.\n",
        bytes.len().div_ceil(1024),
        collected.secrets.count(),
    ))
}
