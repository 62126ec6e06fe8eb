//! What this machine is called (I/O).
#![expect(clippy::disallowed_methods, reason = "reads nodeinfo")]

use std::fs;
use std::path::Path;

use hb_config::settings::NodeName;
use nix::unistd::gethostname;

use crate::exit::Fatal;

/// First line of this file, where it exists, is the node's name (Heartbeat 3.0.6).
const NODE_INFO: &str = "nodeinfo";

/// `uname -n`, as the kernel has it.
///
/// # Errors
/// When the name is not UTF-8 or cannot be read.
pub(crate) fn name() -> Result<String, Fatal> {
    let name = gethostname().map_err(Fatal::system("read the host name"))?;
    name.into_string().map_err(|name| {
        Fatal::Refused(format!("the host name {} is not UTF-8", name.to_string_lossy()))
    })
}

/// This node's name, which ha.cf must list: `nodeinfo`, else the host name, in lower case.
///
/// # Errors
/// As [`name`].
pub(crate) fn node_name(config_dir: &Path) -> Result<NodeName, Fatal> {
    let written = fs::read_to_string(config_dir.join(NODE_INFO)).unwrap_or_default();
    match written.lines().next().map(str::trim) {
        Some(line) if !line.is_empty() => Ok(NodeName::new(line)),
        Some(_) | None => Ok(NodeName::new(&name()?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_dir::TestDir;

    #[test]
    fn nodeinfo_wins_over_the_host_name() {
        let dir = TestDir::new("nodeinfo");
        let own = NodeName::new(&name().expect("this machine has a name"));
        assert_eq!(node_name(dir.path()).expect("named"), own);
        fs::write(dir.path().join(NODE_INFO), "\n").expect("writable");
        assert_eq!(node_name(dir.path()).expect("named"), own);
        fs::write(dir.path().join(NODE_INFO), " Alpha \nbeta\n").expect("writable");
        assert_eq!(node_name(dir.path()).expect("named"), NodeName::new("alpha"));
    }
}
