//! Both nodes side by side, with the age of what is known, and who claims what in a split.

use hb_cli::history::line::span;
use hb_cli::status::{age, heard, hears, is_heard, peer_holdings, split_word};
use hb_node::api::{ConfigPart, KeyStatus, PeerNode, PingStatus, StatusSnapshot};
use hb_resource::input::GroupClaim;
use maud::{Markup, html};

/// One line: what it is about, this node, the other.
struct Row {
    label: String,
    here: String,
    there: String,
    alarm: bool,
}

impl Row {
    fn new(label: impl Into<String>, here: impl Into<String>, there: impl Into<String>) -> Self {
        Self { label: label.into(), here: here.into(), there: there.into(), alarm: false }
    }

    fn alarm_if(self, alarm: bool) -> Self {
        Self { alarm, ..self }
    }
}

/// The table of both nodes.
pub(super) fn nodes(snapshot: &StatusSnapshot) -> Markup {
    let this = format!("{} (this node)", snapshot.this_node.name);
    let there = match &snapshot.peer {
        Some(peer) => peer.name.clone(),
        None => "no other node in ha.cf".to_owned(),
    };
    let mut rows = vec![];
    match &snapshot.peer {
        Some(peer) => rows.extend(both(snapshot, peer)),
        None => rows.extend([
            Row::new("node", &snapshot.this_node.status, ""),
            Row::new("holds", &snapshot.this_node.rscstatus, ""),
        ]),
    }
    rows.extend(snapshot.pings.iter().map(ping));
    rows.extend(extras(snapshot));
    table("Both nodes", &this, &there, &rows)
}

fn table(label: &str, here: &str, there: &str, rows: &[Row]) -> Markup {
    html! {
        table.nodes aria-label=(label) {
            thead { tr { th {} th scope="col" { (here) } th scope="col" { (there) } } }
            tbody {
                @for row in rows {
                    tr class=[row.alarm.then_some("alarm")] {
                        th scope="row" { (row.label) } td { (row.here) } td { (row.there) }
                    }
                }
            }
        }
    }
}

fn both(snapshot: &StatusSnapshot, peer: &PeerNode) -> Vec<Row> {
    let this = &snapshot.this_node;
    let up = format!("{}, up {}", this.status, age(snapshot.uptime_ms));
    let there = format!("{}, {}", peer.status, heard(peer.heard_ms_ago));
    let speaks = match peer.native {
        Some(true) => "Twinbeat",
        Some(false) => "Heartbeat 3",
        None => "unknown",
    };
    let mut rows = vec![
        Row::new("node", up, there).alarm_if(peer.status == "dead"),
        Row::new("holds", &this.rscstatus, peer_holdings(peer)),
        Row::new("speaks", format!("Twinbeat {}", snapshot.version), speaks),
    ];
    rows.extend(peer.links.iter().map(|link| {
        let row = Row::new(format!("link {}", link.name), hears(link), is_heard(link));
        row.alarm_if(!link.up || link.failure.is_some() || link.peer_hears == Some(false))
    }));
    rows.extend(config(&snapshot.config));
    rows.push(Row::new("key", &this.key, peer.keys.as_deref().map(signing).unwrap_or_default()));
    let (here, there) =
        (accepted(&this.keys), peer.keys.as_deref().map(accepted).unwrap_or_default());
    if !here.is_empty() || !there.is_empty() {
        let shown = |text: String| if text.is_empty() { "none".to_owned() } else { text };
        rows.push(Row::new("also accepts", shown(here), shown(there)));
    }
    rows
}

/// Part by part only where the nodes are not alike.
fn config(parts: &[ConfigPart]) -> Vec<Row> {
    if parts.is_empty() {
        return Vec::new();
    }
    if parts.iter().all(|part| part.same == Some(true)) {
        return vec![Row::new("config", "same on both nodes", "")];
    }
    if parts.iter().all(|part| part.same.is_none()) {
        return vec![Row::new("config", "the other node has not said", "")];
    }
    let row = |part: &ConfigPart| {
        let word = match part.same {
            Some(true) => "same",
            Some(false) => "DIFFERS",
            None => "not comparable",
        };
        let there = part.peer.as_deref().unwrap_or("unknown");
        let row = Row::new(&part.part, format!("{}  {word}", part.here), there);
        row.alarm_if(part.same == Some(false))
    };
    parts.iter().map(row).collect()
}

fn named(key: &KeyStatus) -> String {
    format!("#{} {}", key.index, key.method)
}

/// The key that signs.
fn signing(keys: &[KeyStatus]) -> String {
    keys.iter().find(|key| key.active).map(named).unwrap_or_default()
}

/// Keys that do not sign: what a rotation has come to.
fn accepted(keys: &[KeyStatus]) -> String {
    let keys: Vec<String> = keys.iter().filter(|key| !key.active).map(named).collect();
    keys.join(", ")
}

fn ping(ping: &PingStatus) -> Row {
    let word = match ping.status.as_str() {
        "ping" => "answers",
        "init" => "not heard yet",
        _ => "SILENT",
    };
    let row = Row::new("ping", format!("{} {word}", ping.name), heard(ping.heard_ms_ago));
    row.alarm_if(word == "SILENT")
}

/// What is only sometimes configured or switched on.
fn extras(snapshot: &StatusSnapshot) -> Vec<Row> {
    let mut rows = Vec::new();
    if let Some(it) = &snapshot.maintenance {
        let word = |on| if on { "MAINTENANCE" } else { "no maintenance" };
        let ends = it.ends_in_ms.map(|ms| format!(", ends in {}", age(ms))).unwrap_or_default();
        let here = format!("{}{ends}", word(it.here));
        rows.push(Row::new("maintenance", here, word(it.peer)).alarm_if(true));
    }
    if let Some(fencing) = &snapshot.fencing {
        let last = fencing.last.as_ref().map(|last| format!(": {last}")).unwrap_or_default();
        let here = format!("{}{last}", fencing.state);
        rows.push(Row::new("fencing", here, fencing.devices.join(", ")));
    }
    rows.extend(snapshot.witness.as_ref().map(|witness| Row::new("witness", witness, "")));
    rows
}

/// Who claims what while both may run a group, and who keeps it.
pub(super) fn split(snapshot: &StatusSnapshot) -> Markup {
    let may_run = |claim: GroupClaim| match claim {
        GroupClaim::Held | GroupClaim::Releasing | GroupClaim::Blocked => true,
        GroupClaim::Released | GroupClaim::Acquiring | GroupClaim::Failed => false,
    };
    let mut rows = Vec::new();
    let Some(peer) = &snapshot.peer else { return html! {} };
    for group in &snapshot.groups {
        let Some(there) = group.peer.filter(|there| may_run(*there) && may_run(group.here)) else {
            continue;
        };
        let word = |claim| split_word(Some(claim)).to_owned();
        rows.push(Row::new(&group.key, word(group.here), word(there)).alarm_if(true));
        let keeps = match (group.here, there) {
            (GroupClaim::Held, GroupClaim::Releasing) => &snapshot.this_node.name,
            (GroupClaim::Releasing, GroupClaim::Held) => &peer.name,
            _ => &group.prefers,
        };
        rows.push(Row::new("rule", format!("{keeps} keeps it; the other lets go"), ""));
    }
    if rows.is_empty() {
        return html! {};
    }
    let dead = span(snapshot.timing.deadtime_ms);
    rows.push(Row::new("heard", "", format!("{} (deadtime {dead})", heard(peer.heard_ms_ago))));
    table("Who claims what", &format!("{} (this node)", snapshot.this_node.name), &peer.name, &rows)
}
