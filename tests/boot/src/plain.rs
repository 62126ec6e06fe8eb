//! A machine without systemd: the package in a container whose first process is a shell, and the
//! init script as `service` runs it. One node alone: the address comes after the time for boots.
//! I/O: one `systemd-nspawn` that is not booted.

use std::process::{Command, Stdio};

use crate::machine::Machine;
use crate::pair::Pair;
use crate::steps::{Begin, Step};

pub(crate) const STEPS: &[Step] = &[Step {
    name: "init_script_without_systemd",
    begin: Begin::Debian,
    limit_s: 150,
    run: init_script_without_systemd,
}];

/// What is done inside, line by line. Any that fails ends it.
const SCRIPT: &str = r#"
set -eux
ip link add eth0 type veth peer name eth9
ip link set eth0 up
ip link set eth9 up
ip address add 192.0.2.3/24 dev eth0
cd /root
apt-get install -y --no-install-recommends ./package.deb
[ ! -d /run/systemd/system ]

# `! command` is no failure for `set -e`.
not() { if "$@"; then return 1; fi; }
links() { ls "/etc/rc$1.d" | grep -q "^$2.*heartbeat"; }
# Not before somebody has written the files and has said so.
not links 2 S
update-rc.d heartbeat enable
links 2 S
links 6 K

code() { expect=$1; shift; got=0; "$@" || got=$?; [ "$got" = "$expect" ]; }
until_true() { for _ in $(seq 400); do if "$@"; then return; fi; sleep 0.05; done; return 1; }
has_address() { ip -o address show to 192.0.2.100 | grep -q .; }
has_none() { not has_address; }
pid() { tr -d ' ' </run/heartbeat.pid; }

# LSB: 3 is not running, 2 wrong usage.
code 3 service heartbeat status
code 2 service heartbeat nonsense
service heartbeat start
service heartbeat status
first=$(pid)
# One that runs is left alone.
service heartbeat start
[ "$(pid)" = "$first" ]
until_true has_address
service heartbeat reload
[ "$(pid)" = "$first" ]
service heartbeat force-reload
service heartbeat status
[ "$(pid)" != "$first" ]
until_true has_address
service heartbeat try-restart
until_true has_address
service heartbeat stop
code 3 service heartbeat status
has_none
not grep -qsx heartbeat /proc/[0-9]*/comm
# Of something that does not run, neither a failure nor a start.
service heartbeat stop
service heartbeat try-restart
code 3 service heartbeat status
# A removal stops it and gives the address back.
service heartbeat start
until_true has_address
apt-get purge -y twinbeat
has_none
not links 2 .
"#;

const HA_CF: &str = "keepalive 100ms\ndeadtime 1\ninitdead 2\nbcast eth0\nauto_failback off\n\
    logfile /var/log/ha-log\nrealtime off\nnode plain other\n";

fn init_script_without_systemd(pair: &mut Pair) {
    let machine = Machine::new("plain", 3, &pair.prepared.system, &pair.group);
    std::fs::copy(&pair.prepared.package, machine.disk("/root/package.deb")).expect("room");
    machine.write("/etc/ha.d/ha.cf", HA_CF);
    machine.write("/etc/ha.d/haresources", "plain 192.0.2.100/24/eth0\n");
    machine.write("/etc/ha.d/authkeys", "auth 1\n1 sha1 a-word-of-the-boot-test\n");
    machine.write("/root/script", SCRIPT);
    let keys = machine.disk("/etc/ha.d/authkeys");
    let mut chmod = Command::new("chmod");
    assert!(chmod.arg("600").arg(keys).status().expect("chmod").success());
    let output = Command::new("systemd-nspawn")
        .args(["--quiet", "--register=no", "--keep-unit", "--as-pid2", "--private-network"])
        .args(["--machine=plain", "--resolv-conf=off", "--timezone=off", "--link-journal=no"])
        .args(["--console=pipe", "--setenv=DEBIAN_FRONTEND=noninteractive"])
        .arg(format!("--directory={}", machine.disk("/").display()))
        .args(["/usr/bin/timeout", "120", "/bin/sh", "/root/script"])
        .env("SYSTEMD_SECCOMP", "0")
        .stdin(Stdio::null())
        .output()
        .expect("systemd-nspawn");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(output.status.success(), "{}:\n{text}", output.status);
}
