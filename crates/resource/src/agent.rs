//! Which program runs a resource, with which arguments and variables. It looks at no file: it names
//! the places to look in, in order, and whoever is at the edge takes the first that is there.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hb_config::settings::{AgentSpec, ResourceSpec};

use crate::operation::Action;

/// Whose conventions a program follows; decides how its result is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A script of `resource.d`: `status` is judged by its text (Heartbeat 3.0.6).
    Heartbeat,
    /// A script of `/etc/init.d`: `status` is judged by its exit code (LSB 5.0, 22.2).
    Lsb,
    /// An OCF agent: `monitor`, parameters in variables, OCF exit codes (OCF resource agent API 1.0).
    Ocf,
    /// A unit of systemd, through `systemctl`.
    Systemd,
}

impl Class {
    /// The word shown in logs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Heartbeat => "heartbeat",
            Self::Lsb => "lsb",
            Self::Ocf => "ocf",
            Self::Systemd => "systemd",
        }
    }
}

/// Where agents live. Absolute paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Directories of resource scripts, searched in order (`/etc/ha.d/resource.d`).
    pub resource_dirs: Vec<PathBuf>,
    /// Directory of init scripts, searched after them (`/etc/init.d`).
    pub init_dir: PathBuf,
    /// `OCF_ROOT` (`/usr/lib/ocf`).
    pub ocf_root: PathBuf,
    /// The program `systemctl`.
    pub systemctl: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            resource_dirs: vec!["/etc/ha.d/resource.d".into()],
            init_dir: "/etc/init.d".into(),
            ocf_root: "/usr/lib/ocf".into(),
            systemctl: "/usr/bin/systemctl".into(),
        }
    }
}

/// A place where the agent may be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// What it is when it is found there.
    pub class: Class,
    /// The file.
    pub path: PathBuf,
}

/// A program to run: no shell is between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// Whose conventions it follows.
    pub class: Class,
    /// The file to execute.
    pub program: PathBuf,
    /// Arguments after the program's own name.
    pub args: Vec<String>,
    /// Variables besides the fixed list that all agents get.
    pub environment: Vec<(String, String)>,
}

/// Why a resource has no program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgentError {
    /// A name that would lead out of the directory, or to a hidden file.
    #[error(
        "`{0}` is not the name of an agent: it must not be empty, begin with a dot or hold `/`"
    )]
    BadName(String),
    /// A parameter that cannot be a variable.
    #[error("`{0}` is not the name of a parameter: letters, digits and `_` only")]
    BadParameter(String),
    /// A unit name that `systemctl` would expand to several units.
    #[error("`{0}` is not the name of one unit")]
    BadUnit(String),
    /// Only built-in addresses can be announced.
    #[error("only addresses that the daemon sets itself can be announced")]
    CannotAnnounce,
}

/// The files that may be the agent of `spec`, in search order; never empty.
///
/// Heartbeat 3.0.6 searches `resource.d`, then `/etc/init.d`.
///
/// # Errors
/// When a name is not one file name.
pub fn candidates(spec: &AgentSpec, places: &Places) -> Result<Vec<Candidate>, AgentError> {
    match spec {
        AgentSpec::Script { name, .. } => {
            file_name(name)?;
            let scripts = places.resource_dirs.iter().map(|dir| (Class::Heartbeat, dir.join(name)));
            let init = std::iter::once((Class::Lsb, places.init_dir.join(name)));
            Ok(scripts.chain(init).map(|(class, path)| Candidate { class, path }).collect())
        }
        AgentSpec::Ocf { provider, kind, .. } => {
            file_name(provider)?;
            file_name(kind)?;
            let path = places.ocf_root.join("resource.d").join(provider).join(kind);
            Ok(vec![Candidate { class: Class::Ocf, path }])
        }
        AgentSpec::Systemd { .. } => {
            Ok(vec![Candidate { class: Class::Systemd, path: places.systemctl.clone() }])
        }
    }
}

/// How `found` performs `action` on `resource`. `limit` is what the action may take.
///
/// # Errors
/// When the action or a name is not possible for the agent.
pub fn invocation(
    resource: &ResourceSpec,
    action: Action,
    limit: Duration,
    found: &Candidate,
    places: &Places,
) -> Result<Invocation, AgentError> {
    if action == Action::Announce {
        return Err(AgentError::CannotAnnounce);
    }
    let (args, environment) = match &resource.agent {
        AgentSpec::Script { args, .. } => {
            let args = args.iter().cloned().chain([action.word().to_owned()]).collect();
            (args, Vec::new())
        }
        AgentSpec::Ocf { provider, kind, parameters } => {
            let environment = ocf_environment(provider, kind, parameters, limit, &places.ocf_root)?;
            (vec![ocf_word(action).to_owned()], environment)
        }
        AgentSpec::Systemd { unit } => (systemctl_args(unit, action)?, Vec::new()),
    };
    Ok(Invocation { class: found.class, program: found.path.clone(), args, environment })
}

/// The call that tells the state of `unit`. `show` answers for units that do not exist, too, so a
/// failure means that systemd could not be asked.
///
/// # Errors
/// When `unit` is not the name of one unit.
pub fn unit_query(unit: &str, systemctl: &Path) -> Result<Invocation, AgentError> {
    systemctl_call(unit, systemctl, &["show", "--property=LoadState,ActiveState,SubState", "--"])
}

/// The call that tells which processes `unit` has.
///
/// # Errors
/// When `unit` is not the name of one unit.
pub fn unit_processes(unit: &str, systemctl: &Path) -> Result<Invocation, AgentError> {
    systemctl_call(unit, systemctl, &["show", "--property=MainPID,ControlGroup", "--"])
}

/// The call that kills every process of `unit`: systemd keeps them in one control group.
///
/// # Errors
/// When `unit` is not the name of one unit.
pub fn unit_kill(unit: &str, systemctl: &Path) -> Result<Invocation, AgentError> {
    systemctl_call(unit, systemctl, &["kill", "--signal=SIGKILL", "--"])
}

fn systemctl_call(unit: &str, systemctl: &Path, words: &[&str]) -> Result<Invocation, AgentError> {
    unit_name(unit)?;
    let args = words.iter().map(|word| (*word).to_owned()).chain([unit.to_owned()]).collect();
    let program = systemctl.to_path_buf();
    Ok(Invocation { class: Class::Systemd, program, args, environment: Vec::new() })
}

/// `start` and `stop` of systemctl return when the unit's *job* has ended, which is the reason for
/// never passing `--no-block`.
fn systemctl_args(unit: &str, action: Action) -> Result<Vec<String>, AgentError> {
    unit_name(unit)?;
    let words: &[&str] = match action {
        Action::Status | Action::Validate => {
            &["show", "--property=LoadState,ActiveState,SubState", "--"]
        }
        Action::Start => &["--no-ask-password", "start", "--"],
        Action::Stop => &["--no-ask-password", "stop", "--"],
        Action::Announce => return Err(AgentError::CannotAnnounce),
    };
    Ok(words.iter().map(|word| (*word).to_owned()).chain([unit.to_owned()]).collect())
}

/// `status` is `monitor` in OCF (resource agent API 1.0, 3.3).
fn ocf_word(action: Action) -> &'static str {
    match action {
        Action::Status => "monitor",
        Action::Start => "start",
        Action::Stop => "stop",
        Action::Announce => "announce",
        Action::Validate => "validate-all",
    }
}

fn ocf_environment(
    provider: &str,
    kind: &str,
    parameters: &[(String, String)],
    limit: Duration,
    root: &Path,
) -> Result<Vec<(String, String)>, AgentError> {
    let fixed = [
        ("OCF_ROOT", root.to_string_lossy().into_owned()),
        ("OCF_RA_VERSION_MAJOR", "1".to_owned()),
        ("OCF_RA_VERSION_MINOR", "0".to_owned()),
        ("OCF_RESOURCE_INSTANCE", instance(kind, parameters)),
        ("OCF_RESOURCE_TYPE", kind.to_owned()),
        ("OCF_RESOURCE_PROVIDER", provider.to_owned()),
        // Agents that wait by themselves take their limit from here, in milliseconds.
        ("OCF_RESKEY_CRM_meta_timeout", limit.as_millis().to_string()),
    ];
    let mut list: Vec<_> = fixed.map(|(name, value)| (name.to_owned(), value)).into();
    for (name, value) in parameters {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(fits) {
            return Err(AgentError::BadParameter(name.clone()));
        }
        list.push((format!("OCF_RESKEY_{name}"), value.clone()));
    }
    Ok(list)
}

/// A name that tells apart two resources of one kind. Agents make file names from it, so it holds
/// nothing of the values but a digest, and nothing at all of what looks like a password.
fn instance(kind: &str, parameters: &[(String, String)]) -> String {
    // FNV-1a with 32 bits: any fixed function does, it only has to be the same after a restart.
    let mut digest = 0x811c_9dc5_u32;
    let mut mix = |text: &str| {
        for byte in text.bytes().chain([0]) {
            digest = (digest ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
    };
    for (name, value) in parameters.iter().filter(|(name, _)| !name.contains("pass")) {
        mix(name);
        mix(value);
    }
    format!("{kind}_{digest:08x}")
}

fn file_name(name: &str) -> Result<(), AgentError> {
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
        return Err(AgentError::BadName(name.to_owned()));
    }
    Ok(())
}

/// `systemctl` takes shell patterns; a resource is one unit.
fn unit_name(unit: &str) -> Result<(), AgentError> {
    if unit.is_empty() || unit.contains(['/', '\0', '*', '?', '[', ' ']) {
        return Err(AgentError::BadUnit(unit.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(agent: AgentSpec) -> ResourceSpec {
        ResourceSpec { text: "as written".into(), agent, built_in: None }
    }

    fn script(name: &str, args: &[&str]) -> AgentSpec {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        AgentSpec::Script { name: name.into(), args }
    }

    fn ocf(parameters: &[(&str, &str)]) -> AgentSpec {
        let parameters =
            parameters.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        AgentSpec::Ocf { provider: "heartbeat".into(), kind: "Dummy".into(), parameters }
    }

    fn first(agent: AgentSpec, action: Action) -> Result<Invocation, AgentError> {
        let places = Places::default();
        let found = candidates(&agent, &places)?.remove(0);
        invocation(&resource(agent), action, Duration::from_secs(7), &found, &places)
    }

    #[test]
    fn scripts_are_searched_in_resource_d_then_in_init_d() {
        let places = Places {
            resource_dirs: vec!["/etc/ha.d/resource.d".into(), "/usr/share/r".into()],
            ..Places::default()
        };
        let found = candidates(&script("nginx", &[]), &places).unwrap();
        let shown: Vec<_> =
            found.iter().map(|c| format!("{} {}", c.class.word(), c.path.display())).collect();
        assert_eq!(
            shown,
            [
                "heartbeat /etc/ha.d/resource.d/nginx",
                "heartbeat /usr/share/r/nginx",
                "lsb /etc/init.d/nginx"
            ]
        );
    }

    #[test]
    fn the_action_is_the_last_argument_of_a_script() {
        let check = |agent, action, expect: &[&str]| {
            assert_eq!(first(agent, action).unwrap().args, expect);
        };
        check(
            script("IPaddr", &["10.0.0.1/24/eth0"]),
            Action::Start,
            &["10.0.0.1/24/eth0", "start"],
        );
        check(
            script("Filesystem", &["/dev/sda1", "/mnt"]),
            Action::Stop,
            &["/dev/sda1", "/mnt", "stop"],
        );
        check(script("httpd", &[]), Action::Status, &["status"]);
    }

    #[test]
    fn ocf_agents_get_monitor_and_their_parameters_as_variables() {
        let run = first(ocf(&[("state", "/run/x"), ("passwd", "a b")]), Action::Status).unwrap();
        assert_eq!(run.program, Path::new("/usr/lib/ocf/resource.d/heartbeat/Dummy"));
        assert_eq!(run.args, ["monitor"]);
        let shown: Vec<_> = run.environment.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(
            shown,
            [
                "OCF_ROOT=/usr/lib/ocf",
                "OCF_RA_VERSION_MAJOR=1",
                "OCF_RA_VERSION_MINOR=0",
                "OCF_RESOURCE_INSTANCE=Dummy_b6577d7d",
                "OCF_RESOURCE_TYPE=Dummy",
                "OCF_RESOURCE_PROVIDER=heartbeat",
                "OCF_RESKEY_CRM_meta_timeout=7000",
                "OCF_RESKEY_state=/run/x",
                "OCF_RESKEY_passwd=a b",
            ]
        );
    }

    #[test]
    fn instances_differ_by_parameters_but_not_by_passwords() {
        let name = |list: &[(&str, &str)]| {
            let list: Vec<_> =
                list.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            instance("Dummy", &list)
        };
        assert_ne!(name(&[("a", "1")]), name(&[("a", "2")]));
        assert_ne!(name(&[("a", "bc")]), name(&[("ab", "c")]));
        assert_eq!(name(&[("a", "1"), ("passwd", "x")]), name(&[("a", "1"), ("passwd", "y")]));
    }

    #[test]
    fn systemctl_waits_for_the_job_and_takes_one_unit() {
        let unit = |unit: &str| AgentSpec::Systemd { unit: unit.into() };
        let start = first(unit("-x.service"), Action::Start).unwrap();
        assert_eq!(start.args, ["--no-ask-password", "start", "--", "-x.service"]);
        let status = first(unit("nginx.service"), Action::Status).unwrap();
        assert_eq!(status, unit_query("nginx.service", Path::new("/usr/bin/systemctl")).unwrap());
        for bad in ["", "a*.service", "a b", "../x", "[a]"] {
            assert_eq!(
                first(unit(bad), Action::Stop),
                Err(AgentError::BadUnit(bad.into())),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn names_stay_inside_their_directory() {
        for bad in ["", "..", ".functions", "a/b", "/bin/sh", "a\0b"] {
            let expect = Err(AgentError::BadName(bad.into()));
            assert_eq!(candidates(&script(bad, &[]), &Places::default()), expect, "{bad:?}");
        }
        let odd = first(ocf(&[("a=b", "c")]), Action::Start);
        assert_eq!(odd, Err(AgentError::BadParameter("a=b".into())));
    }

    #[test]
    fn agents_cannot_announce() {
        for agent in [script("x", &[]), ocf(&[]), AgentSpec::Systemd { unit: "x.service".into() }] {
            assert_eq!(first(agent, Action::Announce), Err(AgentError::CannotAnnounce));
        }
    }
}
