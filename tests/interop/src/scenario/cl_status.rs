//! Debian's `cl_status`: every subcommand on both nodes in one state after another, first with the
//! genuine daemon on both, then with the pair that is played; each byte and each exit code must be the
//! same. Beside it `hb cl_status`, which must not differ from Debian's on the same node.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hb_cli::lab::{self, HEARTBEAT, PROGRAMS};

use super::both_up;
use crate::files::NODES;
use crate::pair::Pair;
use crate::{Side, Step, Trouble, genuine};

/// What is asked without a node: every form that scripts use, and some that they should not.
const GENERAL: &[&str] = &[
    "hbstatus",
    "hbstatus -m",
    "hbstatus -v",
    "listnodes",
    "listnodes -m",
    "listnodes -n",
    "listnodes -p",
    "listnodes -v",
    "listnodes -n -v",
    "listnodes -p -v",
    "rscstatus",
    "rscstatus -m",
    "nodestatus",
    "nodetype",
    "nodeweight",
    "nodesite",
    "listhblinks",
    "hblinkstatus",
    "hblinkstatus node2",
    "clientstatus",
    "clientstatus node1",
    "hbparameter",
    "nonsense",
];
/// What is asked of each node.
const OF_NODE: &[&str] = &[
    "nodestatus NODE",
    "nodestatus -m NODE",
    "nodetype NODE",
    "nodetype -m NODE",
    "nodeweight NODE",
    "nodeweight -m NODE",
    "nodesite NODE",
    "nodesite -m NODE",
    "listhblinks NODE",
    "listhblinks -m NODE",
    "listhblinks -v NODE",
    "hblinkstatus NODE eth0",
    "hblinkstatus NODE eth1",
    "hblinkstatus -m NODE eth1",
    "hblinkstatus NODE eth7",
    "hblinkstatus NODE 192.0.2.254",
    "clientstatus NODE ipfail",
    "clientstatus -m NODE ipfail",
    "clientstatus NODE ipfail 1000",
    "clientstatus NODE nobody",
];
/// The members, a ping node, and one that does not exist.
const ASKED: [&str; 4] = ["node1", "node2", "192.0.2.254", "node3"];
/// Directives: set, set by default, and unknown.
const PARAMETERS: &[&str] = &[
    "apiauth",
    "auto_failback",
    "autojoin",
    "baud",
    "bcast",
    "cluster",
    "compression",
    "compression_threshold",
    "conn_logd_time",
    "coredumps",
    "coreroot",
    "crm",
    "crm_daemon_dir",
    "crmd_spawns_pengine",
    "deadping",
    "deadtime",
    "debug",
    "debugfile",
    "enable_config_writes",
    "env",
    "failfast",
    "hbgenmethod",
    "hbversion",
    "hopfudge",
    "initdead",
    "keepalive",
    "log_badpack",
    "logfacility",
    "logfile",
    "max_rexmit_delay",
    "mcast",
    "mcast6",
    "memreserve",
    "msgfmt",
    "nice_failback",
    "node",
    "nonsense",
    "normalpoll",
    "pacemaker",
    "ping",
    "ping6",
    "ping_group",
    "quorum_server",
    "realtime",
    "record_config_changes",
    "record_pengine_inputs",
    "respawn",
    "rtprio",
    "serial",
    "stonith",
    "stonith_host",
    "syslogmsgfmt",
    "traditional_compression",
    "ucast",
    "ucast6",
    "udpport",
    "use_apphbd",
    "use_logd",
    "uuidfrom",
    "warntime",
    "watchdog",
];

/// How often everything is asked until nothing is under way. Each takes seconds.
const ASKED_MAX: u32 = 5;

/// Command and what came of it: standard output, standard error, exit code.
type Answers = BTreeMap<String, String>;

/// What one node answered in one state.
struct Asked {
    label: String,
    index: usize,
    /// Of Debian's program.
    answers: Answers,
    /// Of `hb cl_status`, where the daemon is ours.
    own: Option<Answers>,
}
type Seen = Vec<Asked>;

pub(super) fn compare(pair: &mut Pair) -> Step {
    let goal = pair.sides;
    let reference = states(pair, [Side::Genuine; 2])?;
    let seen = states(pair, goal)?;
    let mut wrong = Vec::new();
    for (reference, seen) in reference.iter().zip(&seen) {
        let place = format!("{}, {} ({})", seen.label, NODES[seen.index], goal[seen.index].word());
        for (command, expect) in &reference.answers {
            let got = seen.answers.get(command).map_or("nothing", String::as_str);
            if got != expect {
                wrong.push(format!("{place}: cl_status {command}: {got:?}, 3.0.6 has {expect:?}"));
            }
            let own = seen.own.as_ref().and_then(|own| own.get(command));
            if let Some(own) = own
                && without_errors(own) != without_errors(got)
            {
                wrong.push(format!("{place}: hb cl_status {command}: {own:?}, Debian's: {got:?}"));
            }
        }
    }
    if wrong.is_empty() && reference.len() == seen.len() {
        return Ok(());
    }
    Err(Trouble::Wrong(wrong.join("\n  and: ")))
}

/// The states, one after another, from the start of both to the end of both.
fn states(pair: &mut Pair, sides: [Side; 2]) -> Step<Seen> {
    for (index, side) in sides.into_iter().enumerate() {
        pair.replace(index, side)?;
    }
    let mut seen = Seen::new();
    both_up(pair)?;
    // ipfail is started when its node is active, and the ping node answers some beats later.
    for index in 0..2 {
        pair.await_answer(index, "nodestatus 192.0.2.254", "ping")?;
        pair.await_answer(index, "clientstatus node1 ipfail 1000", "online")?;
        pair.await_answer(index, "clientstatus node2 ipfail 1000", "online")?;
    }
    ask(pair, "both at home", &mut seen)?;
    pair.command(0, "standby", "all")?;
    pair.settle("22")?;
    ask(pair, "node2 has everything", &mut seen)?;
    pair.command(1, "standby", "foreign")?;
    pair.settle("12")?;

    pair.cable(1, HEARTBEAT, false)?;
    pair.await_answer(0, "hblinkstatus node2 eth1", "dead")?;
    pair.await_answer(1, "hblinkstatus node1 eth1", "dead")?;
    pair.settle("12")?;
    ask(pair, "one of two links cut", &mut seen)?;
    pair.cable(1, HEARTBEAT, true)?;
    pair.await_answer(0, "hblinkstatus node2 eth1", "up")?;
    pair.await_answer(1, "hblinkstatus node1 eth1", "up")?;

    pair.stop(1)?;
    pair.settle("11")?;
    pair.await_answer(0, "nodestatus node2", "dead")?;
    pair.await_answer(0, "hblinkstatus node2 eth0", "dead")?;
    pair.await_answer(0, "hblinkstatus node2 eth1", "dead")?;
    pair.settle("11")?;
    ask(pair, "node2 stopped", &mut seen)?;
    pair.start(1)?;
    pair.settle("12")?;
    pair.stop(0)?;
    pair.settle("22")?;
    pair.stop(1)?;
    pair.settle("--")?;
    ask(pair, "both stopped", &mut seen)?;
    Ok(seen)
}

/// Asks everything on both nodes, and on ours with `hb cl_status`, too.
fn ask(pair: &mut Pair, label: &str, seen: &mut Seen) -> Step {
    pair.tell(&format!("asked: {label}"));
    for index in 0..2 {
        // ha.cf is the same in all states.
        let lists = commands(seen.len() < NODES.len());
        let mut times = 0;
        let asked = loop {
            times += 1;
            let answers = answers(pair, index, genuine::CL_STATUS, &lists)?;
            let own = match pair.sides[index] {
                Side::Ours => Some(own_answers(pair, index, &lists)?),
                Side::Genuine => None,
            };
            let asked = Asked { label: label.to_owned(), index, answers, own };
            if !asked.is_in_transition() || times == ASKED_MAX {
                break asked;
            }
            pair.tell("asked again: a dialogue was under way");
        };
        seen.push(asked);
    }
    pair.tell("all answered");
    Ok(())
}

impl Asked {
    /// On a loaded machine 3.0.6 offers its peer's groups once more when both have settled, and either
    /// node says so for that moment. The answers are compared at rest.
    fn is_in_transition(&self) -> bool {
        let all = [Some(&self.answers), self.own.as_ref()];
        let mut all = all.into_iter().flatten().flatten();
        all.any(|(words, answer)| words.starts_with("rscstatus") && answer.contains("transition"))
    }
}

/// Marks between the parts of an answer.
const ERRORS: &str = "\n-- errors\n";
const CODE: &str = "\n-- exit code ";

fn own_answers(pair: &Pair, index: usize, lists: &[Vec<String>]) -> Step<Answers> {
    answers(pair, index, &format!("{PROGRAMS}/hb cl_status"), lists)
}

fn answers(pair: &Pair, index: usize, program: &str, lists: &[Vec<String>]) -> Step<Answers> {
    // Several lists at a time: a program that waits for an answer of the other node holds up no other.
    let mut script = "cd \"$(mktemp -d)\"\n".to_owned();
    for (number, words) in lists.iter().enumerate() {
        let words = words.join("\n");
        // Writing into a string cannot fail.
        let _ = write!(
            script,
            "while read -r words; do {program} $words >out{number} 2>err{number} </dev/null\n\
             code=$?; echo \"== $words\"; cat out{number}; printf '{}'; cat err{number}\n\
             echo \"\n-- exit code $code\"; done >all{number} <<'END' &\n{words}\nEND\n",
            ERRORS.replace('\n', "\\n")
        );
    }
    let text = pair.run(index, &(script + "wait; cat all*"))?;
    let mut answers = Answers::new();
    for part in format!("\n{text}").split("\n== ").skip(1) {
        let (command, answer) = part.split_once('\n').unwrap_or((part, ""));
        answers.insert(command.to_owned(), general(answer));
    }
    Ok(answers)
}

fn commands(with_parameters: bool) -> Vec<Vec<String>> {
    let of_node = |node: &str| OF_NODE.iter().map(|words| words.replace("NODE", node)).collect();
    let mut all: Vec<Vec<String>> = ASKED.iter().map(|node| of_node(node)).collect();
    all.push(GENERAL.iter().map(|words| (*words).to_owned()).collect());
    if with_parameters {
        all.push(PARAMETERS.iter().map(|name| format!("hbparameter -p {name}")).collect());
    }
    all
}

/// Without what must differ: time, host and process in front of an error; what follows the version.
fn general(answer: &str) -> String {
    let line = |line: &str| {
        if let Some((_, rest)) = line.split_once(" cl_status: [")
            && let Some((_, rest)) = rest.split_once("]: ")
        {
            return rest.to_owned();
        }
        let versions = ["version:\t3.0.6 (", "3.0.6 ("];
        let version = versions.into_iter().find(|begin| line.starts_with(begin));
        version.unwrap_or(line).to_owned()
    };
    answer.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// Standard output and exit code: the library's complaints are nobody's contract.
fn without_errors(answer: &str) -> (&str, &str) {
    let (out, rest) = answer.split_once(ERRORS).unwrap_or((answer, ""));
    (out, rest.rsplit_once(CODE).map_or("", |(_, code)| code))
}

/// The ping node that is asked for is the lab's.
const _: () = assert!(matches!(lab::CLIENT.octets(), [192, 0, 2, 254]));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_time_and_process() {
        let check = |text: &str, expect: &str| assert_eq!(general(text), expect);
        check("active\n", "active\n");
        check(
            "\n-- errors\nNov 21 02:32:27 vm cl_status: [29375]: ERROR: x: invalid sub-command.\n",
            "\n-- errors\nERROR: x: invalid sub-command.\n",
        );
        check("version:\t3.0.6 (node: 5a3b)\nmanaged", "version:\t3.0.6 (\nmanaged");
        check("3.0.6 (node: 5a3b)\n", "3.0.6 (\n");
    }

    #[test]
    fn the_parts_of_an_answer() {
        let answer = "dead\n\n-- errors\nERROR: x\n\n-- exit code 1";
        assert_eq!(without_errors(answer), ("dead\n", "1"));
    }
}
