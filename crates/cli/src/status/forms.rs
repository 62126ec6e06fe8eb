//! The short forms of status: JSON, a line for monitoring, a line for a prompt. Values in, text
//! out.

use hb_node::api::{self, StatusSnapshot, Verdict};
use serde_json::json;

use super::{Known, age, verdict_code};

/// The snapshot as it is; when the daemon cannot be asked, why, and what it kept with its age.
pub fn json(known: &Known) -> String {
    let value = match (&known.snapshot, &known.down) {
        (Some(snapshot), None) => serde_json::to_value(snapshot),
        (None, None) => Ok(json!({ "v": api::VERSION, "daemon": "down" })),
        (None, Some(down)) => {
            let error = down.error.to_string();
            Ok(json!({ "v": api::VERSION, "daemon": "down", "error": error }))
        }
        (Some(snapshot), Some(down)) => Ok(json!({
            "v": api::VERSION,
            "daemon": "down",
            "error": down.error.to_string(),
            "age_ms": down.age_ms,
            "saved_unix_ms": down.saved_unix_ms,
            "stopped_in_order": down.is_last,
            "last_status": snapshot,
        })),
    };
    let text = value.and_then(|value| serde_json::to_string_pretty(&value));
    text.map_or_else(|error| format!("{{\"v\":1,\"error\":\"{error}\"}}\n"), |text| text + "\n")
}

/// Words of the monitoring plugins' guidelines.
const PLUGIN_WORDS: [&str; 4] = ["OK", "WARNING", "CRITICAL", "UNKNOWN"];

/// `HEARTBEAT OK - web healthy: www@ha1, failover ready | served=1;;1:;0;1 …`
pub(super) fn nagios(known: &Known) -> String {
    let code = known.exit_code();
    let word = PLUGIN_WORDS[usize::from(code).min(PLUGIN_WORDS.len() - 1)];
    let Some(snapshot) = &known.snapshot else {
        let error = known.down.as_ref().map(|down| down.error.to_string()).unwrap_or_default();
        return format!("HEARTBEAT {word} - {}\n", clean(&error));
    };
    let mut text =
        format!("{} {}: {}", snapshot.cluster, word_of(snapshot.verdict), places(snapshot));
    text += if snapshot.failover_ready { ", failover ready" } else { ", failover NOT ready" };
    for problem in &snapshot.problems {
        text += &format!("; {}", problem.text);
    }
    if let Some(down) = &known.down {
        // What was is no performance.
        let was = format!("{}; {} ago it was {text}", down.error, age(down.age_ms));
        return format!("HEARTBEAT {word} - {}\n", clean(&was));
    }
    format!("HEARTBEAT {word} - {} | {}\n", clean(&text), performance(snapshot))
}

/// `'label'=value[unit];warn;crit;min;max`
fn performance(snapshot: &StatusSnapshot) -> String {
    let count = snapshot.groups.len();
    let served = snapshot.groups.iter().filter(|group| group.active_on.is_some()).count();
    let mut values = vec![
        format!("served={served};;{count}:;0;{count}"),
        format!("ready={};1:;;0;1", u8::from(snapshot.failover_ready)),
        format!("problems={};0;;0", snapshot.problems.len()),
    ];
    if let Some(peer) = &snapshot.peer {
        values.extend(peer.heard_ms_ago.map(|ms| format!("heard={ms}ms;;;0")));
        let links = peer.links.iter().filter_map(|link| {
            let permille = link.loss_permille?;
            Some(format!("'loss_{}'={}.{}%;;;0;100", link.name, permille / 10, permille % 10))
        });
        values.extend(links);
        let trips = peer
            .links
            .iter()
            .filter_map(|link| Some(format!("'rtt_{}'={}us;;;0", link.name, link.rtt_us?)));
        values.extend(trips);
    }
    if let Some(ms) = snapshot.last_move.as_ref().and_then(|last| last.outage_ms) {
        values.push(format!("last_outage={ms}ms;;;0"));
    }
    values.join(" ")
}

/// A plugin's line has no second one, and its only bar separates the values.
fn clean(text: &str) -> String {
    text.replace(['\n', '\r'], " ").replace('|', "/")
}

/// `www@ha1 ok ready`; of what is not known the age: `www@ha1 unknown (healthy 3 min 02 s ago)`.
pub fn oneline(known: &Known) -> String {
    let Some(snapshot) = &known.snapshot else {
        return "heartbeat down, nothing known\n".to_owned();
    };
    let places = places(snapshot);
    if let Some(down) = &known.down {
        let word = word_of(snapshot.verdict);
        return format!("{places} unknown ({word} {} ago, heartbeat down)\n", age(down.age_ms));
    }
    let word = match snapshot.verdict {
        Verdict::Healthy => "ok",
        Verdict::Transition | Verdict::Degraded | Verdict::Down | Verdict::Split => {
            word_of(snapshot.verdict)
        }
    };
    let ready = if snapshot.failover_ready { "ready" } else { "NOT ready" };
    format!("{places} {word} {ready}\n")
}

/// `www@ha1 db@-`
fn places(snapshot: &StatusSnapshot) -> String {
    let place = |group: &api::GroupStatus| {
        format!("{}@{}", group.key, group.active_on.as_deref().unwrap_or("-"))
    };
    let places: Vec<String> = snapshot.groups.iter().map(place).collect();
    if places.is_empty() { "no groups".to_owned() } else { places.join(" ") }
}

/// The verdict as JSON says it.
pub fn word_of(verdict: Verdict) -> &'static str {
    debug_assert!(verdict_code(verdict) < 3);
    match verdict {
        Verdict::Healthy => "healthy",
        Verdict::Transition => "transition",
        Verdict::Degraded => "degraded",
        Verdict::Down => "down",
        Verdict::Split => "split",
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use hb_node::api::HistoryEntry;

    use super::*;
    use crate::client::ClientError;
    use crate::status::Down;
    use crate::testing;

    fn up(snapshot: StatusSnapshot) -> Known {
        Known { snapshot: Some(snapshot), down: None }
    }

    fn down(snapshot: Option<StatusSnapshot>) -> Known {
        let source = io::Error::from(io::ErrorKind::NotFound);
        let error = ClientError::NotRunning { path: "/run/x".into(), source };
        let down = Down { error, age_ms: 182_000, saved_unix_ms: 1, is_last: false };
        Known { snapshot, down: Some(down) }
    }

    #[test]
    fn one_line_for_a_prompt() {
        let key = testing::healthy().groups[0].key.clone();
        let check = |known: &Known, expect: &str| {
            assert_eq!(oneline(known).replace(&key, "www"), format!("{expect}\n"));
        };
        check(&up(testing::healthy()), "www@node1 ok ready");
        check(&up(testing::snapshot()), "www@node1 degraded NOT ready");
        check(
            &down(Some(testing::healthy())),
            "www@node1 unknown (healthy 3 min 02 s ago, heartbeat down)",
        );
        check(&down(None), "heartbeat down, nothing known");
    }

    #[test]
    fn one_line_for_monitoring() {
        let key = testing::healthy().groups[0].key.clone();
        let shown = |known: &Known| nagios(known).replace(&key, "www");
        let mut snapshot = testing::healthy();
        snapshot.last_move = Some(HistoryEntry { outage_ms: Some(812), ..HistoryEntry::default() });
        snapshot.peer.as_mut().unwrap().links[0].loss_permille = Some(25);
        assert_eq!(
            shown(&up(snapshot)),
            "HEARTBEAT OK - web healthy: www@node1, failover ready | served=1;;1:;0;1 \
             ready=1;1:;;0;1 problems=0;0;;0 heard=90ms;;;0 'loss_eth0'=2.5%;;;0;100 \
             last_outage=812ms;;;0\n"
        );
        let mut bad = testing::snapshot();
        bad.problems[0].text = "two\nlines | and a bar".into();
        let text = shown(&up(bad));
        assert!(text.starts_with("HEARTBEAT WARNING - web degraded: www@node1, failover NOT ready; two lines / and a bar | "), "{text}");
        assert_eq!(text.lines().count(), 1);
        assert!(shown(&down(None)).starts_with("HEARTBEAT UNKNOWN - heartbeat does not run here"));
        let kept = shown(&down(Some(testing::healthy())));
        assert!(kept.contains("3 min 02 s ago it was web healthy: www@node1"), "{kept}");
        assert!(!kept.contains('|'), "{kept}");
    }

    #[test]
    fn json_says_what_is_kept_and_how_old_it_is() {
        let read = |known: &Known| -> serde_json::Value {
            serde_json::from_str(&json(known)).expect("JSON")
        };
        assert_eq!(read(&up(testing::healthy()))["verdict"], "healthy");
        let kept = read(&down(Some(testing::healthy())));
        assert_eq!((&kept["age_ms"], &kept["v"]), (&json!(182_000), &json!(1)));
        assert_eq!(kept["last_status"]["verdict"], "healthy");
        assert!(kept.get("verdict").is_none(), "nobody takes it for the state of now");
        assert!(read(&down(None))["error"].is_string());
    }
}
