//! Whether an address could be started on this machine. Does I/O (asks the kernel) and changes
//! nothing; whether it should be is decided by the manager.

use std::net::IpAddr;

use hb_config::settings::AddressSpec;

use super::{Addresses, Step, failed, ipv6_disabled, is_ipv6_disabled, outcome, plan, unanswered};
use crate::operation::Outcome;

impl Addresses {
    /// Whether [`Self::start`] would work here, as far as that can be known before: the interface is
    /// there (named, or found by subnet or route), up, with carrier and with IPv6 if needed, and the
    /// address is one that a host can have.
    pub async fn validate(&self, spec: &AddressSpec) -> Outcome {
        outcome(self.try_validate(spec).await)
    }

    /// Whether [`Self::send_arp`] would work here.
    pub async fn validate_send_arp(&self, interface: &str) -> Outcome {
        outcome(self.named_interface(interface).await.map(|_interface| ()))
    }

    async fn try_validate(&self, spec: &AddressSpec) -> Step<()> {
        plan::validate(spec).and_then(|()| plan::sanity(spec)).map_err(failed)?;
        let entries = self.netlink.addresses(spec.ip).await.map_err(unanswered)?;
        let interface = self.interface_for(spec, &entries).await?;
        match spec.ip {
            IpAddr::V6(_) if is_ipv6_disabled(&interface.name) => {
                Err(failed(ipv6_disabled(&interface.name)))
            }
            IpAddr::V4(_) | IpAddr::V6(_) => Ok(()),
        }
    }
}
