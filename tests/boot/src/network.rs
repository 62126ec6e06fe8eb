//! The two networks between the machines: bridges in the test's own network namespace, and the client
//! that stands on the public one. I/O through `ip`.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use hb_cli::lab::CLIENT;

/// Public and heartbeat network: the bridge, and what a machine calls its interface.
pub(crate) const NETWORKS: [(&str, &str); 2] = [("br0", "eth0"), ("br1", "eth1")];
/// Longest wait for a cable that systemd-nspawn makes.
const LIMIT: Duration = Duration::from_secs(20);

/// Makes the bridges and the client's address.
pub(crate) fn make() {
    ip(&["link", "set", "lo", "up"]);
    for (bridge, _) in NETWORKS {
        // The address of its own keeps it from changing with every machine that goes.
        let mac = if bridge == "br0" { "02:77:00:00:00:fe" } else { "02:77:00:00:01:fe" };
        ip(&["link", "add", bridge, "address", mac, "type", "bridge"]);
        ip(&["link", "set", bridge, "up"]);
    }
    ip(&["address", "add", &format!("{CLIENT}/24"), "dev", "br0"]);
}

/// Our end of the cable of machine `number` to network `index`.
pub(crate) fn cable(number: usize, index: usize) -> String {
    format!("n{number}e{index}")
}

/// Plugs the cables of machine `number` in, as soon as they are there.
pub(crate) fn plug_in(number: usize) {
    let begin = Instant::now();
    for (index, (bridge, _)) in NETWORKS.into_iter().enumerate() {
        let cable = cable(number, index);
        while !try_ip(&["link", "set", &cable, "master", bridge, "up"]) {
            assert!(begin.elapsed() < LIMIT, "no cable {cable}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn ip(words: &[&str]) {
    assert!(try_ip(words), "ip {}", words.join(" "));
}

fn try_ip(words: &[&str]) -> bool {
    Command::new("ip").args(words).output().is_ok_and(|output| output.status.success())
}
