//! Whether an address could be started on this machine. Does I/O (asks the kernel) and changes
//! nothing; whether it should be is decided by the manager.

use std::net::IpAddr;
use std::time::Duration;

use hb_config::settings::AddressSpec;

use super::plan::Interface;
use super::probe::{self, Verdict};
use super::{Addresses, Step, failed, ipv6_disabled, is_ipv6_disabled, outcome, plan, unanswered};
use crate::operation::Outcome;

impl Addresses {
    /// Whether [`Self::start`] would work here, as far as that can be known before: the interface is
    /// there (named, or found by subnet or route), up, with carrier and with IPv6 if needed, and the
    /// address is one that a host can have.
    ///
    /// `peer_has_it`: the peer says that it holds the address. Then the network is asked for `limit`
    /// who answers for it, so that a later [`Self::start_probed`] can tell that machine from any other.
    pub async fn validate(
        &self,
        spec: &AddressSpec,
        peer_has_it: bool,
        limit: Duration,
    ) -> Outcome {
        let interface = match self.try_validate(spec).await {
            Ok(interface) => interface,
            Err(outcome) => return outcome,
        };
        if peer_has_it && !limit.is_zero() {
            let asked = self.probes.begin(spec.ip, &interface, limit, &self.tools());
            if let Verdict::Taken(ethernet) = probe::verdict(asked).await {
                self.of_peer().insert(spec.ip, ethernet);
            }
        }
        Outcome::Ok
    }

    /// Whether [`Self::send_arp`] would work here.
    pub async fn validate_send_arp(&self, interface: &str) -> Outcome {
        outcome(self.named_interface(interface).await.map(|_interface| ()))
    }

    async fn try_validate(&self, spec: &AddressSpec) -> Step<Interface> {
        plan::validate(spec).and_then(|()| plan::sanity(spec)).map_err(failed)?;
        let entries = self.netlink.addresses(spec.ip).await.map_err(unanswered)?;
        let interface = self.interface_for(spec, &entries).await?;
        match spec.ip {
            IpAddr::V6(_) if is_ipv6_disabled(&interface.name) => {
                Err(failed(ipv6_disabled(&interface.name)))
            }
            IpAddr::V4(_) | IpAddr::V6(_) => Ok(interface),
        }
    }
}
