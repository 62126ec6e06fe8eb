//! `cl_status` with the words and exit codes of Heartbeat 3.0.6, which scripts and monitoring
//! checks parse. It reads one snapshot; it never changes anything.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use hb_node::api::StatusSnapshot;
use hb_node::words::link_word;

use crate::client::{self, ClientError};

/// "Normal failure": the answer is no.
const NO: u8 = 1;
/// A wrong word or a node that does not exist.
const PARAMETER: u8 = 11;
/// The daemon did not answer in time.
const TIMEOUT: u8 = 12;
/// Anything else, such as an unknown link.
const OTHER: u8 = 13;

const USAGE: &str = "usage: cl_status [-m] SUBCOMMAND [options]
  hbstatus [-v]             does heartbeat run on this machine?
  listnodes [-n|-p] [-v]    all nodes; -n members only, -p ping nodes only
  nodestatus NODE           active, dead, ping …
  nodetype NODE             normal or ping
  nodeweight NODE           always 100
  nodesite NODE             always empty
  listhblinks [-v] PEER     links to a node
  hblinkstatus PEER LINK    up or dead
  clientstatus NODE CLIENT  online or offline
  rscstatus                 none, local, foreign, all or transition
  hbparameter -p NAME       a value of ha.cf
";

/// What is printed and with which code.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    out: String,
    err: String,
    code: u8,
}

impl Answer {
    fn ok(out: impl Into<String>) -> Self {
        Self { out: out.into(), err: String::new(), code: 0 }
    }

    fn no(out: impl Into<String>) -> Self {
        Self { out: out.into(), err: String::new(), code: NO }
    }

    fn error(code: u8, err: impl Into<String>) -> Self {
        Self { out: String::new(), err: err.into(), code }
    }

    fn unknown_node() -> Self {
        Self::error(PARAMETER, "Error. May be due to incorrect node name\n")
    }
}

/// The words after the program's name.
#[derive(Debug, Default)]
struct Words<'a> {
    human: bool,
    verbose: bool,
    members_only: bool,
    pings_only: bool,
    parameter: Option<&'a str>,
    plain: Vec<&'a str>,
}

impl<'a> Words<'a> {
    fn parse(args: &'a [String]) -> Self {
        let mut words = Self::default();
        let mut args = args.iter().map(String::as_str);
        while let Some(arg) = args.next() {
            match arg {
                "-m" => words.human = true,
                "-v" => words.verbose = true,
                "-n" => words.members_only = true,
                "-p" if words.plain.first() == Some(&"hbparameter") => {
                    words.parameter = args.next();
                }
                "-p" => words.pings_only = true,
                _ => words.plain.push(arg),
            }
        }
        words
    }
}

/// Runs `cl_status` with the words that follow its name.
pub(crate) fn run(run_dir: &Path, args: &[String]) -> ExitCode {
    let words = Words::parse(args);
    let answer = match words.plain.first() {
        None => Answer::ok(USAGE),
        Some(command) if !is_command(command) => {
            Answer::error(PARAMETER, format!("ERROR: {command}: invalid sub-command.\n{USAGE}"))
        }
        Some(_) => answer(&words, client::snapshot(run_dir)),
    };
    crate::print::out(&answer.out);
    crate::print::err(&answer.err);
    ExitCode::from(answer.code)
}

fn is_command(word: &str) -> bool {
    [
        "hbstatus",
        "listnodes",
        "nodestatus",
        "nodetype",
        "nodeweight",
        "nodesite",
        "listhblinks",
        "hblinkstatus",
        "clientstatus",
        "rscstatus",
        "hbparameter",
    ]
    .contains(&word)
}

fn answer(words: &Words<'_>, snapshot: Result<StatusSnapshot, ClientError>) -> Answer {
    let plain: Vec<&str> = words.plain.clone();
    let snapshot = match snapshot {
        Ok(snapshot) => snapshot,
        Err(ClientError::Timeout { .. }) => {
            return Answer::error(TIMEOUT, "ERROR: no answer from heartbeat in time\n");
        }
        Err(_) if plain == ["hbstatus"] => {
            let reason = "(hb_api_signon: Can't initiate connection to heartbeat)\n";
            let more = if words.verbose { reason } else { "" };
            return Answer::no(format!("Heartbeat is stopped on this machine.\n{more}"));
        }
        Err(error) => {
            return Answer::error(
                NO,
                format!("ERROR: Cannot signon with heartbeat\nERROR: REASON: {error}\n"),
            );
        }
    };
    match plain.as_slice() {
        ["hbstatus"] => hbstatus(&snapshot, words.verbose),
        ["listnodes"] => listnodes(&snapshot, words),
        ["nodestatus", node] => nodestatus(&snapshot, node, words.human),
        ["nodetype", node] => nodetype(&snapshot, node, words.human),
        ["nodeweight", node] => nodeweight(&snapshot, node, words.human),
        ["nodesite", node] => nodesite(&snapshot, node, words.human),
        ["listhblinks", node] => listhblinks(&snapshot, node, words),
        ["hblinkstatus", node, link] => hblinkstatus(&snapshot, node, link, words.human),
        ["clientstatus", node, name] | ["clientstatus", node, name, _] => {
            clientstatus(&snapshot, node, name)
        }
        ["clientstatus", ..] => Answer::unknown_node(),
        ["rscstatus"] => rscstatus(&snapshot, words.human),
        ["hbparameter"] => hbparameter(&snapshot, words.parameter),
        _ => Answer::error(PARAMETER, format!("ERROR: wrong number of words\n{USAGE}")),
    }
}

/// Heartbeat's own says no sentence when it is verbose.
fn hbstatus(snapshot: &StatusSnapshot, verbose: bool) -> Answer {
    if !verbose {
        return Answer::ok("Heartbeat is running on this machine.\n");
    }
    let version = snapshot.heartbeat_version();
    let nodes = verbose_nodes(snapshot, false, false);
    Answer::ok(format!("version:\t{version}\nmanaged by:\t\"haresources\"\n{nodes}"))
}

/// Heartbeat lists in reverse order of definition: ping nodes, then members.
fn names(snapshot: &StatusSnapshot, members_only: bool, pings_only: bool) -> Vec<String> {
    let mut names = Vec::new();
    if !members_only {
        names.extend(snapshot.pings.iter().rev().map(|ping| ping.name.clone()));
    }
    if !pings_only {
        names.extend(snapshot.members.iter().rev().cloned());
    }
    names
}

fn listnodes(snapshot: &StatusSnapshot, words: &Words<'_>) -> Answer {
    if words.verbose {
        return Answer::ok(verbose_nodes(snapshot, words.members_only, words.pings_only));
    }
    let names = names(snapshot, words.members_only, words.pings_only);
    let title = if words.human { "The nodes are as follow:\n" } else { "" };
    Answer::ok(names.iter().fold(title.to_owned(), |out, name| out + name + "\n"))
}

fn verbose_nodes(snapshot: &StatusSnapshot, members_only: bool, pings_only: bool) -> String {
    let mut out = String::new();
    for name in names(snapshot, members_only, pings_only) {
        let kind = snapshot.node_type(&name).unwrap_or("normal");
        let status = snapshot.node_status(&name).unwrap_or_default();
        let _ = writeln!(out, "\n{name}\t{status}\t(nodetype: {kind})");
        for (link, up) in links(snapshot, &name) {
            let _ = writeln!(out, "\t{link}\t{}", link_word(up));
        }
    }
    out
}

/// Heartbeat's client library turns the links round, as it does with the nodes.
fn links<'a>(snapshot: &'a StatusSnapshot, node: &str) -> Vec<(&'a str, bool)> {
    let mut links = snapshot.node_links(node);
    links.reverse();
    links
}

fn nodestatus(snapshot: &StatusSnapshot, node: &str, human: bool) -> Answer {
    let Some(word) = snapshot.node_status(node) else { return Answer::unknown_node() };
    let out =
        if human { format!("The cluster node {node} is {word}\n") } else { format!("{word}\n") };
    if ["active", "up", "ping"].contains(&word) { Answer::ok(out) } else { Answer::no(out) }
}

fn nodetype(snapshot: &StatusSnapshot, node: &str, human: bool) -> Answer {
    match snapshot.node_type(node) {
        Some(kind) if human => Answer::ok(format!("The node {node}'s type: {kind}\n")),
        Some(kind) => Answer::ok(format!("{kind}\n")),
        None => Answer::unknown_node(),
    }
}

fn nodesite(snapshot: &StatusSnapshot, node: &str, human: bool) -> Answer {
    match snapshot.node_type(node) {
        Some(_) if human => Answer::ok(format!("The site of the cluster node {node} is \n")),
        Some(_) => Answer::ok("\n"),
        None => Answer::unknown_node(),
    }
}

fn nodeweight(snapshot: &StatusSnapshot, node: &str, human: bool) -> Answer {
    match snapshot.node_type(node) {
        Some(_) if human => Answer::ok(format!("The weight of the cluster node {node} is 100\n")),
        Some(_) => Answer::ok("100\n"),
        // Heartbeat's own wording, here only.
        None => Answer::error(PARAMETER, "Error. Maybe due to incorrect node name.\n"),
    }
}

fn listhblinks(snapshot: &StatusSnapshot, node: &str, words: &Words<'_>) -> Answer {
    if snapshot.node_type(node).is_none() {
        return Answer::error(OTHER, format!("ERROR: no links to an unknown node {node}\n"));
    }
    let title = if words.human { "\tthis node has the following heartbeat links:\n" } else { "" };
    let mut out = title.to_owned();
    for (link, up) in links(snapshot, node) {
        let _ = match words.verbose {
            true => writeln!(out, "\t{link}\t{}", link_word(up)),
            false => writeln!(out, "\t{link}"),
        };
    }
    Answer::ok(out)
}

fn hblinkstatus(snapshot: &StatusSnapshot, node: &str, link: &str, human: bool) -> Answer {
    let Some((_, up)) = snapshot.node_links(node).into_iter().find(|(name, _)| *name == link)
    else {
        return Answer::error(OTHER, format!("ERROR: no link {link} to node {node}\n"));
    };
    let word = link_word(up);
    let out = if human {
        format!("The node {node}'s heartbeat link {link} is {word}\n")
    } else {
        format!("{word}\n")
    };
    if up { Answer::ok(out) } else { Answer::no(out) }
}

fn clientstatus(snapshot: &StatusSnapshot, node: &str, name: &str) -> Answer {
    if snapshot.node_type(node).is_none() {
        Answer::error(OTHER, format!("ERROR: no clients of an unknown node {node}\n"))
    } else if snapshot.has_client(node, name) {
        Answer::ok("online\n")
    } else {
        Answer::no("offline\n")
    }
}

fn rscstatus(snapshot: &StatusSnapshot, human: bool) -> Answer {
    let word = &snapshot.this_node.rscstatus;
    Answer::ok(match human {
        false => format!("{word}\n"),
        true => format!("This node is holding {word} resources.\n"),
    })
}

fn hbparameter(snapshot: &StatusSnapshot, name: Option<&str>) -> Answer {
    let Some(name) = name else {
        return Answer::error(PARAMETER, format!("ERROR: hbparameter needs -p NAME\n{USAGE}"));
    };
    match snapshot.parameter(name) {
        Some(value) => Answer::ok(format!("{value}\n")),
        None => Answer::error(NO, format!("ERROR: ha.cf has no value for {name}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::snapshot;

    fn check(args: &[&str], out: &str, code: u8) {
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        let answer = answer(&Words::parse(&args), Ok(snapshot()));
        assert_eq!((answer.out.as_str(), answer.code), (out, code), "{args:?}");
        assert_eq!(answer.err.is_empty(), !answer.out.is_empty(), "{args:?}");
    }

    #[test]
    fn words_and_codes_are_those_of_heartbeat_3_0_6() {
        check(&["hbstatus"], "Heartbeat is running on this machine.\n", 0);
        check(&["listnodes"], "10.0.0.254\nnode2\nnode1\n", 0);
        check(&["listnodes", "-n"], "node2\nnode1\n", 0);
        check(&["listnodes", "-p"], "10.0.0.254\n", 0);
        check(&["nodestatus", "node1"], "active\n", 0);
        check(&["nodestatus", "NODE1"], "active\n", 0);
        check(&["nodestatus", "node2"], "dead\n", 1);
        check(&["nodestatus", "-m", "node2"], "The cluster node node2 is dead\n", 1);
        check(&["nodestatus", "10.0.0.254"], "ping\n", 0);
        check(&["nodestatus", "x"], "", 11);
        check(&["nodetype", "node2"], "normal\n", 0);
        check(&["nodetype", "10.0.0.254"], "ping\n", 0);
        check(&["nodeweight", "node1"], "100\n", 0);
        check(&["nodesite", "node1"], "\n", 0);
        check(&["listhblinks", "node2"], "\teth1\n\teth0\n", 0);
        check(&["listhblinks", "-v", "node2"], "\teth1\tup\n\teth0\tdead\n", 0);
        check(&["listhblinks", "x"], "", 13);
        check(
            &["hblinkstatus", "-m", "node2", "eth0"],
            "The node node2's heartbeat link eth0 is dead\n",
            1,
        );
        check(&["nodetype", "-m", "node1"], "The node node1's type: normal\n", 0);
        check(&["nodeweight", "x"], "", 11);
        check(&["hblinkstatus", "node2", "eth1"], "up\n", 0);
        check(&["hblinkstatus", "node2", "eth0"], "dead\n", 1);
        check(&["clientstatus", "node2", "ipfail"], "online\n", 0);
        check(&["clientstatus", "node1", "ipfail"], "offline\n", 1);
        check(&["rscstatus"], "all\n", 0);
        check(&["rscstatus", "-m"], "This node is holding all resources.\n", 0);
        check(&["-m", "rscstatus"], "This node is holding all resources.\n", 0);
        check(&["hbparameter", "-p", "keepalive"], "200ms\n", 0);
        check(&["hbparameter", "-p", "nonsense"], "", 1);
        check(&["hbparameter", "-p", "hopfudge"], "1\n", 0);
        check(&["listnodes", "-m", "-p"], "The nodes are as follow:\n10.0.0.254\n", 0);
        check(&["nodeweight", "-m", "node2"], "The weight of the cluster node node2 is 100\n", 0);
        check(&["nodesite", "-m", "node2"], "The site of the cluster node node2 is \n", 0);
        let links = "\tthis node has the following heartbeat links:\n\teth1\n\teth0\n";
        check(&["listhblinks", "-m", "node2"], links, 0);
        check(&["clientstatus", "node3", "ipfail"], "", 13);
        check(&["hblinkstatus", "node2", "eth7"], "", 13);
        check(&["nodestatus"], "", 11);
    }

    #[test]
    fn verbose_lists_nodes_with_status_and_links() {
        let expected = "\n10.0.0.254\tping\t(nodetype: ping)\n\t10.0.0.254\tup\n\
            \nnode2\tdead\t(nodetype: normal)\n\teth1\tup\n\teth0\tdead\n\
            \nnode1\tactive\t(nodetype: normal)\n\teth1\tup\n\teth0\tup\n";
        check(&["listnodes", "-v"], expected, 0);
    }

    #[test]
    fn a_stopped_daemon_is_told_as_scripts_expect() {
        let down = || {
            Err(ClientError::NotRunning {
                path: "/run/heartbeat/status.sock".into(),
                source: std::io::Error::from(std::io::ErrorKind::NotFound),
            })
        };
        let words =
            |args: &'static [&'static str]| Words { plain: args.to_vec(), ..Words::default() };
        let hbstatus = answer(&words(&["hbstatus"]), down());
        assert_eq!(hbstatus, Answer::no("Heartbeat is stopped on this machine.\n"));
        let verbose = answer(&Words { verbose: true, ..words(&["hbstatus"]) }, down());
        let reason = "(hb_api_signon: Can't initiate connection to heartbeat)\n";
        assert_eq!(verbose, Answer::no(format!("Heartbeat is stopped on this machine.\n{reason}")));
        let rscstatus = answer(&words(&["rscstatus"]), down());
        assert_eq!((rscstatus.code, rscstatus.out.as_str()), (1, ""));
        assert!(rscstatus.err.starts_with("ERROR: Cannot signon with heartbeat\nERROR: REASON: "));
    }
}
