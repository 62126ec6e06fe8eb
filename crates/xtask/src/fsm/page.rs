//! The tables as a page. What stands in them comes from `drive`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::drive::{Next, Seen};

const HEAD: &str = "# States of a group and of a node

Made by `cargo xtask fsm`, which drives the code that ships with every input through every state that people can tell apart, and
through the 150 nearest of those that look alike; `cargo xtask tidy` fails when this page is older than the code. One group, of an address that the daemon sets itself and of a service with an OCF agent,
seen from the node that it prefers (`node1`), beside a Twinbeat peer; `auto_failback off`, one restart in place, one repeat of a failed
stop. Driven twice: beside a dead peer, with checks and agents that fail in every way; and beside a living one that claims, asks, falls
silent and dies, where agents at most fail to start. Words are those of `docs/glossary.md`; which nodes may run what, and why, is in `docs/ARCHITECTURE.md`.

![Moves of a group](states.svg)

The number at an arrow is that of a row here. The cause is what stands in the log, in history and in `hb status`.

";

/// The page.
pub(super) fn write(seen: &Seen) -> String {
    let mut page = String::from(HEAD);
    page.push_str("| | From | To | Causes |\n|---|---|---|---|\n");
    // Writing into a string cannot fail.
    for (number, ((from, to), causes)) in seen.moves.iter().enumerate() {
        let causes: Vec<String> = causes.iter().map(|cause| format!("`{cause}`")).collect();
        let _ = writeln!(page, "| {} | {from} | {to} | {} |", number + 1, causes.join(" "));
    }
    page.push_str(
        "\n## A group\n\nThe state is the group's claim and, behind the colon, the step that is under way; checks of what \
         runs go on beside it.\nAn input that stands in no row of a state changes nothing there. Several lines in a cell: \
         what else is known (of the\npeer, of earlier failures, of a standby under way) decides.\n",
    );
    for (state, rows) in &seen.group {
        let _ = write!(page, "\n### {state}\n\n| Input | Next state | Begins |\n|---|---|---|\n");
        table(&mut page, rows);
    }
    page.push_str(
        "\n## A node\n\nThe phases of the negotiation, and what is said to the peer on the way.\n",
    );
    for (phase, rows) in &seen.phase {
        let _ = write!(page, "\n### {}\n\n| Input | Next phase | |\n|---|---|---|\n", phase.word());
        table(&mut page, rows);
    }
    page
}

fn table(page: &mut String, rows: &BTreeMap<String, BTreeSet<Next>>) {
    for (input, nexts) in rows {
        // By next state: what is begun on at least one of the ways there.
        let mut merged: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (next, begun) in nexts {
            merged.entry(next).or_default().extend(begun.iter().map(String::as_str));
        }
        let states: Vec<&str> = merged.keys().copied().collect();
        let begun: Vec<String> = merged
            .values()
            .map(|begun| begun.iter().copied().collect::<Vec<_>>().join(", "))
            .collect();
        let _ = writeln!(page, "| {input} | {} | {} |", states.join("<br>"), begun.join("<br>"));
    }
}
