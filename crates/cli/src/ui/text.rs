//! Texts of `hb ui` that no other command has, and the way of text with colours into the widgets.
//! Values in, values out.

use ansi_to_tui::IntoText;
use hb_node::api::StatusSnapshot;
use ratatui::text::{Line, Text};

use crate::status::age;

/// The lines of a text, with the colours that it was written with.
pub(super) fn lines_of(text: &str) -> Vec<Line<'static>> {
    match text.into_text() {
        Ok(text) => text.lines,
        Err(_) => Text::raw(text.to_owned()).lines,
    }
}

/// How far an action has come, as both nodes say.
pub(super) fn progress(status: Option<&StatusSnapshot>, took_ms: u64) -> String {
    let mut out = format!("under way for {}\n", age(took_ms));
    let Some(status) = status else { return out };
    let here = &status.this_node.name;
    let there = status.peer.as_ref().map_or("the other node", |peer| peer.name.as_str());
    for group in &status.groups {
        let peer = group.peer.map_or("unknown", |claim| claim.word());
        out += &format!("{}: {here} {}, {there} {peer}\n", group.key, group.here.word());
        for resource in &group.resources {
            if let Some(under_way) = &resource.under_way {
                out += &format!("  {}: {under_way}\n", resource.text);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use ratatui::style::{Color, Modifier};

    #[test]
    fn colours_come_along_and_nothing_else_changes() {
        let lines = lines_of("a  \x1b[1;33m! DEGRADED\x1b[0m b\n\n   do: x\n");
        let text: Vec<String> = lines.iter().map(Line::to_string).collect();
        assert_eq!(text, ["a  ! DEGRADED b", "", "   do: x"]);
        let verdict = lines[0].spans.iter().find(|span| span.content.contains("DEG"));
        let style = verdict.expect("the verdict").style;
        assert_eq!(style.fg, Some(Color::Yellow));
        assert!(style.add_modifier.contains(Modifier::BOLD));
    }

    #[test]
    fn progress_names_both_nodes_and_what_runs() {
        let mut status = testing::healthy();
        status.groups[0].key = "www".into();
        status.groups[0].resources[1].under_way = Some("stop for 2.0 s, limit 60 s".into());
        assert_eq!(
            progress(Some(&status), 2_100),
            "under way for 2.1 s\nwww: node1 held, node2 released\n  nginx: stop for 2.0 s, limit \
             60 s\n"
        );
        assert_eq!(progress(None, 0), "under way for 0.0 s\n");
    }
}
