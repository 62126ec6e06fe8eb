//! `hb check`: prints every finding about the configuration files and what it means for the start.
//! The findings themselves come from `hb_config`.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use hb_config::render::{self, Style};
use hb_config::settings::NodeName;
use hb_config::{Loaded, Severity, dir, load};

/// Nothing to do; notes are allowed.
const CLEAN: u8 = 0;
/// Warnings only: the node starts.
const WARNINGS: u8 = 1;
/// Errors, or no directory to read: the node does not start.
const ERRORS: u8 = 3;

/// Width of the drawing where the terminal does not tell.
const DEFAULT_WIDTH: usize = 120;

/// Check ha.cf, haresources, authkeys and hb.toml, each and together.
///
/// Prints all findings with file, line, the marked text and what to do. The daemon starts unless
/// there is an error. `hb explain CODE` tells more about a finding.
///
/// Exit status: 0 no findings but notes, 1 warnings only, 3 errors.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// Directory of the files.
    #[arg(long, value_name = "DIR", default_value = dir::DEFAULT_DIR)]
    dir: PathBuf,
    /// Check for this node instead of this machine.
    ///
    /// Without it the name is the first line of DIR/nodeinfo, or the host name (`uname -n`).
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs `hb check`.
pub(crate) fn run(args: &CheckArgs) -> ExitCode {
    let color = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let width = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let style = Style { color, width: width.unwrap_or(DEFAULT_WIDTH) };
    match check(args, style) {
        Ok((text, code)) => {
            // A reader that went away wants no more text; the exit status stays the answer.
            let _ = io::stdout().lock().write_all(text.as_bytes());
            ExitCode::from(code)
        }
        Err(error) => {
            let dir = args.dir.display();
            let _ = writeln!(
                io::stderr().lock(),
                "hb check: the directory {dir} cannot be read: {error}\n\
                 hint: say where the files are with --dir DIR"
            );
            ExitCode::from(ERRORS)
        }
    }
}

fn check(args: &CheckArgs, style: Style) -> io::Result<(String, u8)> {
    let files = dir::read_dir(&args.dir)?;
    // A host name that cannot be one is a finding of `load`, not a reason to check nothing.
    let own = || dir::own_node_name(&args.dir).ok();
    let node = args.node.as_deref().map(NodeName::new).or_else(own);
    let loaded = load(&files, node.as_ref());
    let code = exit_code(&loaded);
    if args.json {
        return Ok((render::json(&files, &loaded), code));
    }
    let mut text = render::human(&files, &loaded.diagnostics, style);
    let dir = args.dir.to_string_lossy();
    text.push_str(&render::summary(&loaded, &dir, node.as_ref().map(NodeName::as_str)));
    Ok((text, code))
}

fn exit_code(loaded: &Loaded) -> u8 {
    if loaded.has(Severity::Error) {
        ERRORS
    } else if loaded.has(Severity::Warning) {
        WARNINGS
    } else {
        CLEAN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/cli/diagnostics");

    fn output(case: &str, node: &str, json: bool) -> (String, u8) {
        let dir = PathBuf::from(CASES).join(case);
        let args = CheckArgs { dir, node: Some(node.to_owned()), json };
        check(&args, Style::default()).unwrap()
    }

    #[test]
    fn exit_status_tells_the_worst_finding() {
        let loaded = |diagnostics| Loaded { settings: None, diagnostics };
        let found = |code| hb_config::Diagnostic::new(code, "text");
        use hb_config::Code::{NoNodes, OnlyOneNode, SingleLink};
        assert_eq!(exit_code(&loaded(vec![])), CLEAN);
        assert_eq!(exit_code(&loaded(vec![found(SingleLink)])), CLEAN);
        assert_eq!(exit_code(&loaded(vec![found(SingleLink), found(OnlyOneNode)])), WARNINGS);
        assert_eq!(exit_code(&loaded(vec![found(OnlyOneNode), found(NoNodes)])), ERRORS);
    }

    #[test]
    fn a_missing_directory_is_an_error() {
        let dir = PathBuf::from(CASES).join("no-such-case");
        assert!(check(&CheckArgs { dir, node: None, json: false }, Style::default()).is_err());
    }

    #[test]
    fn all_faults_of_the_nginx_pair_are_told() {
        let (text, code) = output("nginx-pair", "zhaijunming", false);
        assert_eq!(code, ERRORS);
        for part in ["HB0101", "HB0301", "did you mean `logfile`?", "ha.cf:2:1", "haresources:1:1"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn json_is_one_object() {
        let (text, _) = output("nginx-pair", "zhaijunming", true);
        let report: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(report["starts"], false);
        assert_eq!(report["diagnostics"][0]["code"], "HB0101");
    }

    #[test]
    fn of_the_samples_only_the_key_is_reported() {
        let dir = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../etc/ha.d"));
        let files = dir::read_dir(&dir).unwrap();
        let loaded = load(&files, Some(&NodeName::new("node1")));
        let mut found: Vec<_> = loaded.diagnostics.iter().map(|it| it.code).collect();
        // A checkout does not keep the mode of authkeys.
        found.retain(|code| *code != hb_config::Code::KeysReadable);
        use hb_config::Code::{FencingAbsent, OnlyTwinbeatMethod, WellKnownKey};
        assert_eq!(found, [FencingAbsent, OnlyTwinbeatMethod, WellKnownKey]);
    }
}
