//! What the files say that the running daemon does not know: check and difference. Nothing is
//! played: a running daemon takes keys from its files and nothing else. Values in, text out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hb_config::Loaded;
use hb_config::Severity;
use hb_config::settings::Settings;
use hb_node::api::StatusSnapshot;

use crate::exit;

/// The text, and the exit code: 1 when the files are not valid.
pub(super) fn plan(loaded: &Loaded, status: Option<&StatusSnapshot>) -> (String, u8) {
    let Some(settings) = loaded.settings.as_ref().filter(|_| !loaded.has(Severity::Error)) else {
        let text = "the files are not valid: a reload would be refused and everything would stay as it \
                    is. hb check tells why\n";
        return (text.to_owned(), exit::NEGATIVE);
    };
    let mut out = "the files are valid\n".to_owned();
    let Some(status) = status else {
        out += "heartbeat does not run here: there is nothing to compare them with\n";
        return (out, exit::OK);
    };
    let changes = changes(settings, status);
    if changes.is_empty() {
        out += "they say of groups, times and directives what the running daemon has\n";
    }
    for change in &changes {
        let _ = writeln!(out, "  {change}");
    }
    if !changes.is_empty() {
        out += "a running daemon takes only keys from its files: the rest is used after a restart of \
                heartbeat on this node (hb maintenance on keeps the resources up meanwhile)\n";
    }
    (out, exit::OK)
}

/// `+` is new, `-` goes, `~` is another.
fn changes(settings: &Settings, status: &StatusSnapshot) -> Vec<String> {
    let mut found = Vec::new();
    for spec in &settings.groups {
        let members: Vec<&str> = spec.resources.iter().map(|it| it.text.as_str()).collect();
        match status.groups.iter().find(|group| group.key == spec.key) {
            None => found.push(format!(
                "+ group {}: {} {}",
                spec.key,
                spec.preferred,
                members.join(" ")
            )),
            Some(group) => {
                if group.prefers != spec.preferred.as_str() {
                    found.push(format!(
                        "~ group {}: prefers {} in place of {}",
                        spec.key, spec.preferred, group.prefers
                    ));
                }
                let running: Vec<&str> =
                    group.resources.iter().map(|it| it.text.as_str()).collect();
                if running != members {
                    found.push(format!(
                        "~ group {}: {} in place of {}",
                        spec.key,
                        members.join(" "),
                        running.join(" ")
                    ));
                }
            }
        }
    }
    let known = |key: &str| settings.groups.iter().any(|spec| spec.key == key);
    let gone = status.groups.iter().filter(|group| !known(&group.key));
    found.extend(gone.map(|group| {
        let on = group.active_on.as_deref().unwrap_or("no node");
        format!("- group {} (on {on})", group.key)
    }));
    found.extend(directives(&status.parameters, &settings.parameters));
    found
}

/// Directives of ha.cf by their text.
fn directives(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    let mut found = Vec::new();
    for (name, value) in after {
        match before.get(name) {
            None => found.push(format!("+ {name} {value}")),
            Some(old) if old != value => found.push(format!("~ {name} {value} in place of {old}")),
            Some(_) => {}
        }
    }
    let gone = before.iter().filter(|(name, _)| !after.contains_key(*name));
    found.extend(gone.map(|(name, value)| format!("- {name} {value}")));
    found
}
