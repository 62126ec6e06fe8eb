//! What `iptables-save` and `ip6tables-save` print, as chains. Pure.

use super::{Chain, Condition, Family, Hook, Network, Rule, Tool, Verdict};

/// Tables in the order in which the kernel asks them; `nat` decides nothing about what may pass.
const TABLES: [(&str, i32); 4] = [("raw", -300), ("mangle", -150), ("filter", 0), ("security", 50)];

/// The chains of one text.
pub(in super::super) fn parse(text: &str, family: Family) -> Vec<Chain> {
    let mut chains: Vec<Chain> = Vec::new();
    let mut table = None;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('*') {
            table = TABLES.iter().find(|(known, _)| *known == name.trim());
            continue;
        }
        let Some((table, priority)) = table else { continue };
        if let Some(rest) = line.strip_prefix(':') {
            let mut words = rest.split_whitespace();
            let name = words.next().unwrap_or_default();
            let policy = words.next().unwrap_or_default();
            chains.push(Chain {
                family,
                table: (*table).to_owned(),
                name: name.to_owned(),
                hook: match name {
                    "PREROUTING" => Some(Hook::Prerouting),
                    "INPUT" => Some(Hook::Input),
                    "OUTPUT" => Some(Hook::Output),
                    _ => None,
                },
                priority: *priority,
                drops: policy == "DROP",
                rules: Vec::new(),
                tool: Tool::Iptables,
            });
        } else if let Some(rest) = line.strip_prefix("-A ") {
            let words = words(rest);
            let Some((name, words)) = words.split_first() else { continue };
            let rule = rule(line, words);
            let chain = chains.iter_mut().find(|it| it.table == *table && it.name == *name);
            if let Some(chain) = chain {
                chain.rules.push(rule);
            }
        }
    }
    let is_ufw = chains.iter().any(|chain| chain.name.starts_with("ufw"));
    if is_ufw {
        chains.iter_mut().for_each(|chain| chain.tool = Tool::Ufw);
    }
    chains
}

/// Words; what is quoted is one.
fn words(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => {
                if !word.is_empty() {
                    all.push(std::mem::take(&mut word));
                }
            }
            c => word.push(c),
        }
    }
    if !word.is_empty() {
        all.push(word);
    }
    all
}

fn rule(line: &str, words: &[String]) -> Rule {
    let mut made =
        Rule { text: format!("`{line}`"), conditions: Vec::new(), verdict: Verdict::Continue };
    let mut negated = false;
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let value = words.get(at + 1).map(String::as_str).unwrap_or_default();
        at += 1;
        if word == "!" {
            negated = true;
            continue;
        }
        let takes = match word.as_str() {
            "-j" | "-g" => {
                made.verdict = verdict(word, value);
                // What follows belongs to the target.
                break;
            }
            // A match by name: its options say what it asks.
            "-m" => {
                if !["udp", "tcp", "state", "conntrack", "multiport", "comment"].contains(&value) {
                    made.conditions.push((false, Condition::Unknown));
                }
                1
            }
            "--comment" => 1,
            _ => match condition(word, value) {
                Some(condition) => {
                    made.conditions.push((std::mem::take(&mut negated), condition));
                    1
                }
                // Of a match that is not understood: unless another option follows, a value does.
                None => usize::from(!value.starts_with('-') && value != "!"),
            },
        };
        at += takes;
        negated = false;
    }
    made
}

fn condition(word: &str, value: &str) -> Option<Condition> {
    let list = || value.split(',').map(str::to_ascii_lowercase).collect::<Vec<_>>();
    Some(match word {
        "-i" | "--in-interface" => Condition::InInterface(vec![value.to_owned()]),
        "-o" | "--out-interface" => Condition::OutInterface(vec![value.to_owned()]),
        "-p" | "--protocol" => match value {
            "all" | "0" => return None,
            _ => Condition::Protocol(list()),
        },
        "-s" | "--source" => networks(value).map_or(Condition::Unknown, Condition::Source),
        "-d" | "--destination" => {
            networks(value).map_or(Condition::Unknown, Condition::Destination)
        }
        "--dport" | "--dports" | "--destination-port" | "--destination-ports" | "--ports" => {
            ports(value).map_or(Condition::Unknown, Condition::DestinationPort)
        }
        "--sport" | "--sports" | "--source-port" | "--source-ports" => Condition::Unknown,
        "--state" | "--ctstate" => Condition::State(list()),
        _ => return None,
    })
}

fn networks(value: &str) -> Option<Vec<Network>> {
    value.split(',').map(Network::parse).collect()
}

fn ports(value: &str) -> Option<Vec<(u16, u16)>> {
    let number = |text: &str| text.parse::<u16>().ok();
    let range = |one: &str| match one.split_once(':') {
        Some((from, to)) => {
            let from = if from.is_empty() { Some(0) } else { number(from) };
            let to = if to.is_empty() { Some(u16::MAX) } else { number(to) };
            Some((from?, to?))
        }
        None => number(one).map(|port| (port, port)),
    };
    value.split(',').map(range).collect()
}

fn verdict(word: &str, target: &str) -> Verdict {
    match target {
        "ACCEPT" => Verdict::Accept,
        "DROP" | "REJECT" => Verdict::Drop,
        "RETURN" => Verdict::Return,
        "LOG" | "NFLOG" | "ULOG" | "MARK" | "CONNMARK" | "CT" | "NOTRACK" | "TOS" | "DSCP"
        | "SET" | "AUDIT" => Verdict::Continue,
        "QUEUE" | "NFQUEUE" | "TPROXY" => Verdict::Unknown,
        chain if word == "-g" => Verdict::Goto(chain.to_owned()),
        chain => Verdict::Jump(chain.to_owned()),
    }
}
