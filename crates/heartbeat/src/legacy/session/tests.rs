//! Who may sign on, and the answer to each request, as Heartbeat 3.0.6 gives it.

use hb_node::api::{LinkStatus, PeerNode, PingStatus};
use proptest::prelude::*;

use super::*;

const ROOT: Peer = Peer { uid: 0, gid: 0, pid: 100 };
const ACCOUNTS: Accounts = Accounts { hacluster: Some(102), haclient: Some(105) };

/// node1, where everything is, with a dead peer and a ping node that answers.
fn snapshot() -> StatusSnapshot {
    let json = r#"{
        "v": 1, "cluster": "web", "version": "0", "pid": 1, "uptime_ms": 1, "verdict": "degraded",
        "problems": [], "failover_ready": false, "members": ["node1", "node2"],
        "this_node": {"name": "node1", "status": "active", "phase": "stable", "rscstatus": "all",
                      "generation": 7, "key": "x", "keys": []},
        "peer": null, "pings": [], "groups": [], "last_move": null,
        "timing": {"keepalive_ms": 1000, "deadtime_ms": 8000, "warntime_ms": 4000,
                   "initdead_ms": 30000, "deadping_ms": 8000},
        "auto_failback": "on", "parameters": {"keepalive": "1000ms", "node": "node2"}, "counters": COUNTERS
    }"#;
    let counters = serde_json::to_string(&hb_messaging::engine::Counters::default());
    let json = json.replace("COUNTERS", &counters.expect("numbers"));
    let mut snapshot: StatusSnapshot = serde_json::from_str(&json).expect("a snapshot");
    let link = |name: &str, up| LinkStatus {
        name: name.into(),
        up,
        heard_ms_ago: None,
        failure: None,
        peer_hears: None,
        loss_permille: None,
        rtt_us: None,
        intervals: None,
        counters: None,
    };
    snapshot.peer = Some(PeerNode {
        name: "node2".into(),
        status: "dead".into(),
        heard_ms_ago: None,
        holdings: None,
        stable: None,
        native: None,
        keys: None,
        clients: ["ccm".to_owned()].into(),
        generation: 0,
        links: vec![link("eth0", true), link("eth1", false)],
        intervals: None,
    });
    let ping = PingStatus { name: "10.0.0.254".into(), status: "ping".into(), heard_ms_ago: None };
    snapshot.pings = vec![ping];
    snapshot
}

/// `name=value` words as a message.
fn message(words: &str) -> FieldList {
    let mut list = FieldList::new();
    for (name, value) in words.split_whitespace().filter_map(|word| word.split_once('=')) {
        list.push_text(name, value);
    }
    list
}

fn text(list: &FieldList) -> String {
    let words: Vec<String> = list.texts().map(|(name, value)| format!("{name}={value}")).collect();
    words.join(" ")
}

fn none() -> BTreeSet<String> {
    BTreeSet::new()
}

fn sign_on(peer: Peer, words: &str) -> (Session, Turn) {
    let mut session = Session::new(peer, ACCOUNTS);
    let words = format!("t=hbapi-req reqtype=signon {words}");
    let turn = session.take(&message(&words), &snapshot(), &none());
    (session, turn)
}

fn signed_on() -> Session {
    sign_on(ROOT, "uid=0 gid=0 pid=100 from_id=100").0
}

#[test]
fn the_sign_on_tells_times_and_versions() {
    let (session, turn) = sign_on(ROOT, "uid=0 gid=0 pid=100 from_id=100");
    assert!(session.is_signed_on() && !turn.end);
    let version = "3.0.6 (Twinbeat 0)";
    assert_eq!(
        turn.replies.iter().map(text).collect::<Vec<_>>(),
        [format!(
            "t=hbapi-resp reqtype=signon result=OK deadtime=1f40 keepalive=3e8 node=node1 \
             hbversion={version} pacemaker=false logfacility=0"
        )]
    );
}

#[test]
fn the_kernels_word_counts() {
    let user = |uid, gid| Peer { uid, gid, pid: 100 };
    let check = |peer: Peer, words: &str, info: Option<&str>| {
        let (session, turn) = sign_on(peer, words);
        assert_eq!(session.is_signed_on(), info.is_none(), "{peer:?} {words:?}");
        assert_eq!(turn.end, info.is_some(), "{peer:?} {words:?}");
        assert_eq!(turn.note.is_some(), info.is_some(), "{peer:?} {words:?}");
        let reply = turn.replies.first().expect("an answer");
        assert_eq!(reply.text("info"), info, "{peer:?} {words:?}");
        assert_eq!(reply.text("result"), Some(if info.is_none() { "OK" } else { "badreq" }));
    };
    let lie = Some("incorrect/false credentials");
    let denied = Some("client failed authorization");
    check(ROOT, "uid=0 gid=0 pid=100", None);
    check(ROOT, "uid=0 gid=0 pid=101", lie);
    check(ROOT, "uid=0 gid=0", lie);
    check(ROOT, "uid=0 gid=-0 pid=100", lie);
    check(user(1000, 1000), "uid=0 gid=1000 pid=100", lie);
    check(user(1000, 105), "uid=1000 gid=0 pid=100", lie);
    check(user(1000, 105), "uid=1000 gid=105 pid=100 from_id=100", None);
    check(user(1000, 1000), "uid=1000 gid=1000 pid=100", denied);
    // A number that is not its own is a name, and nobody may have it.
    check(ROOT, "uid=0 gid=0 pid=100 from_id=101", denied);
    check(user(102, 105), "uid=102 gid=105 pid=100 from_id=ipfail", None);
    check(ROOT, "uid=0 gid=0 pid=100 from_id=ipfail", denied);
    check(user(1000, 105), "uid=1000 gid=105 pid=100 from_id=ping", None);
    check(ROOT, "uid=0 gid=0 pid=100 from_id=lha-snmpagent", None);
    check(ROOT, "uid=0 gid=0 pid=100 from_id=crmd", denied);
}

#[test]
fn a_machine_without_heartbeats_accounts_lets_root_in_only() {
    let take = |peer: Peer, words: &str| {
        let mut session = Session::new(peer, Accounts::default());
        session.take(&message(words), &snapshot(), &none()).end
    };
    assert!(!take(ROOT, "t=hbapi-req reqtype=signon uid=0 gid=0 pid=100"));
    let user = Peer { uid: 1000, gid: 1000, pid: 100 };
    assert!(take(user, "t=hbapi-req reqtype=signon uid=1000 gid=1000 pid=100"));
}

#[test]
fn requests_are_answered_as_by_heartbeat() {
    let check = |request: &str, expect: &[&str]| {
        let words = format!("t=hbapi-req reqtype={request}");
        let turn = signed_on().take(&message(&words), &snapshot(), &["ping".to_owned()].into());
        let kind = request.split(' ').next().unwrap_or_default();
        let expect: Vec<String> = expect
            .iter()
            .map(|rest| format!("t=hbapi-resp reqtype={kind} result={rest}"))
            .collect();
        assert_eq!(turn.replies.iter().map(text).collect::<Vec<_>>(), expect, "{request}");
        assert!(!turn.end && turn.note.is_none(), "{request}");
    };
    let unknown = ["badreq info=EINVAL"];
    check(
        "nodelist",
        &[
            "ok/more node=node1 nodetype=normal st=active",
            "ok/more node=node2 nodetype=normal st=dead",
            "OK node=10.0.0.254 nodetype=ping st=ping",
        ],
    );
    check("numnodes", &["OK numnodes=2"]);
    check("nodestatus node=node2", &["OK st=dead"]);
    check("nodestatus node=NODE1", &["OK st=active"]);
    check("nodestatus node=x", &unknown);
    check("nodestatus", &unknown);
    check("nodetype node=10.0.0.254", &["OK nodetype=ping"]);
    check("nodetype node=x", &unknown);
    check("nodeweight node=node1", &["OK weight=100"]);
    check("nodeweight node=x", &unknown);
    check("nodesite node=node1", &["OK site="]);
    check("iflist node=node2", &["ok/more ifname=eth0 st=up", "OK ifname=eth1 st=dead"]);
    check("iflist node=10.0.0.254", &["OK ifname=10.0.0.254 st=up"]);
    check("iflist node=x", &unknown);
    check("ifstatus node=node2 ifname=eth1", &["OK st=dead"]);
    check("ifstatus node=node1 ifname=eth1", &["OK st=up"]);
    check("ifstatus node=node2 ifname=eth7", &unknown);
    check("clientstatus node=node1 cn=ipfail", &["OK subt=respond-cstatus cs=offline"]);
    check("clientstatus node=node1 cn=ping", &["OK subt=respond-cstatus cs=online"]);
    check("clientstatus node=node2 cn=ping", &["OK subt=respond-cstatus cs=offline"]);
    check("clientstatus node=node2 cn=ccm", &["OK subt=respond-cstatus cs=online"]);
    check("clientstatus node=10.0.0.254 cn=ping", &["OK subt=respond-cstatus cs=offline"]);
    check("clientstatus node=x cn=ping", &unknown);
    check("getrsc", &["OK rsc_hold=all"]);
    check("getparm pname=keepalive", &["OK pvalue=1000ms"]);
    check("getparm pname=nonsense", &["OK"]);
    check("getparm pname=baud", &["OK pvalue=19200"]);
    // Of a directive that may stand there several times 3.0.6 tells nothing.
    check("getparm pname=node", &["OK"]);
    check("setfilter fmask=1", &["OK"]);
    check("setsignal signal=0", &["OK"]);
    check("set_sendqlen sendqlen=200", &[]);
    check("getuuid queryname=node1", &unknown);
    check("nonsense", &unknown);
}

#[test]
fn who_signs_off_or_has_not_signed_on_is_let_go() {
    let signoff = message("t=hbapi-req reqtype=signoff");
    let turn = signed_on().take(&signoff, &snapshot(), &none());
    assert_eq!(turn, Turn { end: true, ..Turn::default() });
    let mut fresh = Session::new(ROOT, ACCOUNTS);
    let turn = fresh.take(&message("t=hbapi-req reqtype=getrsc"), &snapshot(), &none());
    assert!(turn.end && turn.note.is_some());
    assert!(turn.replies.iter().all(|reply| reply.text("rsc_hold").is_none()));
}

#[test]
fn a_name_is_used_once_and_its_messages_are_not_sent() {
    let user = Peer { uid: 1000, gid: 105, pid: 100 };
    let words = "uid=1000 gid=105 pid=100 from_id=ping";
    let (mut session, _) = sign_on(user, words);
    assert_eq!(session.name(), Some("ping"));
    let sent = message("t=resource rsc_hold=all");
    let first = session.take(&sent, &snapshot(), &none());
    assert!(!first.end && first.replies.is_empty());
    assert!(first.note.expect("told").contains("\"resource\" not sent"));
    assert_eq!(session.take(&sent, &snapshot(), &none()), Turn::default(), "told once");
    let mut second = Session::new(user, ACCOUNTS);
    let again = message(&format!("t=hbapi-req reqtype=signon {words}"));
    assert!(second.take(&again, &snapshot(), &["ping".to_owned()].into()).end);
    let casual = signed_on().take(&sent, &snapshot(), &none());
    assert!(casual.end && casual.note.is_some(), "a casual client may only ask");
}

proptest! {
    #[test]
    fn nobody_gets_in_by_what_it_says(
        uid in 1_u32..2000, gid in 0_u32..2000, said in "[0-9]{1,4}|-?[0-9]{0,12}|[a-z]{0,4}",
        kind in "[a-z]{0,12}|signon|nodelist",
    ) {
        let peer = Peer { uid, gid, pid: 100 };
        let mut session = Session::new(peer, ACCOUNTS);
        let words = format!("t=hbapi-req reqtype={kind} uid={said} gid={said} pid=100");
        session.take(&message(&words), &snapshot(), &none());
        let honest = kind == "signon" && said == uid.to_string() && uid == gid;
        prop_assert_eq!(session.is_signed_on(), honest && gid == 105);
    }
}
