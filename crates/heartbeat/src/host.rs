//! What this machine is called (I/O).

use std::path::Path;

use hb_config::settings::NodeName;
use nix::unistd::gethostname;

use crate::exit::Fatal;

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

/// This node's name, which ha.cf must list: the first line of `nodeinfo`, else the host name, in
/// lower case.
///
/// # Errors
/// When neither is a node name.
pub(crate) fn node_name(config_dir: &Path) -> Result<NodeName, Fatal> {
    hb_config::dir::own_node_name(config_dir).map_err(Fatal::system("tell this node's name"))
}
