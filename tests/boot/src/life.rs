//! The life of a pair: installed, started, killed, upgraded, restarted, switched off, booted, cut off
//! from power. nginx of Debian is a unit of systemd here.

use std::time::Instant;

use hb_netns::runner::measured;

use crate::notify;
use crate::pair::{NODES, Pair};
use crate::steps::{Begin, Step};

pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "installed_and_enabled",
        begin: Begin::Debian,
        limit_s: 120,
        run: install_and_start,
    },
    Step {
        name: "watched_over_http",
        begin: Begin::Serves("node1"),
        limit_s: 60,
        run: watched_over_http,
    },
    Step {
        name: "unit_stopped_by_hand",
        begin: Begin::Serves("node1"),
        limit_s: 90,
        run: unit_stopped_by_hand,
    },
    Step { name: "daemon_killed", begin: Begin::Serves("node1"), limit_s: 60, run: daemon_killed },
    Step {
        name: "upgraded_on_the_owner",
        begin: Begin::Serves("node1"),
        limit_s: 120,
        run: upgraded_on_the_owner,
    },
    Step {
        name: "restarted_by_systemctl",
        begin: Begin::Serves("node1"),
        limit_s: 60,
        run: restarted_by_systemctl,
    },
    Step {
        name: "orderly_poweroff_of_the_owner",
        begin: Begin::Serves("node2"),
        limit_s: 90,
        run: orderly_poweroff_of_the_owner,
    },
    Step { name: "booted_again", begin: Begin::Alone, limit_s: 120, run: booted_again },
    Step {
        name: "power_loss_of_the_owner",
        begin: Begin::Serves("node1"),
        limit_s: 120,
        run: power_loss_of_the_owner,
    },
];

const HARESOURCES: &str = "node1 IPaddr::192.0.2.100/24/eth0 systemd::nginx systemd::flag\n";
/// What goes unnoticed by processes and signals is not noticed within any wait of this test.
const HB_TOML: &str = "[monitor]\ninterval = \"10m\"\n";
/// A unit without a process: that it was stopped shows in its state alone.
const FLAG: &str = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n";
/// Whether the floating address is here.
pub(crate) const ADDRESS: &str = "ip -o address show to 192.0.2.100 | grep -q .";

/// As the guide says: the package, three files, one command.
pub(crate) fn install_and_start(pair: &mut Pair) {
    for node in NODES {
        let said = pair.install(node, &pair.prepared.package);
        assert!(!said.contains("warning") && !said.contains("WARNING"), "{said}");
        assert_eq!(pair.run(node, "systemctl is-enabled heartbeat").1.trim(), "disabled");
        assert_eq!(pair.run(node, "systemctl is-active heartbeat").1.trim(), "inactive");
        pair.sh(node, "getent passwd hacluster && getent group haclient");
        pair.configure(node, HARESOURCES);
        pair.machine(node).write("/etc/ha.d/hb.toml", HB_TOML);
        pair.machine(node).write("/etc/systemd/system/flag.service", FLAG);
        pair.sh(node, "systemctl daemon-reload && systemctl disable --now nginx && hb check");
    }
    for node in NODES {
        pair.sh(node, "systemctl enable --now heartbeat");
    }
    pair.wait_served("node1");
    pair.wait_well();
    for line in [
        "/usr/share/heartbeat/hb_standby --help",
        "/usr/lib/heartbeat/hb_takeover --help",
        "cl_status hbstatus",
    ] {
        pair.sh("node1", line);
    }
    pair.sh("node2", &format!("! {ADDRESS} && ! systemctl is-active nginx"));
}

/// What hb-serve answers to `GET /check` with this header; the first line.
fn checked(header: &str) -> String {
    let request = format!("GET /check HTTP/1.0\\r\\nHost: localhost\\r\\n{header}\\r\\n");
    format!(
        "exec bash -c 'exec 3<>/dev/tcp/127.0.0.1/9694 && printf \"{request}\" >&3 && head -n 1 <&3'"
    )
}

/// The status page is a service without privileges; what only root may read reaches it.
fn watched_over_http(pair: &mut Pair) {
    assert_eq!(pair.run("node1", "systemctl is-enabled hb-serve").1.trim(), "disabled");
    pair.sh("node1", "systemctl enable --now hb-serve");
    pair.wait("node1", &format!("{} | grep -q ' 200 '", checked("")));
    let pid = pair.sh("node1", "systemctl show -P MainPID hb-serve");
    let about = pair.sh("node1", &format!("cat /proc/{}/status", pid.trim()));
    for line in ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1"] {
        assert!(about.contains(line), "{line}: {about}");
    }
    assert!(!about.contains("Uid:\t0\t"), "{about}");
    let machine = pair.machine("node1");
    machine.write("/etc/ha.d/serve.token", "a-token-of-the-tests\n");
    machine.write("/tmp/serve.toml", "[serve]\ntoken_file = \"/etc/ha.d/serve.token\"\n");
    let add = "cp -p hb.toml hb.toml.was && cat /tmp/serve.toml >>hb.toml";
    pair.sh("node1", &format!("cd /etc/ha.d && {add} && chmod 600 hb.toml serve.token"));
    pair.sh("node1", "systemctl restart hb-serve");
    let with = |token: &str| checked(&format!("Authorization: Bearer {token}\\r\\n"));
    pair.wait("node1", &format!("{} | grep -q ' 401 '", checked("")));
    pair.sh("node1", &format!("{} | grep -q ' 200 '", with("a-token-of-the-tests")));
    pair.machine("node1").write("/etc/ha.d/serve.token", "another-token-of-the-tests\n");
    pair.sh("node1", "systemctl reload hb-serve");
    pair.wait("node1", &format!("{} | grep -q ' 200 '", with("another-token-of-the-tests")));
    pair.sh("node1", &format!("{} | grep -q ' 401 '", with("a-token-of-the-tests")));
    // The daemon has not read any of it, and says so.
    assert!(pair.sh("node1", "hb reload --dry-run").contains("nothing to do"));
    pair.sh("node1", "cd /etc/ha.d && mv hb.toml.was hb.toml && rm serve.token");
    pair.sh("node1", "systemctl restart hb-serve");
}

/// What happens to the unit behind its manager's back.
fn unit_stopped_by_hand(pair: &mut Pair) {
    for line in ["systemctl kill --signal=KILL nginx", "systemctl stop nginx"] {
        let begin = Instant::now();
        pair.sh("node1", line);
        pair.wait("node1", "systemctl is-active nginx");
        pair.wait_served("node1");
        measured(&format!("{line}: served again within"), begin.elapsed());
        tell_timing(pair);
    }
    // A bus that comes back is listened to again.
    for first in ["true", "systemctl restart dbus"] {
        let begin = Instant::now();
        pair.sh("node1", &format!("{first} && systemctl stop flag"));
        pair.wait("node1", "systemctl is-active flag");
        measured(
            &format!("{first}, a unit without a process stopped: active again within"),
            begin.elapsed(),
        );
        pair.wait("node1", "grep -q 'systemd says that flag.service is' /var/log/ha-log");
        tell_timing(pair);
        pair.sh("node1", ": >/var/log/ha-log");
    }
    pair.wait("node1", "hb cleanup");
    pair.wait_well();
}

/// What the daemon has logged of it, with its times: to the millisecond, unlike what is seen from here.
fn tell_timing(pair: &Pair) {
    let line =
        "grep -e 'systemd says' -e ') ended' -e 'acquiring -> held' /var/log/ha-log | tail -n 2";
    println!("{}", pair.sh("node1", line).trim_end());
}

/// systemd starts it again, and it keeps what runs.
fn daemon_killed(pair: &mut Pair) {
    let before = pair.unit("node1", "MainPID");
    let begin = Instant::now();
    pair.sh("node1", &format!("kill -KILL {before}"));
    let line = format!(
        "pid=$(systemctl show -P MainPID heartbeat); [ $pid != 0 ] && [ $pid != {before} ] && hb status"
    );
    pair.wait("node1", &line);
    measured("killed daemon back and well within", begin.elapsed());
    pair.assert_unbroken(begin, "node1");
    assert_eq!(pair.unit("node1", "NRestarts"), "1");
    pair.wait_well();
    assert_no_death(pair, "node2");
}

/// They live beside the daemon, each with a program of the package.
const COMPANIONS: [&str; 2] = ["hb-serve", "hb-notify"];

fn main_pid(pair: &Pair, unit: &str) -> String {
    pair.sh("node1", &format!("systemctl show -P MainPID {unit}")).trim().to_owned()
}

/// The service does not notice, and what people have changed stays.
fn upgraded_on_the_owner(pair: &mut Pair) {
    let changed = "/etc/ha.d/resource.d/MailTo";
    pair.sh("node1", &format!("echo '# ours' >>{changed}"));
    let nginx = pair.sh("node1", "systemctl show -P MainPID nginx");
    pair.sh("node1", "systemctl enable --now hb-serve");
    notify::begin_anew(pair);
    let companions = COMPANIONS.map(|unit| (unit, main_pid(pair, unit)));
    let generation = generation(pair, "node1");
    let begin = Instant::now();
    pair.install("node1", &pair.prepared.upgrade);
    // Returns only when the new program is at work.
    let pid = pair.unit("node1", "MainPID");
    assert_eq!(
        pair.sh("node1", &format!("readlink /proc/{pid}/exe")).trim(),
        "/usr/sbin/heartbeat"
    );
    pair.wait_well();
    pair.assert_unbroken(begin, "node1");
    assert_eq!(pair.sh("node1", "systemctl show -P MainPID nginx"), nginx);
    for (unit, before) in companions {
        let pid = main_pid(pair, unit);
        assert!(pid != "0" && pid != before, "{unit} is {pid} and was {before}");
        let program = pair.sh("node1", &format!("readlink /proc/{pid}/exe"));
        assert_eq!(program.trim(), format!("/usr/lib/heartbeat/{unit}"));
    }
    assert_eq!(self::generation(pair, "node1"), generation + 1);
    assert_eq!(pair.sh("node1", &format!("tail -n 1 {changed}")).trim(), "# ours");
    assert_eq!(pair.sh("node1", "systemctl is-enabled heartbeat").trim(), "enabled");
    assert_no_death(pair, "node2");
    // On the other node, too.
    pair.install("node2", &pair.prepared.upgrade);
    pair.wait_well();
    pair.assert_unbroken(begin, "node1");
}

/// A stop that releases, and a start: the other node has everything afterwards.
fn restarted_by_systemctl(pair: &mut Pair) {
    pair.sh("node1", "systemctl restart heartbeat");
    pair.wait_served("node2");
    pair.wait_well();
    pair.sh("node1", &format!("! {ADDRESS} && ! systemctl is-active nginx"));
    assert_given(pair, "node2");
}

/// Released before the machine is off: no dead time passes.
fn orderly_poweroff_of_the_owner(pair: &mut Pair) {
    pair.sh("node2", "systemctl poweroff --no-wall");
    let begin = Instant::now();
    pair.wait_served("node1");
    measured("orderly poweroff: served by the other node after", begin.elapsed());
    pair.machine_mut("node2").wait_off();
    assert_given(pair, "node1");
    let begin = Instant::now();
    pair.assert_unbroken(begin, "node1");
}

/// It comes back by itself, and the service stays where it is.
fn booted_again(pair: &mut Pair) {
    let begin = Instant::now();
    pair.machine_mut("node2").boot();
    pair.wait("node2", "systemctl is-active heartbeat");
    pair.wait_well();
    pair.assert_unbroken(begin, "node1");
    pair.sh("node2", &format!("! {ADDRESS} && ! systemctl is-active nginx"));
}

/// Every process of the owner ends at once; it is booted again later.
fn power_loss_of_the_owner(pair: &mut Pair) {
    let begin = Instant::now();
    pair.machine_mut("node1").power_off();
    pair.wait_served("node2");
    measured("power loss (deadtime 5 s): served by the other node after", begin.elapsed());
    let begin = Instant::now();
    pair.machine_mut("node1").boot();
    pair.wait_well();
    pair.assert_unbroken(begin, "node2");
}

/// Number of starts that this node has counted.
pub(crate) fn generation(pair: &Pair, node: &str) -> u64 {
    let text = pair.sh(node, "cat /var/lib/heartbeat/hb_generation");
    text.trim().parse().expect("a number")
}

/// `node` has not taken the other one for dead since its log was last looked at.
#[track_caller]
fn assert_no_death(pair: &Pair, node: &str) {
    let log = log(pair, node);
    assert!(!log.contains("is dead"), "{log}");
}

/// Since its log was last looked at, `node` has taken over because the other one had released, and not
/// because it was silent. (One that has stopped is silent, too, later.)
#[track_caller]
pub(crate) fn assert_given(pair: &Pair, node: &str) {
    let log = log(pair, node);
    assert!(log.contains("acquiring -> held"), "{log}");
    assert!(!log.contains("cause=peer_dead"), "{log}");
}

/// What has been logged since the last look.
pub(crate) fn log(pair: &Pair, node: &str) -> String {
    pair.sh(node, "cat /var/log/ha-log && : >/var/log/ha-log")
}
