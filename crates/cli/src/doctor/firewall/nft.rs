//! What `nft -j list ruleset` prints (libnftables-json(5), schema 1) as chains. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Chain, Condition, Family, Hook, Network, Rule, Tool, Verdict};

/// The chains of a ruleset, and the families of tables that hold parts of iptables that nft cannot
/// show: `iptables-save` shows those.
#[derive(Debug, Default)]
pub(in super::super) struct Ruleset {
    pub(in super::super) chains: Vec<Chain>,
    /// Family and table.
    pub(in super::super) opaque: Vec<(Family, String)>,
}

/// Key of a table's parts.
type Key = (String, String, String);

/// Reads the text; `None` when it is not of that form.
pub(in super::super) fn parse(text: &str) -> Option<Ruleset> {
    let value: Value = serde_json::from_str(text).ok()?;
    let items = value.get("nftables")?.as_array()?;
    let mut sets: BTreeMap<Key, &Value> = BTreeMap::new();
    for set in items.iter().filter_map(|item| item.get("set").or_else(|| item.get("map"))) {
        sets.insert(key(set), set.get("elem").unwrap_or(&Value::Null));
    }
    let mut ruleset = Ruleset::default();
    for item in items {
        if let Some(chain) = item.get("chain") {
            ruleset.chains.extend(read_chain(chain));
        } else if let Some(rule) = item.get("rule") {
            read_rule(&mut ruleset, rule, &sets);
        }
    }
    Some(ruleset)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn key(value: &Value) -> Key {
    let part = |name| text(value, name).to_owned();
    (part("family"), part("table"), part("name"))
}

fn family(value: &Value) -> Option<Family> {
    match text(value, "family") {
        "ip" => Some(Family::Ip),
        "ip6" => Some(Family::Ip6),
        "inet" => Some(Family::Inet),
        // arp, bridge and netdev: no rule about ports is looked for there.
        _ => None,
    }
}

fn read_chain(value: &Value) -> Option<Chain> {
    let hook = match text(value, "hook") {
        "prerouting" => Some(Hook::Prerouting),
        "input" => Some(Hook::Input),
        "output" => Some(Hook::Output),
        _ => None,
    };
    let table = text(value, "table").to_owned();
    let tool = match table.as_str() {
        "firewalld" => Tool::Firewalld,
        _ => Tool::Nft,
    };
    Some(Chain {
        family: family(value)?,
        name: text(value, "name").to_owned(),
        // Translation decides nothing about what may pass.
        hook: hook.filter(|_| text(value, "type") != "nat"),
        priority: value
            .get("prio")
            .and_then(Value::as_i64)
            .map_or(0, |it| i32::try_from(it).unwrap_or_default()),
        drops: text(value, "policy") == "drop",
        rules: Vec::new(),
        table,
        tool,
    })
}

fn read_rule(ruleset: &mut Ruleset, value: &Value, sets: &BTreeMap<Key, &Value>) {
    let Some(family) = family(value) else { return };
    let (table, name) = (text(value, "table"), text(value, "chain"));
    let Some(statements) = value.get("expr").and_then(Value::as_array) else { return };
    if statements.iter().any(|one| one.get("xt").is_some()) {
        let place = (family, table.to_owned());
        if !ruleset.opaque.contains(&place) {
            ruleset.opaque.push(place);
        }
    }
    let rules = rules(value, statements, &|name| {
        let key = (text(value, "family").to_owned(), table.to_owned(), name.to_owned());
        sets.get(&key).copied()
    });
    let chain = ruleset
        .chains
        .iter_mut()
        .find(|it| it.family == family && it.table == table && it.name == name);
    if let Some(chain) = chain {
        chain.rules.extend(rules);
    }
}

/// A rule with a verdict map becomes one rule for each of its entries.
fn rules<'a>(
    value: &Value,
    statements: &'a [Value],
    set: &dyn Fn(&str) -> Option<&'a Value>,
) -> Vec<Rule> {
    let text = describe(value, statements);
    let mut conditions = Vec::new();
    let mut made = Vec::new();
    for statement in statements {
        let Some((word, body)) = statement.as_object().and_then(|it| it.iter().next()) else {
            continue;
        };
        match word.as_str() {
            "match" => conditions.push(condition(body, set)),
            "counter" | "log" | "comment" | "notrack" => {}
            "limit" | "quota" | "connlimit" | "ct count" | "xt" => {
                conditions.push((false, Condition::Unknown));
            }
            "vmap" => {
                let left = body.get("key").unwrap_or(&Value::Null);
                for (right, verdict) in map_entries(body.get("data"), set) {
                    let mut all = conditions.clone();
                    all.push((false, about(left, right, set)));
                    made.push(Rule { text: text.clone(), conditions: all, verdict });
                }
            }
            _ => {
                let verdict = verdict(word, body);
                made.push(Rule { text: text.clone(), conditions: conditions.clone(), verdict });
            }
        }
    }
    made
}

fn verdict(word: &str, body: &Value) -> Verdict {
    let target = || text(body, "target").to_owned();
    match word {
        "accept" => Verdict::Accept,
        "drop" | "reject" => Verdict::Drop,
        "return" => Verdict::Return,
        "continue" | "mangle" | "set" | "tproxy" | "ct helper" => Verdict::Continue,
        "jump" => Verdict::Jump(target()),
        "goto" => Verdict::Goto(target()),
        _ => Verdict::Unknown,
    }
}

fn map_entries<'a>(
    data: Option<&'a Value>,
    set: &dyn Fn(&str) -> Option<&'a Value>,
) -> Vec<(&'a Value, Verdict)> {
    let list = match data {
        Some(Value::String(name)) => set(name.trim_start_matches('@')),
        Some(data) => data.get("set"),
        None => None,
    };
    let entry = |pair: &'a Value| {
        let (word, body) = pair.get(1)?.as_object()?.iter().next()?;
        Some((pair.get(0)?, verdict(word, body)))
    };
    list.and_then(Value::as_array)
        .map(|it| it.iter().filter_map(entry).collect())
        .unwrap_or_default()
}

fn condition<'a>(body: &'a Value, set: &dyn Fn(&str) -> Option<&'a Value>) -> (bool, Condition) {
    let null = &Value::Null;
    let (left, right) = (body.get("left").unwrap_or(null), body.get("right").unwrap_or(null));
    match text(body, "op") {
        "!=" => (true, about(left, right, set)),
        "==" | "in" => (false, about(left, right, set)),
        _ => (false, Condition::Unknown),
    }
}

/// What `left` must be.
fn about<'a>(left: &Value, right: &'a Value, set: &dyn Fn(&str) -> Option<&'a Value>) -> Condition {
    let named = right.as_str().and_then(|name| name.strip_prefix('@'));
    let right = match named.map(set) {
        Some(Some(elements)) => elements,
        Some(None) => return Condition::Unknown,
        None => right,
    };
    if let Some(meta) = left.get("meta") {
        return match text(meta, "key") {
            "iif" | "iifname" => Condition::InInterface(words(right)),
            "oif" | "oifname" => Condition::OutInterface(words(right)),
            "l4proto" => Condition::Protocol(words(right)),
            _ => Condition::Unknown,
        };
    }
    if let Some(payload) = left.get("payload") {
        return payload_condition(payload, right);
    }
    match left.get("ct").map(|ct| text(ct, "key")) {
        Some("state") => Condition::State(words(right)),
        Some(_) | None => Condition::Unknown,
    }
}

fn payload_condition(payload: &Value, right: &Value) -> Condition {
    match (text(payload, "protocol"), text(payload, "field")) {
        ("udp" | "th", "dport") => {
            ports(right).map_or(Condition::Unknown, Condition::DestinationPort)
        }
        ("tcp" | "icmp" | "icmpv6" | "sctp" | "dccp" | "esp" | "ah" | "igmp", _) => {
            Condition::Never
        }
        ("ip" | "ip6", "saddr") => networks(right).map_or(Condition::Unknown, Condition::Source),
        ("ip" | "ip6", "daddr") => {
            networks(right).map_or(Condition::Unknown, Condition::Destination)
        }
        ("ip", "protocol") | ("ip6", "nexthdr") => Condition::Protocol(words(right)),
        _ => Condition::Unknown,
    }
}

/// The single values of a set, or the value itself.
fn elements(value: &Value) -> Vec<&Value> {
    let list = match value {
        Value::Array(list) => Some(list),
        other => other.get("set").and_then(Value::as_array),
    };
    let plain = |one: &'_ Value| one.get("elem").and_then(|it| it.get("val")).is_some();
    match list {
        Some(list) => {
            list.iter().map(|one| if plain(one) { &one["elem"]["val"] } else { one }).collect()
        }
        None => vec![value],
    }
}

fn words(value: &Value) -> Vec<String> {
    let word = |one: &Value| match one {
        Value::String(text) => text.to_ascii_lowercase(),
        other => other.to_string(),
    };
    // Interfaces may have capital letters, which the lower case of protocols must not touch.
    let exact = |one: &Value| one.as_str().map_or_else(|| word(one), str::to_owned);
    elements(value).into_iter().map(exact).collect()
}

fn ports(value: &Value) -> Option<Vec<(u16, u16)>> {
    let number = |value: &Value| value.as_u64().and_then(|it| u16::try_from(it).ok());
    let range = |one: &Value| match one.get("range") {
        Some(range) => Some((number(range.get(0)?)?, number(range.get(1)?)?)),
        None => number(one).map(|port| (port, port)),
    };
    elements(value).into_iter().map(range).collect()
}

fn networks(value: &Value) -> Option<Vec<Network>> {
    let network = |one: &Value| match one.get("prefix") {
        Some(prefix) => {
            let (address, length) = (text(prefix, "addr"), prefix.get("len")?.as_u64()?);
            Network::parse(&format!("{address}/{length}"))
        }
        None => Network::parse(one.as_str()?),
    };
    elements(value).into_iter().map(network).collect()
}

/// A short form for people; `nft -a list chain` shows the rule itself by its handle.
fn describe(value: &Value, statements: &[Value]) -> String {
    let place =
        format!("{} {} {}", text(value, "family"), text(value, "table"), text(value, "chain"));
    let words: Vec<String> = statements.iter().map(statement_words).collect();
    let words = words.into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join(" ");
    let handle = value.get("handle").and_then(Value::as_u64).unwrap_or_default();
    format!("`{words}` in {place} (handle {handle})")
}

fn statement_words(statement: &Value) -> String {
    let Some((word, body)) = statement.as_object().and_then(|it| it.iter().next()) else {
        return String::new();
    };
    match word.as_str() {
        "match" => {
            let left = body.get("left").unwrap_or(&Value::Null);
            let op = match text(body, "op") {
                "!=" => "!= ",
                _ => "",
            };
            let right = elements(body.get("right").unwrap_or(&Value::Null));
            let right: Vec<String> = right.into_iter().map(plain_words).collect();
            let right = if right.len() == 1 {
                right.concat()
            } else {
                format!("{{ {} }}", right.join(", "))
            };
            format!("{} {op}{right}", selector(left))
        }
        "counter" | "log" | "comment" => String::new(),
        "jump" | "goto" => format!("{word} {}", text(body, "target")),
        other => other.to_owned(),
    }
}

fn selector(left: &Value) -> String {
    if let Some(payload) = left.get("payload") {
        return format!("{} {}", text(payload, "protocol"), text(payload, "field"));
    }
    for kind in ["meta", "ct"] {
        if let Some(part) = left.get(kind) {
            let key = text(part, "key");
            let short = kind == "meta" && key.starts_with(['i', 'o']);
            return if short { key.to_owned() } else { format!("{kind} {key}") };
        }
    }
    "…".to_owned()
}

fn plain_words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        other => {
            if let Some(range) = other.get("range") {
                let end = |at: usize| range.get(at).map(plain_words).unwrap_or_default();
                return format!("{}-{}", end(0), end(1));
            }
            match other.get("prefix") {
                Some(it) => {
                    let length = it.get("len").and_then(Value::as_u64).unwrap_or_default();
                    format!("{}/{length}", text(it, "addr"))
                }
                None => "…".to_owned(),
            }
        }
    }
}
