//! The probes of hb.toml: questions over the network that belong to the check of a resource. Each is
//! a child of its own, `hb probe`, as the daemon speaks no HTTP (starts processes).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hb_config::settings::{Probe, Settings};
use hb_resource::exec::Runner;
use hb_resource::operation::Outcome;

use crate::tool;

/// What a probe may take beyond its own limit, which it keeps by itself: starting it, on a machine
/// that is busy.
const SLACK: Duration = Duration::from_secs(1);
/// Exit code of `hb probe`: the answer is not what it should be, and standard output says why.
const BAD: i32 = 1;

/// Probes by resource as written in haresources.
#[derive(Clone, Debug)]
pub(crate) struct Probes {
    /// Why there is none, when there is none.
    program: Result<PathBuf, String>,
    by_resource: BTreeMap<String, Vec<Probe>>,
}

impl Probes {
    /// Finds the program: beside that of this process, else in `path`.
    pub(crate) fn open(settings: &Settings, path: &str) -> Self {
        Self::new(settings, tool::find(path))
    }

    /// With this program, or why there is none.
    pub(crate) fn new(settings: &Settings, program: Result<PathBuf, String>) -> Self {
        let by_resource = settings.native.resources.iter();
        let by_resource: BTreeMap<_, _> = by_resource
            .filter(|(_, options)| !options.probes.is_empty())
            .map(|(text, options)| (text.clone(), options.probes.clone()))
            .collect();
        Self { program, by_resource }
    }

    /// Asks the probes of `resource` one after the other, until one is bad.
    pub(crate) async fn ask(&self, runner: &Runner, resource: &str) -> Outcome {
        for probe in self.by_resource.get(resource).into_iter().flatten() {
            let program = match &self.program {
                Ok(program) => program,
                Err(reason) => return Outcome::CouldNotRun { reason: reason.clone() },
            };
            let outcome = ask(runner, program, probe).await;
            if outcome != Outcome::Ok {
                return outcome;
            }
        }
        Outcome::Ok
    }
}

async fn ask(runner: &Runner, program: &Path, probe: &Probe) -> Outcome {
    let (args, limit_ms) = arguments(probe);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let limit = Duration::from_millis(limit_ms) + SLACK;
    match runner.run_check(program, &args, limit).await {
        Outcome::Failed { code: Some(BAD), reason } => Outcome::Failed { code: None, reason },
        Outcome::Failed { code, reason } => {
            let how = code.map_or_else(String::new, |code| format!(" (exit code {code})"));
            Outcome::CouldNotRun { reason: format!("hb probe{how}: {reason}") }
        }
        same @ (Outcome::Ok
        | Outcome::NotRunning
        | Outcome::TimedOut
        | Outcome::CouldNotRun { .. }) => same,
    }
}

/// The words of one probe, and its limit in ms. Values stand in the word of their option, so that
/// one that begins with a dash is a value all the same.
fn arguments(probe: &Probe) -> (Vec<String>, u64) {
    let word = |text: &str| text.to_owned();
    match probe {
        Probe::Tcp { address, timeout_ms } => {
            let args = vec![
                word("probe"),
                word("tcp"),
                address.to_string(),
                format!("--timeout={timeout_ms}"),
            ];
            (args, *timeout_ms)
        }
        Probe::Http { address, host, path, status: (from, to), contains, timeout_ms } => {
            let mut args = vec![
                word("probe"),
                word("http"),
                address.to_string(),
                format!("--host={host}"),
                format!("--path={path}"),
                format!("--status={from}-{to}"),
            ];
            args.extend(contains.iter().map(|text| format!("--contains={text}")));
            args.push(format!("--timeout={timeout_ms}"));
            (args, *timeout_ms)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_become_words() {
        let check = |probe: Probe, expect: &str, limit_ms: u64| {
            let (args, limit) = arguments(&probe);
            assert_eq!((args.join(" ").as_str(), limit), (expect, limit_ms));
        };
        let tcp = Probe::Tcp { address: "10.0.0.1:80".parse().unwrap(), timeout_ms: 250 };
        check(tcp, "probe tcp 10.0.0.1:80 --timeout=250", 250);
        let http = |contains: Option<&str>| Probe::Http {
            address: "[fd00::1]:8080".parse().unwrap(),
            host: "www.example.org".into(),
            path: "/-/ready?x=1".into(),
            status: (200, 399),
            contains: contains.map(str::to_owned),
            timeout_ms: 1000,
        };
        let start = "probe http [fd00::1]:8080 --host=www.example.org --path=/-/ready?x=1 \
                     --status=200-399";
        check(http(None), &format!("{start} --timeout=1000"), 1000);
        check(http(Some("-ok")), &format!("{start} --contains=-ok --timeout=1000"), 1000);
    }
}
