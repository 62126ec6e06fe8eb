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
mkdir \"/sys/fs/cgroup/$1\"
rmdir \"/sys/fs/cgroup/$1\"
ip link add question type bridge
";
/// Removes a control group with all below it, as soon as the last process in it is gone.
const REMOVAL: &str = "
umount -l /sys/fs/cgroup || true
mount -t cgroup2 cgroup2 /sys/fs/cgroup
cd /sys/fs/cgroup
for _ in $(seq 100); do
  [ -d \"$1\" ] || exit 0
  find \"$1\" -depth -type d -exec rmdir {} + && exit 0
  sleep 0.05
done
exit 1
";

/// # Errors
/// What is refused, in the words of the tool.
pub(crate) fn ask() -> Result<(), String> {
    apart(QUESTION, &format!("hb-boot-question-{}", std::process::id()))
        .map_err(|said| format!("this machine does not let containers be booted: {said}"))
}

/// Removes the control groups of a play, whatever has ended it.
///
/// # Errors
/// What is in the way, in the words of the tool.
pub(crate) fn remove_group(name: &str) -> Result<(), String> {
    apart(REMOVAL, name)
}

/// Runs a script in namespaces of its own; the last line of its complaints.
fn apart(script: &str, word: &str) -> Result<(), String> {
    let output = Command::new("unshare")
        .args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private"])
        .args(["sh", "-c", script, "sh", word])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("unshare: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.trim().lines().last().unwrap_or_default().to_owned())
}
