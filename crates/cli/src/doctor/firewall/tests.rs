//! Rulesets as the tools print them, and what becomes of a heartbeat in each.

use super::*;

const PEER: &str = "192.0.2.2";

/// A ruleset in the JSON of nft: chains of one inet table, each with its rules.
fn nft(chains: &str, rules: &str) -> Vec<Chain> {
    let text = format!(r#"{{"nftables": [{chains}, {rules} {{"metainfo": {{}}}}]}}"#);
    nft::parse(&text).expect("a ruleset").chains
}

fn input(policy: &str) -> String {
    format!(
        r#"{{"chain": {{"family": "inet", "table": "filter", "name": "input", "type": "filter",
            "hook": "input", "prio": 0, "policy": "{policy}"}}}},
           {{"chain": {{"family": "inet", "table": "filter", "name": "ha"}}}},
           {{"set": {{"family": "inet", "table": "filter", "name": "peers",
              "elem": [{{"prefix": {{"addr": "10.0.0.0", "len": 24}}}}, "192.0.2.2"]}}}}"#
    )
}

fn rule(chain: &str, expr: &str) -> String {
    format!(
        r#"{{"rule": {{"family": "inet", "table": "filter", "chain": "{chain}", "handle": 9,
            "expr": [{expr}]}}}},"#
    )
}

fn arriving() -> Packet {
    Packet::arriving("eth0", PEER.parse().ok(), 694)
}

/// `+` passes, `-` is dropped, `?` is perhaps dropped.
fn short(fate: &Fate) -> char {
    match fate {
        Fate::Passes => '+',
        Fate::Dropped { surely: true, .. } => '-',
        Fate::Dropped { surely: false, .. } => '?',
    }
}

const PORT: &str = r#"{"match": {"op": "==", "left": {"payload": {"protocol": "udp",
    "field": "dport"}}, "right": 694}}"#;
const DROP: &str = r#"{"drop": null}"#;
const ACCEPT: &str = r#"{"counter": {"packets": 0, "bytes": 0}}, {"accept": null}"#;

#[test]
fn what_nft_does_with_a_heartbeat() {
    let matched = |op: &str, left: &str, right: &str| {
        format!(r#"{{"match": {{"op": "{op}", "left": {left}, "right": {right}}}}}"#)
    };
    let saddr = r#"{"payload": {"protocol": "ip", "field": "saddr"}}"#;
    let dport = r#"{"payload": {"protocol": "udp", "field": "dport"}}"#;
    let state = r#"{"ct": {"key": "state"}}"#;
    let iif = r#"{"meta": {"key": "iifname"}}"#;
    let check = |policy: &str, expr: &str, expect: char| {
        let chains = nft(&input(policy), &rule("input", expr));
        assert_eq!(short(&fate(&chains, &arriving())), expect, "{policy}: {expr}");
    };
    check("accept", DROP, '-');
    check("drop", ACCEPT, '+');
    check("accept", &format!("{PORT}, {DROP}"), '-');
    check("drop", &format!("{PORT}, {ACCEPT}"), '+');
    check("drop", &format!("{}, {ACCEPT}", matched("in", state, r#"["established"]"#)), '-');
    check("drop", &format!("{}, {ACCEPT}", matched("in", state, r#"["new"]"#)), '+');
    check("drop", &format!("{}, {ACCEPT}", matched("==", iif, r#""lo""#)), '-');
    check("drop", &format!("{}, {ACCEPT}", matched("==", iif, r#"{"set": ["eth*", "x"]}"#)), '+');
    check("accept", &format!("{}, {DROP}", matched("!=", iif, r#""lo""#)), '-');
    let range = r#"{"set": [53, {"range": [600, 700]}]}"#;
    check("drop", &format!("{}, {ACCEPT}", matched("==", dport, range)), '+');
    check("drop", &format!("{}, {ACCEPT}", matched("==", dport, r#"{"range": [600, 693]}"#)), '-');
    check("drop", &format!("{}, {ACCEPT}", matched("==", saddr, r#""192.0.2.2""#)), '+');
    check("drop", &format!("{}, {ACCEPT}", matched("==", saddr, r#""192.0.2.3""#)), '-');
    check("drop", &format!("{}, {ACCEPT}", matched("==", saddr, r#""@peers""#)), '+');
    check("drop", &format!("{}, {ACCEPT}", matched("==", saddr, r#""@nobody""#)), '?');
    let limit = r#"{"limit": {"rate": 5, "per": "second"}}"#;
    check("accept", &format!("{PORT}, {limit}, {DROP}"), '?');
    check("drop", &format!("{PORT}, {limit}, {ACCEPT}"), '?');
    let tcp = r#"{"payload": {"protocol": "tcp", "field": "dport"}}"#;
    check("drop", &format!("{}, {ACCEPT}", matched("==", tcp, "694")), '-');
    let map = r#"{"vmap": {"key": {"payload": {"protocol": "udp", "field": "dport"}},
        "data": {"set": [[53, {"drop": null}], [694, {"accept": null}]]}}}"#;
    check("drop", map, '+');
    check("accept", r#"{"queue": {"num": 1}}"#, '+');
    check("drop", r#"{"queue": {"num": 1}}"#, '?');
}

#[test]
fn jumps_are_followed_and_come_back() {
    let jump = r#"{"jump": {"target": "ha"}}"#;
    let check = |ha: &str, rest: &str, expect: char| {
        let rules = [rule("input", jump), rule("ha", ha), rule("input", rest)].concat();
        let chains = nft(&input("accept"), &rules);
        assert_eq!(short(&fate(&chains, &arriving())), expect, "{ha}: {rest}");
    };
    check(DROP, ACCEPT, '-');
    check(ACCEPT, DROP, '+');
    check(r#"{"return": null}"#, DROP, '-');
    check(r#"{"jump": {"target": "ha"}}"#, DROP, '?');
}

#[test]
fn an_accept_of_one_table_is_not_the_last_word() {
    let later = r#"{"chain": {"family": "ip", "table": "late", "name": "in", "type": "filter",
        "hook": "input", "prio": 10, "policy": "drop"}}"#;
    let chains = nft(&format!("{},{later}", input("accept")), &rule("input", ACCEPT));
    let Fate::Dropped { chain, by, surely } = fate(&chains, &arriving()) else { panic!() };
    assert_eq!((chain.table.as_str(), surely), ("late", true));
    assert!(by.contains("policy drop"), "{by}");
    let six = Packet::arriving("eth0", "2001:db8::2".parse().ok(), 694);
    assert_eq!(fate(&chains, &six), Fate::Passes);
}

#[test]
fn what_leaves_is_asked_of_the_output_chain() {
    let output = r#"{"chain": {"family": "inet", "table": "filter", "name": "output",
        "type": "filter", "hook": "output", "prio": 0, "policy": "accept"}}"#;
    let chains = nft(output, &rule("output", &format!("{PORT}, {DROP}")));
    assert_eq!(fate(&chains, &arriving()), Fate::Passes);
    let leaving = Packet::leaving("eth0", PEER.parse().ok(), 694);
    assert_eq!(short(&fate(&chains, &leaving)), '-');
}

#[test]
fn a_rule_is_named_as_people_write_it() {
    let chains = nft(&input("accept"), &rule("input", &format!("{PORT}, {DROP}")));
    let Fate::Dropped { by, .. } = fate(&chains, &arriving()) else { panic!() };
    assert_eq!(by, "`udp dport 694 drop` in inet filter input (handle 9)");
}

#[test]
fn parts_that_nft_cannot_show_are_told() {
    let text = r#"{"nftables": [{"chain": {"family": "ip", "table": "filter", "name": "INPUT",
        "type": "filter", "hook": "input", "prio": 0, "policy": "accept"}}, {"rule": {"family": "ip",
        "table": "filter", "chain": "INPUT", "expr": [{"xt": {"type": "match", "name": "x"}},
        {"xt": {"type": "target", "name": "REJECT"}}]}}]}"#;
    let ruleset = nft::parse(text).expect("a ruleset");
    assert_eq!(ruleset.opaque, [(Family::Ip, "filter".to_owned())]);
    assert!(nft::parse("no JSON").is_none());
}

#[test]
fn what_iptables_does_with_a_heartbeat() {
    let check = |policy: &str, rules: &str, expect: char| {
        let text = format!(
            "# Generated by iptables-save\n*nat\n:INPUT DROP [0:0]\nCOMMIT\n*filter\n\
             :INPUT {policy} [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:HA - [0:0]\n\
             {rules}\nCOMMIT\n"
        );
        let chains = iptables::parse(&text, Family::Ip);
        assert_eq!(short(&fate(&chains, &arriving())), expect, "{policy}: {rules}");
    };
    check("ACCEPT", "", '+');
    check("DROP", "", '-');
    check("ACCEPT", "-A INPUT -p udp -m udp --dport 694 -j DROP", '-');
    check("ACCEPT", "-A INPUT -p tcp -m tcp --dport 694 -j DROP", '+');
    check("ACCEPT", "-A INPUT -p udp -m udp --sport 694 -j DROP", '?');
    check("DROP", "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", '-');
    check("DROP", "-A INPUT -p udp -m multiport --dports 53,600:700 -j ACCEPT", '+');
    check("DROP", "-A INPUT -s 192.0.2.0/24 -i eth0 -j ACCEPT", '+');
    check("DROP", "-A INPUT -s 192.0.2.0/255.255.255.0 ! -i lo -j ACCEPT", '+');
    check("DROP", "-A INPUT ! -s 192.0.2.0/24 -j ACCEPT", '-');
    check("ACCEPT", "-A INPUT -m limit --limit 5/min -j REJECT --reject-with icmp", '?');
    check("ACCEPT", "-A INPUT -m comment --comment \"for -p tcp\" -j DROP", '-');
    check("ACCEPT", "-A INPUT -p udp -j HA\n-A HA -j REJECT", '-');
    check("DROP", "-A INPUT -g HA\n-A HA -d 10.0.0.1/32 -j DROP\n-A HA -j ACCEPT", '?');
    check("ACCEPT", "-A INPUT -j LOG --log-prefix \"x \"", '+');
}

#[test]
fn networks_contain_addresses() {
    let check = |network: &str, address: &str, expect: bool| {
        let network = Network::parse(network).expect("a network");
        assert_eq!(network.contains(address.parse().expect("an address")), expect);
    };
    check("0.0.0.0/0", "192.0.2.1", true);
    check("192.0.2.0/24", "192.0.2.255", true);
    check("192.0.2.0/24", "192.0.3.0", false);
    check("192.0.2.1", "192.0.2.1", true);
    check("2001:db8::/32", "2001:db8:1::1", true);
    check("::/0", "192.0.2.1", false);
    assert_eq!(Network::parse("192.0.2.0/33"), None);
    assert_eq!(Network::parse("x"), None);
}

#[test]
fn a_peer_that_is_not_known_is_near() {
    let check = |rule: &str, expect: [char; 2]| {
        let text = format!("*filter\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{rule}\nCOMMIT\n");
        let chains = iptables::parse(&text, Family::Ip);
        let around = vec![Network::parse("198.51.100.0/24").expect("a network")];
        let packets = [Packet::arriving("eth1", None, 694), Packet::leaving("eth1", None, 694)];
        let fates = packets.map(|packet| short(&fate(&chains, &packet.among(around.clone()))));
        assert_eq!(fates, expect, "{rule}");
    };
    check("-A INPUT -s 198.51.100.0/24 -j DROP", ['-', '+']);
    check("-A INPUT -s 198.51.0.0/16 -j DROP", ['-', '+']);
    check("-A INPUT -s 198.51.100.2 -j DROP", ['?', '+']);
    check("-A INPUT -s 192.0.2.2 -j DROP", ['+', '+']);
    check("-A OUTPUT -d 192.0.2.2 -j DROP", ['+', '+']);
    check("-A OUTPUT -d 224.0.0.0/4 -j DROP", ['+', '?']);
    check("-A OUTPUT -d 255.255.255.255 -j DROP", ['+', '?']);
    check("-A OUTPUT -d 0.0.0.0/0 -j DROP", ['+', '-']);
}

#[test]
fn chains_that_jump_in_every_way_end() {
    let mut text = "*filter\n:INPUT DROP [0:0]\n".to_owned();
    let names: Vec<String> = (0..15).map(|number| format!("C{number}")).collect();
    names.iter().for_each(|name| text += &format!(":{name} - [0:0]\n"));
    text += "-A INPUT -j C0\n";
    for pair in names.windows(2) {
        text += &format!("-A {} -j {}\n", pair[0], pair[1]).repeat(20);
    }
    text += "COMMIT\n";
    assert_eq!(short(&fate(&iptables::parse(&text, Family::Ip), &arriving())), '?');
}
