//! Every recording in `recordings` leads to the decisions that it holds. How an incident gets there is in
//! docs/reference/recording.md.

#![allow(clippy::disallowed_methods, reason = "reads files of the repository")]

use std::path::Path;

use hb_sim::replay::replay;

#[test]
fn recordings_lead_to_the_same_decisions() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("the folder of recordings") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|end| end != "rec") {
            continue;
        }
        let bytes = std::fs::read(&path).expect("a recording");
        let seen = replay(&bytes, |_| {}).unwrap_or_else(|text| {
            panic!(
                "{}: {text}: `cargo run -p hb-sim -- replay` shows where; when the new decision is \
                 right, `--renew` keeps it",
                path.display()
            )
        });
        assert!(seen.inputs > 0 && seen.lost == 0, "{}: {seen:?}", path.display());
        count += 1;
    }
    assert!(count > 0, "no recording");
}
