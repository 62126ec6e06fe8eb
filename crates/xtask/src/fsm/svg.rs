//! The moves of a group as a picture: one box for each claim, one numbered arrow for each move. The
//! places of the boxes are chosen by hand; which arrows there are comes from `drive`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Where the box of a claim has its centre.
const PLACES: [(&str, f64, f64); 6] = [
    ("released", 130.0, 90.0),
    ("acquiring", 450.0, 90.0),
    ("held", 770.0, 90.0),
    ("failed", 130.0, 330.0),
    ("releasing", 450.0, 330.0),
    ("blocked", 770.0, 330.0),
];
/// Half the size of a box.
const HALF: (f64, f64) = (72.0, 27.0);
/// How far an arrow bends to the right of its way, so that there and back do not lie on each other.
const BEND: f64 = 26.0;

fn place(name: &str) -> Option<(f64, f64)> {
    PLACES.iter().find(|(known, ..)| *known == name).map(|(_, x, y)| (*x, *y))
}

/// Where the way from the middle of a box to a point leaves the box.
fn edge(centre: (f64, f64), towards: (f64, f64)) -> (f64, f64) {
    let (dx, dy) = (towards.0 - centre.0, towards.1 - centre.1);
    let scale = (HALF.0 / dx.abs().max(f64::EPSILON)).min(HALF.1 / dy.abs().max(f64::EPSILON));
    (centre.0 + dx * scale, centre.1 + dy * scale)
}

/// An arrow and, to be drawn above all arrows, its number.
fn arrow(text: &mut String, labels: &mut String, number: usize, from: (f64, f64), to: (f64, f64)) {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let length = dx.hypot(dy).max(1.0);
    let (nx, ny) = (-dy / length, dx / length);
    // Two boxes away in a row: over the one between them.
    let far = dy.abs() < 1.0 && dx.abs() > 400.0;
    let bend = if far { -BEND * 2.2 } else { BEND };
    let middle = ((from.0 + to.0) / 2.0 + nx * bend, (from.1 + to.1) / 2.0 + ny * bend);
    let control = (middle.0 + nx * bend, middle.1 + ny * bend);
    let (start, end) = (edge(from, control), edge(to, control));
    // The number stands where the arrow is, nearer to its beginning, where fewer cross.
    let t = if far { 0.5 } else { 0.38 };
    let at =
        |a: f64, b: f64, c: f64| (1.0 - t) * (1.0 - t) * a + 2.0 * t * (1.0 - t) * b + t * t * c;
    let (x, y) = (at(start.0, control.0, end.0), at(start.1, control.1, end.1));
    // Writing into a string cannot fail.
    let _ = writeln!(
        text,
        "<path d=\"M{:.1} {:.1}Q{:.1} {:.1} {:.1} {:.1}\" fill=\"none\" stroke=\"#4b5563\" stroke-width=\"1.6\" \
         marker-end=\"url(#tip)\"/>",
        start.0, start.1, control.0, control.1, end.0, end.1,
    );
    let _ = writeln!(
        labels,
        "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"11\" fill=\"#fff\" stroke=\"#4b5563\"/>\
         <text x=\"{x:.1}\" y=\"{:.1}\" font-size=\"12\">{number}</text>",
        y + 4.2,
    );
}

/// The picture.
pub(super) fn draw(moves: &BTreeMap<(String, String), BTreeSet<String>>) -> String {
    let mut text = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 900 430\" font-family=\"sans-serif\" \
         text-anchor=\"middle\">\n<title>Moves of a group</title>\n<defs><marker id=\"tip\" viewBox=\"0 0 10 10\" \
         refX=\"9\" refY=\"5\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\">\
         <path d=\"M0 0L10 5L0 10z\" fill=\"#4b5563\"/></marker></defs>\n\
         <rect width=\"900\" height=\"430\" fill=\"#fff\"/>\n",
    );
    let mut labels = String::new();
    for (number, (from, to)) in moves.keys().enumerate() {
        if let (Some(from), Some(to)) = (place(from), place(to)) {
            arrow(&mut text, &mut labels, number + 1, from, to);
        }
    }
    text.push_str(&labels);
    for (name, x, y) in PLACES {
        let colour = match name {
            "held" => "#d1fae5",
            "failed" | "blocked" => "#fee2e2",
            _ => "#eef2ff",
        };
        let _ = writeln!(
            text,
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"9\" fill=\"{colour}\" stroke=\"#1f2937\"/>\
             <text x=\"{x}\" y=\"{}\" font-size=\"18\">{name}</text>",
            x - HALF.0,
            y - HALF.1,
            HALF.0 * 2.0,
            HALF.1 * 2.0,
            y + 6.0
        );
    }
    text.push_str("</svg>\n");
    text
}
