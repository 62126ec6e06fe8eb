//! Looks at start whether warm services could listen on their floating address. Reads one file of the
//! kernel's; it changes nothing.
#![expect(clippy::disallowed_methods, reason = "reads /proc")]

use hb_config::settings::Settings;
use hb_node::effect::Level;

use crate::logging::Logger;

/// 1: a program may listen on an address that is not here.
const NONLOCAL_BIND: &str = "/proc/sys/net/ipv4/ip_nonlocal_bind";

/// A warm service that listens on its floating address must be able to bind it before the address is
/// here.
pub(crate) fn check(settings: &Settings, logger: &Logger) {
    let Some((warm, _)) = settings.native.resources.iter().find(|(_, options)| options.warm) else {
        return;
    };
    if std::fs::read_to_string(NONLOCAL_BIND).is_ok_and(|value| value.trim() == "0") {
        let text = format!(
            "{warm} is warm and net.ipv4.ip_nonlocal_bind is 0: where it listens on the floating \
             address and not on all, it cannot start before the address is here. Write \
             `net.ipv4.ip_nonlocal_bind = 1` to /etc/sysctl.d/heartbeat.conf and run \
             `sysctl --system`"
        );
        logger.say(Level::Warn, "nonlocal_bind", text);
    }
}
