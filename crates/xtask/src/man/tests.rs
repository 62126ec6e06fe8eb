//! The pages: everything of the tables is there, and mandoc has nothing to say.
#![expect(clippy::disallowed_methods, reason = "runs mandoc")]

use std::io::Write;
use std::process::{Command, Stdio};

use hb_config::directives::TABLE;
use hb_config::native::KEYS;

use super::roff::{literal, mend, text};
use super::set;

fn page(name: &str) -> String {
    let pages = set().pages;
    let page = pages.into_iter().find(|page| page.path.ends_with(&format!("/{name}")));
    page.unwrap_or_else(|| panic!("no page {name}")).text
}

#[test]
fn every_row_of_the_tables_is_there() {
    let (ha_cf, hb_toml) = (page("ha.cf.5"), page("hb.toml.5"));
    for row in TABLE {
        assert!(ha_cf.contains(&format!("\\fB{}\\fR ", literal(row.name))), "{}", row.name);
        assert!(ha_cf.contains(&text(row.doc_long)), "{}", row.name);
    }
    for key in KEYS {
        assert!(hb_toml.contains(&format!("\\fB{}\\fR = ", literal(key.name))), "{}", key.name);
        assert!(hb_toml.contains(&text(key.doc)), "{}", key.name);
    }
}

#[test]
fn every_visible_verb_has_its_page() {
    let overview = page("hb.8");
    for verb in crate::commands::hb().get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let name = verb.get_name();
        if name == "cl_status" {
            assert!(overview.contains("\\fBcl_status\\fR(1)"));
            continue;
        }
        assert!(overview.contains(&format!("\\fBhb\\-{}\\fR(8)", literal(name))), "{name}");
        assert!(page(&format!("hb-{name}.8")).contains(".SH SYNOPSIS\n"), "{name}");
    }
    for hidden in ["hb-probe.8", "hb-witness.8"] {
        assert!(set().pages.iter().all(|page| !page.path.ends_with(hidden)), "{hidden}");
    }
}

#[test]
fn verbs_of_verbs_stand_on_the_page_of_their_verb() {
    let key = page("hb-key.8");
    for part in [".SH HB KEY ROTATE\n", ".SH HB KEY ADD\n", "\\fB\\-\\-method\\fR"] {
        assert!(key.contains(part), "{part}: {key}");
    }
}

#[test]
fn plain_words_become_roff() {
    let check = |words: &str, expect: &str| assert_eq!(text(words), expect, "{words}");
    check("the output of `uname -n`", "the output of \\fBuname \\-n\\fR");
    check(".hidden", "\\&.hidden");
    check("a\\b and a-b…", "a\\eb and a-b...");
    let made = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\na\n\n\nuse `x`\n.br\n.br\nb\n";
    assert_eq!(mend(made), "a\n.sp\nuse \\fBx\\fR\n.br\nb\n");
}

/// `mandoc` of the package of that name, with the strictness of `.ci/run`.
#[test]
fn mandoc_has_nothing_to_say() {
    if Command::new("mandoc").arg("-h").stderr(Stdio::null()).status().is_err() {
        assert!(std::env::var_os("HB_FORBID_SKIPS").is_none(), "mandoc is not installed");
        eprintln!("SKIP: mandoc is not installed");
        return;
    }
    for page in set().pages {
        let mut mandoc = Command::new("mandoc")
            .args(["-T", "lint", "-W", "warning"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("mandoc");
        mandoc.stdin.take().expect("a pipe").write_all(page.text.as_bytes()).expect("written");
        let output = mandoc.wait_with_output().expect("mandoc's end");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}: {said}", page.path);
    }
}
