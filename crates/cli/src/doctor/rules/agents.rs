//! Agents: can each be run, does it accept its resource, and who may change what root runs. Pure.

use super::super::facts::{Agent, Component, Facts, Validated};
use super::super::finding::{Area, Finding};
use super::{floating, home, list};

/// Write permission of group and others; the sticky bit keeps names in a directory.
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
const STICKY: u32 = 0o1000;

pub(super) fn judge(facts: &Facts, found: &mut Vec<Finding>) {
    let Some(agents) = &facts.agents else {
        let (text, cure) = match (&facts.config.settings, facts.is_root) {
            (None, _) => ("no valid haresources names agents", ""),
            (Some(_), false) => {
                ("agents were not tried: that needs root", "`sudo hb doctor agents`")
            }
            (Some(_), true) => ("agents were not tried", ""),
        };
        let finding = Finding::note(Area::Agents, "agents_not_tried", text);
        found.push(if cure.is_empty() { finding } else { finding.cure(cure) });
        return;
    };
    if let Some(daemon) = &facts.daemon
        && !daemon.same_files
    {
        let text = "the daemon sees other files than this shell; agents were tried with its files";
        found.push(Finding::note(Area::Agents, "other_files", text).about("heartbeat"));
    }
    homeless(facts, found);
    for agent in agents {
        found.push(validated(agent));
        found.extend(metadata(agent));
        found.extend(agent.path.iter().filter_map(|part| unsafe_part(agent, part)));
    }
}

/// A floating address needs an interface.
fn homeless(facts: &Facts, found: &mut Vec<Finding>) {
    let Some(settings) = &facts.config.settings else { return };
    for (address, written) in floating(settings) {
        let known: Vec<String> = facts.network.interfaces.keys().cloned().collect();
        let text = match (written, home(facts, address, written)) {
            (Some(name), _) if !facts.network.interfaces.contains_key(name) => {
                format!("{name}, where {address} belongs, is not there")
            }
            (None, None) => format!("no interface is in the network of {address}"),
            (_, _) => continue,
        };
        found.push(
            Finding::problem(Area::Agents, "no_home", text)
                .why("the address could not be set here")
                .cure(format!(
                    "name one of these in haresources ({address}/PREFIX/INTERFACE): {}",
                    list(&known)
                ))
                .about(address.to_string()),
        );
    }
}

fn validated(agent: &Agent) -> Finding {
    let text = &agent.text;
    let finding = match &agent.validated {
        Validated::BuiltIn => {
            Finding::ok(Area::Agents, "agent", format!("{text}: the daemon does it itself"))
        }
        Validated::Fine => Finding::ok(Area::Agents, "agent", format!("{text}: could be run here")),
        Validated::Refused(reason) => {
            let text = format!("{text}: its agent ran and says no: {reason}");
            Finding::problem(Area::Agents, "agent_refuses", text)
                .why("after a takeover this resource would not start here")
                .cure("mend what it names; `hb doctor agents` asks again")
        }
        Validated::NotRun(reason) => {
            Finding::problem(Area::Agents, "agent_cannot_run", format!("{text}: {reason}"))
                .why("the agent itself could not be run, which says nothing of the service")
        }
        Validated::TimedOut => {
            let text = format!("{text}: its agent did not answer in time and was ended");
            Finding::problem(Area::Agents, "agent_hangs", text)
                .why("a start or stop that hangs like this keeps the whole group waiting")
                .cure("run its `validate` (OCF: validate-all) by hand and see what it waits for")
        }
    };
    finding.about(text)
}

fn metadata(agent: &Agent) -> Option<Finding> {
    let reason = agent.metadata.as_ref()?.as_ref().err()?;
    let text = format!("{}: the agent does not describe itself: {reason}", agent.text);
    Some(
        Finding::warning(Area::Agents, "no_metadata", text)
            .why(
                "an OCF agent answers `meta-data` with XML; one that does not is most often broken",
            )
            .about(&agent.text),
    )
}

/// Whoever can change a part of the way can run anything as root.
fn unsafe_part(agent: &Agent, part: &Component) -> Option<Finding> {
    let Component { path, uid, mode } = part;
    let (text, cure) = if *uid != 0 {
        (format!("{path} belongs to user {uid}, not to root"), format!("`chown root {path}`"))
    } else if mode & OTHERS_WRITE != 0 && mode & STICKY == 0 {
        (
            format!("{path} can be written by everybody (mode {mode:04o})"),
            format!("`chmod o-w {path}`"),
        )
    } else if mode & GROUP_WRITES != 0 && mode & STICKY == 0 {
        (
            format!("{path} can be written by its group (mode {mode:04o})"),
            format!("`chmod g-w {path}`"),
        )
    } else {
        return None;
    };
    Some(
        Finding::warning(Area::Agents, "unsafe_path", text)
            .why(format!(
                "the daemon runs it as root for {}: who can change it is root",
                agent.text
            ))
            .cure(cure)
            .about(path),
    )
}
