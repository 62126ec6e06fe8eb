//! What a person can have done or ask from within `hb ui`, in words and as requests to the daemon.
//! Values in, values out: nothing is sent here.

use hb_node::api::{GroupStatus, Request, Response, StatusSnapshot};
use hb_resource::input::{GroupClaim, Holdings, Which};

use crate::plan::What;
use crate::status::age;

/// What changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// This node gives one group, or all.
    Standby(Option<String>),
    /// This node gets one group, or all.
    Takeover(Option<String>),
    /// Hands off, without an end or for so many milliseconds.
    MaintenanceOn(Option<u64>),
    /// Hands on.
    MaintenanceOff,
    /// Failures of one group, or of all, are forgotten.
    Cleanup(Option<String>),
}

impl Action {
    /// As people say it.
    pub(super) fn words(&self) -> String {
        let of = |key: &Option<String>| key.clone().unwrap_or_else(|| "all groups".to_owned());
        match self {
            Self::Standby(key) => format!("standby: this node gives {}", of(key)),
            Self::Takeover(key) => format!("takeover: this node gets {}", of(key)),
            Self::MaintenanceOn(None) => "maintenance on, until it is ended".to_owned(),
            Self::MaintenanceOn(Some(ms)) => format!("maintenance on for {}", age(*ms)),
            Self::MaintenanceOff => "maintenance off".to_owned(),
            Self::Cleanup(key) => format!("cleanup: failures of {} are forgotten", of(key)),
        }
    }

    /// What the daemon is asked.
    pub(super) fn request(&self) -> Request {
        let which = |key: &Option<String>| match key {
            Some(key) => Which::Group(key.clone()),
            None => Which::Sets(Holdings::ALL),
        };
        match self {
            Self::Standby(key) => Request::Standby { which: which(key) },
            Self::Takeover(key) => Request::Takeover { which: which(key) },
            Self::MaintenanceOn(limit_ms) => Request::Maintenance { on: true, limit_ms: *limit_ms },
            Self::MaintenanceOff => Request::Maintenance { on: false, limit_ms: None },
            Self::Cleanup(group) => Request::Cleanup { group: group.clone() },
        }
    }

    /// What `hb plan` can play of it; `None`: the words of [`preview`] are all there is.
    pub(super) fn plan(&self) -> Option<What> {
        match self {
            Self::Standby(key) => Some(What::Standby(key.clone())),
            Self::Takeover(key) => Some(What::Takeover(key.clone())),
            Self::MaintenanceOn(_) | Self::MaintenanceOff | Self::Cleanup(_) => None,
        }
    }
}

/// What comes of an action that moves no group by itself, from what the daemon says.
pub(super) fn preview(action: &Action, status: &StatusSnapshot) -> String {
    let mut out = format!("plan: {}\n\n", action.words());
    match action {
        Action::MaintenanceOn(limit) => {
            out += "  On both nodes nothing is started, stopped or moved; checks go on.\n";
            out += "  If a node dies meanwhile, its groups are NOT taken over.\n";
            let end = match limit {
                Some(ms) => format!("  It ends by itself in {}.\n", age(*ms)),
                None => "  It lasts until it is ended: m, or `hb maintenance off`.\n".to_owned(),
            };
            out += &end;
        }
        Action::MaintenanceOff => {
            for group in &status.groups {
                let would = group.would_do.as_deref().unwrap_or("nothing is waiting to be done");
                out += &format!("  {}: {would}\n", group.key);
            }
            out += "  What is to be done is done at once.\n";
        }
        Action::Cleanup(key) => {
            let chosen = |group: &&GroupStatus| key.as_ref().is_none_or(|key| *key == group.key);
            for group in status.groups.iter().filter(chosen) {
                out += &cleanup_words(group);
            }
        }
        Action::Standby(_) | Action::Takeover(_) => {}
    }
    out
}

fn cleanup_words(group: &GroupStatus) -> String {
    let key = &group.key;
    let mut out = String::new();
    for (place, claim) in [("here", Some(group.here)), ("on the other node", group.peer)] {
        match claim {
            Some(GroupClaim::Failed) => {
                out += &format!("  {key}: failed {place}; it may be started there again\n");
            }
            Some(GroupClaim::Blocked) => {
                out += &format!("  {key}: could not be stopped {place}; it is looked at again\n");
            }
            Some(
                GroupClaim::Released
                | GroupClaim::Acquiring
                | GroupClaim::Held
                | GroupClaim::Releasing,
            )
            | None => {}
        }
    }
    for resource in group.resources.iter().filter(|resource| resource.failures > 0) {
        let (text, count) = (&resource.text, resource.failures);
        let word = if count == 1 { "failure" } else { "failures" };
        out += &format!("  {text}: {count} {word} of late, forgotten\n");
    }
    out
}

/// Groups of which there is something to forget.
pub(super) fn failed(status: &StatusSnapshot) -> Vec<&GroupStatus> {
    status.groups.iter().filter(|group| !cleanup_words(group).is_empty()).collect()
}

/// What an answer means to who asked: `Ok` when it was done.
pub(super) fn outcome(response: Response) -> Result<String, String> {
    match response {
        Response::Done { text } | Response::Changes { text, .. } => Ok(text),
        Response::Error { text } => Err(text),
        other @ (Response::Status(_) | Response::History(_)) => {
            Err(format!("unexpected answer: {other:?}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn words_requests_and_plans_belong_together() {
        let check = |action: Action, words: &str, json: &str, planned: bool| {
            assert_eq!(action.words(), words);
            assert_eq!(serde_json::to_string(&action.request()).expect("JSON"), json, "{words}");
            assert_eq!(action.plan().is_some(), planned, "{words}");
        };
        let www = || Some("www".to_owned());
        check(
            Action::Standby(None),
            "standby: this node gives all groups",
            r#"{"cmd":"standby","which":{"sets":{"local":true,"foreign":true}}}"#,
            true,
        );
        check(
            Action::Takeover(www()),
            "takeover: this node gets www",
            r#"{"cmd":"takeover","which":{"group":"www"}}"#,
            true,
        );
        check(
            Action::MaintenanceOn(Some(1_800_000)),
            "maintenance on for 30 min 00 s",
            r#"{"cmd":"maintenance","on":true,"limit_ms":1800000}"#,
            false,
        );
        check(
            Action::MaintenanceOff,
            "maintenance off",
            r#"{"cmd":"maintenance","on":false,"limit_ms":null}"#,
            false,
        );
        check(
            Action::Cleanup(None),
            "cleanup: failures of all groups are forgotten",
            r#"{"cmd":"cleanup","group":null}"#,
            false,
        );
    }

    #[test]
    fn the_preview_tells_what_the_daemon_says() {
        let mut status = testing::healthy();
        assert!(failed(&status).is_empty(), "nothing to forget");
        status.groups[0].would_do = Some("restart nginx".into());
        status.groups[0].resources[1].failures = 2;
        status.groups[0].peer = Some(GroupClaim::Failed);
        assert_eq!(failed(&status).len(), 1);
        let check = |action: Action, part: &str| {
            let text = preview(&action, &status);
            assert!(text.contains(part), "{text}");
        };
        check(Action::MaintenanceOff, ": restart nginx\n");
        check(Action::MaintenanceOn(None), "until it is ended");
        check(Action::MaintenanceOn(Some(60_000)), "by itself in 1 min 00 s");
        check(Action::Cleanup(None), "nginx: 2 failures of late, forgotten\n");
        check(Action::Cleanup(None), "failed on the other node; it may be started there again\n");
    }
}
