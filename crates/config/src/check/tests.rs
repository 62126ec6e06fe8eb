//! Rules between lines and files: where each begins and ends.

use crate::codes::Code;
use crate::diagnostic::{Diagnostic, MAX_PER_FILE, Severity};
use crate::load::load;
use crate::settings::NodeName;
use crate::source::Files;
use crate::span::FileId;

const NODES: &str = "bcast eth0 eth1\nauto_failback on\nnode a b\n";
const GROUP: &str = "a 10.0.0.9 nginx\n";

/// The codes of a pair of files for node `a`, without the note that nothing fences.
fn codes(ha_cf: &str, haresources: &str) -> Vec<Code> {
    let mut files = Files::missing_in("/etc/ha.d");
    files.set(FileId::HaCf, ha_cf.as_bytes(), None);
    files.set(FileId::HaResources, haresources.as_bytes(), None);
    files.set(FileId::AuthKeys, b"auth 1\n1 sha1 0123456789abcdef\n", None);
    let loaded = load(&files, Some(&NodeName::new("a")));
    assert_eq!(loaded.settings.is_none(), loaded.has(Severity::Error));
    let codes = loaded.diagnostics.iter().map(|found| found.code);
    codes.filter(|code| *code != Code::FencingAbsent).collect()
}

#[test]
fn a_flood_of_sections_is_counted_and_its_hints_are_short() {
    let groups: String = (0..500).map(|number| format!("a group{number}\n")).collect();
    let sections = |what: &str| -> String {
        (0..500).map(|number| format!("[{what}.\"quite-another-{number}\"]\n")).collect()
    };
    let devices = "[[fencing.device]]\nnull = true\ntarget = \"nobody\"\n".repeat(500);
    for text in [sections("resource"), sections("group"), devices] {
        let mut files = Files::missing_in("/etc/ha.d");
        files.set(FileId::HaCf, NODES.as_bytes(), None);
        files.set(FileId::HaResources, groups.as_bytes(), None);
        files.set(FileId::Native, text.as_bytes(), None);
        let found = load(&files, Some(&NodeName::new("a"))).diagnostics;
        let between = [Code::UnknownResourceSection, Code::UnknownGroupSection, Code::DeviceTarget];
        let kept = found.iter().filter(|found| between.contains(&found.code));
        assert_eq!(kept.count(), MAX_PER_FILE, "{:?}", found.first());
        let counts = |found: &Diagnostic| found.code == Code::TooManyFindings;
        assert!(found.iter().any(|found| counts(found) && found.message.starts_with("400 more")));
        let longest = found.iter().flat_map(|found| &found.help).map(String::len).max();
        assert!(longest.is_some_and(|length| length <= 500), "{longest:?}");
    }
}

#[test]
fn ipfail_needs_a_negotiating_mode_and_ping_nodes() {
    let check = |lines: &str, expect: &[Code]| {
        let files = format!("bcast eth0 eth1\nnode a b\nrespawn root /x/ipfail\n{lines}\n");
        assert_eq!(codes(&files, GROUP), expect, "{lines:?}");
    };
    check("ping gw\nauto_failback on", &[]);
    check("ping gw\nauto_failback off", &[]);
    check("ping gw\nauto_failback legacy", &[Code::IpfailNotRun, Code::AutoFailbackLegacy]);
    check("ping gw", &[Code::IpfailNotRun, Code::AutoFailbackLegacy]);
    check("ping gw\nnice_failback on", &[Code::Obsolete]);
    check("auto_failback on", &[Code::IpfailNotRun]);
    check("auto_failback on\nping", &[Code::MissingValue]);
}

#[test]
fn times() {
    let check = |lines: &str, expect: &[Code]| {
        assert_eq!(codes(&format!("{lines}\n{NODES}"), GROUP), expect, "{lines:?}");
    };
    check("keepalive 2\ndeadtime 4", &[Code::DeadtimeTooShort]);
    check("keepalive 2\ndeadtime 4001ms", &[]);
    check("keepalive 15", &[Code::DeadtimeTooShort]);
    check("keepalive 14", &[]);
    check("deadtime 2", &[Code::DeadtimeTooShort]);
    check("deadtime 10\nwarntime 10", &[Code::WarntimeTooLong]);
    check("deadtime 10\nwarntime 9999ms", &[]);
    check("keepalive 2\nwarntime 2", &[Code::WarntimeTooShort]);
    check("keepalive 2\nwarntime 2001ms", &[]);
    check("deadtime 20\ninitdead 19", &[Code::InitdeadTooShort]);
    check("deadtime 20\ninitdead 20", &[]);
    check("deadtime 5\ninitdead 9999ms", &[Code::InitdeadShort]);
    check("deadtime 5\ninitdead 10", &[]);
    check("ping gw\ndeadping 2", &[Code::DeadpingTooShort]);
    check("ping gw\ndeadping 2001ms", &[]);
    check("deadping 20", &[Code::DeadpingUnused]);
    check("keepalive x\ndeadtime 1", &[Code::InvalidDuration]);
}

#[test]
fn members() {
    let check = |line: &str, expect: &[Code]| {
        let cf = format!("bcast eth0 eth1\nauto_failback on\n{line}\n");
        assert_eq!(codes(&cf, "a 10.0.0.9 nginx\n"), expect, "{line:?}");
    };
    check("node a b", &[]);
    check("node A\nnode B", &[]);
    check("node a", &[Code::OnlyOneNode]);
    check("node a b A", &[Code::DuplicateNode]);
    check("node a b c", &[Code::TooManyNodes]);
    check("", &[Code::NoNodes]);
    check("node", &[Code::MissingValue]);
    check("node b c", &[Code::OwnNodeMissing, Code::UnknownNode]);
    check("nodes a b", &[Code::UnknownDirective]);
}

#[test]
fn links() {
    let check = |lines: &str, expect: &[Code]| {
        let cf = format!("{lines}\nauto_failback on\nnode a b\n");
        assert_eq!(codes(&cf, GROUP), expect, "{lines:?}");
    };
    check("", &[Code::NoMedia]);
    check("ping gw", &[Code::NoMedia]);
    check("bcast", &[Code::MissingValue]);
    check("bcast eth0", &[Code::SingleLink]);
    check("bcast eth0\nucast eth0 b", &[Code::SingleLink]);
    check("bcast eth0\nucast eth1 b", &[]);
    check("bcast eth0 eth1 eth0", &[Code::DuplicateMedium]);
    check("bcast eth0\nucast eth1 A", &[Code::UnicastToSelf]);
    check("bcast eth0\nucast eth1 a\nucast eth1 b", &[]);
    check("bcast eth0\nmcast eth0 225.0.0.1 694 1 0\nbcast eth1", &[Code::PortShared]);
    check("bcast eth0\nmcast eth1 225.0.0.1 694 1 0", &[]);
    check("udpport 700\nbcast eth0\nmcast eth0 225.0.0.1 694 1 0\nbcast eth1", &[]);
    check("bcast eth0 eth1\nping a", &[Code::PingIsNode]);
    check("bcast eth0 eth1\nping gw GW", &[Code::DuplicatePing]);
    check("bcast eth0 eth1\nping 10.0.0.9", &[Code::PingIsMember]);
    check("bcast eth0\nucast eth1 10.0.0.2\nping_group g 10.0.0.1 10.0.0.2", &[Code::PingIsMember]);
}

#[test]
fn groups() {
    let check = |lines: &str, expect: &[Code]| assert_eq!(codes(NODES, lines), expect, "{lines:?}");
    check("a 10.0.0.9 nginx\nb 10.0.0.10 httpd\n", &[]);
    check("", &[Code::NoGroups]);
    check("a\n", &[Code::GroupWithoutResources, Code::NoGroups]);
    check("a 10.0.0.256\n", &[Code::InvalidResourceAddress]);
    check("c 10.0.0.9\n", &[Code::UnknownNode]);
    check("c\na x\n", &[Code::GroupWithoutResources, Code::UnknownNode]);
    check("a nginx\nb nginx\n", &[Code::DuplicateGroup]);
    check("a 10.0.0.9\nb 10.0.0.9\n", &[Code::DuplicateGroup]);
    check("a 10.0.0.9\nb IPaddr::10.0.0.9\n", &[Code::DuplicateAddress]);
    check("a 10.0.0.9 10.0.0.9/24\n", &[Code::DuplicateAddress]);
    check("a 10.0.0.9 nginx\nb 10.0.0.10 nginx\n", &[Code::DuplicateResource]);
    check("a nginx x nginx\n", &[Code::DuplicateResource]);
    check("a 10.0.0.9 MailTo::r\nb 10.0.0.10 MailTo::r\n", &[]);
    check("a 10.0.0.9 SendArp::10.0.0.9/eth0\n", &[]);
    check("a 10.0.0.0/24\n", &[Code::NetworkAddress]);
    check("a 10.0.0.255/24\n", &[Code::NetworkAddress]);
    check("a 10.0.0.0/31\n", &[]);
    check("a 10.0.0.0/32\n", &[]);
}

#[test]
fn a_floating_address_is_nobodys_own() {
    let cf = "bcast eth0\nucast eth1 10.0.0.9\nauto_failback on\nnode a b\n";
    assert_eq!(codes(cf, GROUP), [Code::AddressOfMember]);
}

#[test]
fn a_stonith_line_makes_the_note_about_fencing_superfluous() {
    let mut files = Files::missing_in("/etc/ha.d");
    for (line, expect) in [("", 1), ("stonith_host * ssh b\n", 0)] {
        files.set(FileId::HaCf, format!("{line}{NODES}").as_bytes(), None);
        let loaded = load(&files, None);
        let notes = loaded.diagnostics.iter().filter(|it| it.code == Code::FencingAbsent);
        assert_eq!(notes.count(), expect, "{line:?}");
    }
}
