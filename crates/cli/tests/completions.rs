//! `hb completions bash`, as bash uses it: the script is sourced, its function is called with a line
//! that somebody has begun, and what it offers is looked at.
#![expect(clippy::disallowed_methods, reason = "runs the program and bash")]

use std::io::Write;
use std::process::{Command, Stdio};

/// What bash does at the tab key, without the terminal: the words, then the one that is begun.
const ASK: &str = r#"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
_hb hb "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;

fn script(shell: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_hb")).args(["completions", shell]).output();
    let output = output.expect("hb");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn offered(words: &[&str]) -> Vec<String> {
    let mut bash = Command::new("bash")
        .args(["--norc", "-s", "--"])
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("bash");
    let input = script("bash") + ASK;
    bash.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("written");
    let output = bash.wait_with_output().expect("bash's end");
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_completes_verbs_and_their_words() {
    let check = |words: &[&str], expect: &[&str]| assert_eq!(offered(words), expect, "{words:?}");
    check(&["hb", "stat"], &["status"]);
    check(&["hb", "maint"], &["maintenance"]);
    check(&["hb", "takeover", "f"], &["foreign", "failback"]);
    check(&["hb", "key", "ro"], &["rotate"]);
    check(&["hb", "status", "--js"], &["--json"]);
    check(&["hb", "prob"], &[]);
    check(&["hb", "no-such"], &[]);
}

#[test]
fn each_shell_gets_a_script_of_its_own() {
    for (shell, sign) in
        [("bash", "complete -F _hb"), ("zsh", "#compdef hb"), ("fish", "complete -c hb")]
    {
        assert!(script(shell).contains(sign), "{shell}");
    }
}

#[test]
fn a_shell_that_is_not_known_is_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_hb")).args(["completions", "csh"]).output();
    assert_eq!(output.expect("hb").status.code(), Some(2));
}
