//! What Debian's own tools need beside the pid file: the client socket (`cl_status`), the FIFO
//! (`hb_standby`, `hb_takeover` and scripts like them) and the hooks of `rc.d`. Everything here
//! asks the core as any other client does; nothing here decides for it.

mod answers;
mod fifo;
pub(crate) mod fifo_text;
pub(crate) mod frame;
pub(crate) mod hooks;
mod register;
pub(crate) mod session;

use std::path::Path;

use crate::control::Core;
use crate::legacy::register::SOCKET;
use crate::logging::Logger;

/// The FIFO's name in the state directory.
pub(crate) const FIFO: &str = "fifo";

/// Opens both. What does not work is logged: the node keeps the services up all the same.
pub(crate) fn open(run: &Path, state: &Path, core: &Core, logger: &Logger) {
    register::open(&run.join(SOCKET), core, logger);
    fifo::open(&state.join(FIFO), core, logger);
}

/// Removes the client socket: `cl_status` then says that heartbeat is stopped. The FIFO stays, as
/// with Heartbeat 3.0.6: a script that writes to it must not make a file of it.
pub(crate) fn remove(run: &Path) {
    let _ = std::fs::remove_file(run.join(SOCKET));
}
