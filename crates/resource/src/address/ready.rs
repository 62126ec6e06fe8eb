//! Whether an address could be started on this machine. Does I/O (asks the kernel) and changes
//! nothing; whether it should be is decided by the manager.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::PoisonError;
use std::time::Duration;

use hb_config::settings::AddressSpec;

use super::frames::Ethernet;
use super::netlink::Which;
use super::plan::Interface;
use super::probe::{self, Verdict};
use super::{
    Addresses, Step, claims, failed, ipv6_disabled, is_ipv6_disabled, outcome, plan, unanswered,
};
use crate::operation::Outcome;

impl Addresses {
    /// Whether [`Self::start`] would work here, as far as that can be known before: the interface is
    /// there (named, or found by subnet or route), up, with carrier and with IPv6 if needed, and the
    /// address is one that a host can have.
    ///
    /// `peer_has_it`: the peer says that it holds the address. Then the network is asked for `limit`
    /// who answers for it, so that a later [`Self::start_probed`] can tell that machine from any other;
    /// not beside a peer that has said which Ethernet addresses are its own.
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
        if peer_has_it && !limit.is_zero() && !self.knows_peer() {
            let asked = self.probes.begin(spec.ip, &interface, limit, &self.tools());
            if let Verdict::Taken(ethernet) = probe::verdict(asked).await {
                // The first answer counts: a later one of another machine may be a stranger's.
                self.of_peer().entry(spec.ip).or_insert(ethernet);
            }
        }
        Outcome::Ok
    }

    /// The Ethernet addresses of the interfaces on which these addresses are or would be, each once. An
    /// interface that cannot be found, or is no Ethernet, is left out.
    pub async fn ethernet(&self, specs: &[AddressSpec]) -> Vec<String> {
        let mut found = BTreeSet::new();
        let named: BTreeSet<&str> =
            specs.iter().filter_map(|spec| spec.interface.as_deref()).collect();
        for name in named {
            if plan::check_interface_name(name).is_ok()
                && let Ok(Some(interface)) = self.netlink.interface(Which::Name(name)).await
            {
                found.extend(interface.ethernet);
            }
        }
        for spec in specs.iter().filter(|spec| spec.interface.is_none()) {
            if let Ok(entries) = self.netlink.addresses(spec.ip).await
                && let Ok(interface) = self.interface_for(spec, &entries).await
            {
                found.extend(interface.ethernet);
            }
        }
        found.into_iter().map(claims::show).collect()
    }

    /// The Ethernet addresses of the peer's machine, as it says: what answers with one of them is
    /// that machine. What is no Ethernet address is left out.
    pub fn peer_is(&self, ethernet: &[String]) {
        let known = ethernet.iter().filter_map(|text| claims::parse(text)).collect();
        *self.peer.lock().unwrap_or_else(PoisonError::into_inner) = known;
    }

    fn knows_peer(&self) -> bool {
        !self.peer.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Whether a machine that answers for `ip` is the peer's: as it says itself, or as it answered
    /// while the peer said that it has the address.
    pub(super) fn is_peer(&self, ip: IpAddr, ethernet: Ethernet) -> bool {
        let told = self.peer.lock().unwrap_or_else(PoisonError::into_inner).contains(&ethernet);
        told || self.of_peer().get(&ip) == Some(&ethernet)
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
