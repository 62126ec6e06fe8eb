//! Whether this machine lets anybody boot containers: many places that run tests are containers
//! themselves, without the rights for it. Asked in namespaces that end with the question. I/O.

use std::process::{Command, Stdio};

/// Everything that `machine` does with mounts and control groups, done once on nothing.
const QUESTION: &str = "
set -e
mount -t tmpfs tmpfs /run
cd /run && mkdir lower upper work root
mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work root
umount -l /sys/fs/cgroup || true
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir /sys/fs/cgroup/hb-boot-question
rmdir /sys/fs/cgroup/hb-boot-question
ip link add question type bridge
";

/// # Errors
/// What is refused, in the words of the tool.
pub(crate) fn ask() -> Result<(), String> {
    let output = Command::new("unshare")
        .args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private"])
        .args(["sh", "-c", QUESTION])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("unshare: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.trim().lines().last().unwrap_or_default();
    Err(format!("this machine does not let containers be booted: {last}"))
}
