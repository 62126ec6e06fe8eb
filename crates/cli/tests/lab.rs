//! The lab itself: what a node keeps, what it loses, what it cannot reach. Each case runs in
//! namespaces of its own.

#![allow(clippy::disallowed_methods, reason = "tests with real time and real processes")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use hb_cli::lab::{self, Lab, LabConfig, LabError, Prober};
use hb_netns::runner::{self, Case};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    runner::main(&[
        Case { name: "a_node_has_its_own_name", run: own_name },
        Case { name: "exit_codes_come_through", run: exit_codes },
        Case { name: "a_command_that_hangs_is_ended", run: hanging_command },
        Case { name: "the_disk_survives_a_power_loss", run: kept_and_lost },
        Case { name: "a_power_loss_ends_what_runs", run: power_loss },
        Case { name: "a_cut_cable_is_an_outage", run: cut_and_mend },
        Case { name: "reboot_is_noted_and_not_done", run: power_requests },
        Case { name: "the_files_of_the_machine_are_read_only", run: read_only },
        Case { name: "a_lab_leaves_nothing_to_the_next", run: nothing_left },
    ])
}

/// Both nodes on.
fn lab() -> Lab {
    let mut lab = Lab::new(LabConfig::pair()).expect("a lab");
    lab.boot("node1").expect("node1");
    lab.boot("node2").expect("node2");
    lab
}

fn nothing_left() {
    let first = lab();
    first.write_file("node1", "/etc/ha.d/kept", "kept", 0o600).expect("a file on the disk");
    drop(first);
    assert!(lab().read_file("node1", "/etc/ha.d/kept").is_err());
}

fn shell(lab: &Lab, node: &str, script: &str) -> (i32, String) {
    let output = lab.exec(node, &["/bin/sh", "-c", script]).expect("a command");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    (output.status.code().expect("an exit code"), text)
}

fn own_name() {
    let lab = &mut lab();
    for node in ["node1", "node2"] {
        let said = shell(lab, node, "cat /proc/sys/kernel/hostname /etc/hostname");
        assert_eq!(said, (0, format!("{node}\n{node}")));
    }
}

fn exit_codes() {
    let lab = &mut lab();
    assert_eq!(shell(lab, "node1", "exit 7").0, 7);
    assert_eq!(shell(lab, "node1", "kill -9 $$").0, 128 + 9);
}

fn hanging_command() {
    let lab = &mut lab();
    let limit = Duration::from_millis(200);
    let result = lab.exec_for("node1", &["/bin/sleep", "1000"], limit);
    assert!(matches!(result, Err(LabError::Timeout { .. })), "{result:?}");
    // Its end is asynchronous.
    let begin = Instant::now();
    while shell(lab, "node1", "cat /proc/[0-9]*/comm").1.lines().any(|name| name == "sleep") {
        assert!(begin.elapsed() < PATIENCE, "it goes on");
    }
}

fn kept_and_lost() {
    let lab = &mut lab();
    lab.write_file("node1", "/etc/ha.d/kept", "kept", 0o600).expect("a file on the disk");
    lab.write_file("node1", "/run/lost", "lost", 0o600).expect("a file elsewhere");
    assert_eq!(lab.read_file("node1", "/run/lost").expect("a file"), "lost");
    lab.power_off("node1").expect("power loss");
    assert_eq!(lab.read_file("node1", "/etc/ha.d/kept").expect("a file"), "kept");
    lab.boot("node1").expect("node1");
    let found = shell(lab, "node1", "[ ! -e /run/lost ] && cat /etc/ha.d/kept");
    assert_eq!(found, (0, "kept".to_owned()));
    assert!(lab.read_file("node1", "/run/lost").is_err());
    assert!(lab.read_file("node2", "/etc/ha.d/kept").is_err());
}

fn power_loss() {
    let lab = &mut lab();
    let mut server = lab.serve("node2").expect("a server");
    let prober = probe(lab::public_address(2).into());
    prober.wait_served(Some("node2"), PATIENCE).expect("service");
    lab.power_off("node2").expect("power loss");
    assert!(!lab.is_on("node2"));
    assert!(matches!(lab.exec("node2", &["/bin/true"]), Err(LabError::Off(_))));
    assert!(!server.wait().expect("its end").success());
    lab.boot("node2").expect("node2");
    assert!(lab.is_on("node2"));
}

fn cut_and_mend() {
    let lab = &mut lab();
    let _server = lab.serve("node1").expect("a server");
    let prober = probe(lab::public_address(1).into());
    prober.wait_served(Some("node1"), PATIENCE).expect("service");
    lab.cut("node1", lab::HEARTBEAT).expect("cut");
    prober.wait_served(Some("node1"), PATIENCE).expect("the other network goes on");
    cut_one(lab, &prober, Lab::cut, "0");
    cut_one(lab, &prober, Lab::mute, "1");
    lab.mend("node1", lab::HEARTBEAT).expect("mend");
}

type Cut = fn(&Lab, &str, &str) -> Result<(), LabError>;

/// `cut` leaves the node this `carrier`, lets nothing pass, and can be undone.
fn cut_one(lab: &Lab, prober: &Prober, cut: Cut, carrier: &str) {
    let begin = Instant::now();
    cut(lab, "node1", lab::PUBLIC).expect("cut");
    assert_eq!(shell(lab, "node1", "cat /sys/class/net/eth0/carrier").1, carrier);
    let cut_ended = Instant::now();
    // Only what ends after all answers of before the cut are counted shows that nothing passes.
    let seen = || prober.probes_since(cut_ended);
    while seen().len() < 50 {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(seen().iter().all(|p| p.result.is_err()), "answers through a cut cable");
    lab.mend("node1", lab::PUBLIC).expect("mend");
    prober.wait_served(Some("node1"), PATIENCE).expect("service again");
    let outage = prober.outage_since(begin).expect("an outage");
    assert!(outage.last < cut_ended && outage.first > cut_ended, "{outage:?}");
}

fn power_requests() {
    let lab = &mut lab();
    for command in ["/sbin/reboot", "/usr/sbin/reboot", "/sbin/poweroff"] {
        if shell(lab, "node1", &format!("[ -e {command} ]")).0 == 0 {
            assert_eq!(shell(lab, "node1", &format!("{command} -f")), (0, String::new()));
            assert!(lab.power_requests("node1").contains(&format!("{command} -f")));
        }
    }
    assert!(lab.is_on("node1"));
    let (_, bounding) = shell(lab, "node1", "sed -n 's/^CapBnd:.//p' /proc/self/status");
    let bounding = u64::from_str_radix(&bounding, 16).expect("a set of capabilities");
    // linux/capability.h: modules, raw I/O, reboot, clock.
    for capability in [16, 17, 22, 25] {
        assert_eq!(bounding & (1 << capability), 0, "capability {capability}");
    }
}

fn read_only() {
    let lab = &mut lab();
    for folder in ["/usr", "/.host", "/.host/usr"] {
        assert_ne!(shell(lab, "node1", &format!(": > {folder}/lab-test")).0, 0, "{folder}");
    }
    let (_, devices) = shell(lab, "node1", "ls /dev /.host/dev");
    assert!(!devices.contains("watchdog") && !devices.contains("mem"), "{devices}");
}

fn probe(address: std::net::IpAddr) -> Prober {
    Prober::start((address, 80).into(), Duration::from_millis(2), Duration::from_millis(50))
        .expect("a client")
}
