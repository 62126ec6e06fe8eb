//! hb.toml: every key reaches its place, and nothing panics.

use proptest::prelude::*;

use super::*;
use crate::settings::{Announce, FailurePolicy, Operations};

fn parsed(text: &str) -> (Native, Vec<Code>) {
    let (native, found) = parse(&SourceFile::from_text("hb.toml", text));
    (native, found.iter().map(|diagnostic| diagnostic.code).collect())
}

#[test]
fn every_key_reaches_its_place() {
    let (native, codes) = parsed(
        "[compatibility]\nmsgfmt = \"classic\"\n[operations]\nstart_timeout = \"90\"\n\
         stop_timeout = \"1m\"\nstatus_timeout = \"2500ms\"\nkill_grace = \"1s\"\n\
         [failure]\noffer_delay = \"0\"\nstop_retries = 3\nstop_retry_delay = \"0.5\"\n\
         [announce]\ncount = 7\ninterval = \"100ms\"\n",
    );
    assert_eq!(codes, []);
    let expect = Native {
        framing: Framing::Classic,
        operations: Operations {
            start_timeout_ms: 90_000,
            stop_timeout_ms: 60_000,
            status_timeout_ms: 2_500,
            kill_grace_ms: 1_000,
        },
        failure: FailurePolicy { offer_delay_ms: 0, stop_retries_max: 3, stop_retry_delay_ms: 500 },
        announce: Announce { count: 7, interval_ms: 100 },
        ..Native::default()
    };
    assert_eq!(native, expect);
}

#[test]
fn the_defaults_of_the_table_are_those_of_settings() {
    let mut text = String::new();
    for key in KEYS {
        let value = match key.kind {
            Kind::Integer { .. } => key.default.to_owned(),
            Kind::Time { .. } | Kind::Choice(_) => format!("\"{}\"", key.default),
        };
        text.push_str(&format!("{}.{} = {value}\n", key.section, key.name));
    }
    assert_eq!(parsed(&text), (Native::default(), vec![]));
}

#[test]
fn findings() {
    let check = |text: &str, expect: &[Code]| assert_eq!(parsed(text).1, expect, "{text:?}");
    check("", &[]);
    check("# nothing\n", &[]);
    check("\u{feff}[announce]\ncount = 3\n", &[Code::ByteOrderMark]);
    check("[announce\n", &[Code::TomlSyntax]);
    check("[announce]\ncount = 3\ncount = 4\n", &[Code::TomlSyntax]);
    check("[announcement]\n", &[Code::UnknownKey]);
    check("[announce]\ncounts = 3\n", &[Code::UnknownKey]);
    check("announce = 3\n", &[Code::InvalidNativeValue]);
    check("[announce]\ncount = 0\n", &[Code::InvalidNativeValue]);
    check("[announce]\ncount = -1\n", &[Code::InvalidNativeValue]);
    check("[announce]\ncount = 99999999999999999999\n", &[Code::InvalidNativeValue]);
    check("[announce]\ninterval = \"9ms\"\n", &[Code::InvalidNativeValue]);
    check("[operations]\nkill_grace = \"30s\"\n", &[Code::GraceTooLong]);
    check("[operations]\nstop_timeout = 3\n", &[Code::InvalidNativeValue]);
    assert_eq!(parsed("[announce]\ncount = 1_0\n").0.announce.count, 10);
    assert_eq!(parsed("[announce]\ncount = 0x10\n").0.announce.count, 16);
}

proptest! {
    #[test]
    fn no_bytes_panic_and_labels_lie_inside(bytes: Vec<u8>, text in "[\\[\\]a-c.=\"'\\\\{}# \n0-9主]*") {
        for source in [
            SourceFile::from_bytes("hb.toml", &bytes, None),
            SourceFile::from_text("hb.toml", &text),
        ] {
            for found in parse(&source).1 {
                for label in &found.labels {
                    prop_assert!(source.text().get(label.span.start..label.span.end).is_some());
                }
            }
        }
    }
}
