//! A plan as a drawing: for each group a lane per node with the time in which it serves and the
//! actions that run. Values in, text out.

use std::fmt::Write as _;

use super::show::{clock, result};
use super::story::Story;

/// Width of the time axis in units of the drawing.
const AXIS: u64 = 900;
/// Left of it stand the names.
const LEFT: u64 = 150;
/// Height of a lane.
const LANE: u64 = 26;
/// Height above the first lane.
const TOP: u64 = 50;
/// The axis is longer than the story by a tenth, so that its end is seen.
const MARGIN: u64 = 10;

/// The drawing.
pub(super) fn draw(story: &Story) -> String {
    let length = story.length_us.max(1);
    let length = length + length / MARGIN;
    let x = |at_us: u64| LEFT + at_us.min(length).saturating_mul(AXIS) / length;
    let lanes = u64::try_from(story.groups.len()).unwrap_or(0) * 3;
    let height = TOP + lanes * LANE + 40;
    let width = LEFT + AXIS + 30;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"20\" font-size=\"14\">{}</text>\n",
        escaped(&story.what)
    );
    let mut y = TOP;
    for group in &story.groups {
        text(&mut out, 10, y + 12, &result(group, true));
        for node in &story.nodes {
            y += LANE;
            text(&mut out, 10, y + 14, node);
            for served in group.served.iter().filter(|served| served.node == *node) {
                let to = served.to_us.unwrap_or(length);
                bar(&mut out, (x(served.from_us), x(to)), (y + 2, LANE - 8), "#4a9d5b", "serves");
            }
            let actions = story.actions.iter();
            for action in actions.filter(|it| it.node == *node && it.group == group.key) {
                let to = action.to_us.unwrap_or(length);
                let colour = if action.action == "stop" { "#c9803a" } else { "#3a74c9" };
                let title = format!("{} {}", action.resource, action.action);
                bar(&mut out, (x(action.from_us), x(to)), (y + 5, LANE - 14), colour, &title);
            }
        }
        y += LANE;
    }
    for part in 0..=5 {
        let at_us = length * part / 5;
        let (at, bottom) = (x(at_us), y + 4);
        let _ = writeln!(
            out,
            "<line x1=\"{at}\" y1=\"{TOP}\" x2=\"{at}\" y2=\"{bottom}\" stroke=\"#bbb\"/>"
        );
        text(&mut out, at, bottom + 16, &clock(at_us));
    }
    out + "</svg>\n"
}

fn text(out: &mut String, x: u64, y: u64, words: &str) {
    // Writing into a string cannot fail.
    let _ = writeln!(out, "<text x=\"{x}\" y=\"{y}\">{}</text>", escaped(words));
}

fn bar(
    out: &mut String,
    (from, to): (u64, u64),
    (y, height): (u64, u64),
    colour: &str,
    title: &str,
) {
    // What takes no time is still seen.
    let width = to.saturating_sub(from).max(2);
    let title = escaped(title);
    let _ = writeln!(
        out,
        "<rect x=\"{from}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"{colour}\">\
         <title>{title}</title></rect>"
    );
}

/// Names from haresources are anybody's text.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
