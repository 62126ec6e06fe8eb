//! The screens that the manual shows, drawn by the real renderer from states that two real nodes
//! come to in the modelled world. Ages and times are masked.

use hb_node::api::StatusSnapshot;
use hb_sim::moments;

use super::screen::{Style, screen};

fn masked(snapshot: &StatusSnapshot) -> String {
    let style = Style { symbols: true, colour: false };
    let text = screen(snapshot, style, &|_| "DATE".to_owned());
    moments::masked(&text, env!("CARGO_PKG_VERSION"))
}

#[test]
fn healthy() {
    insta::assert_snapshot!("golden_healthy", masked(&moments::healthy()));
}

#[test]
fn degraded() {
    insta::assert_snapshot!("golden_degraded", masked(&moments::degraded()));
}

#[test]
fn split() {
    insta::assert_snapshot!("golden_split", masked(&moments::split()));
}

#[test]
fn split_that_is_only_feared() {
    insta::assert_snapshot!("golden_split_feared", masked(&moments::split_feared()));
}
