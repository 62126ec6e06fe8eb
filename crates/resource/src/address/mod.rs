//! Floating addresses: adds, removes, announces and guards them, without a fork. Does I/O (netlink,
//! packet sockets, kernel settings). When an address moves is decided by the manager.
//!
//! Ownership: each address is added with the mark [`ADDRESS_PROTOCOL`] and remembered. Only an
//! address that carries the mark or is remembered is ever removed; the loopback is never touched.
#![expect(clippy::disallowed_methods, reason = "reads and sets two kernel settings")]

mod announcer;
mod claims;
mod filter;
mod frames;
mod guard;
mod listen;
mod netlink;
mod packet;
mod plan;
mod probe;
mod ready;
mod tagged;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hb_config::settings::{AddressSpec, Announce};
use tokio::time::sleep;

use self::announcer::Announcer;
use self::frames::Ethernet;
pub use self::guard::{Health, Notice};
use self::listen::Ears;
use self::netlink::{Failure, Netlink, Which};
pub use self::plan::ADDRESS_PROTOCOL;
use self::plan::{Entry, Interface, Place};
use self::probe::{Probes, Verdict};
pub use self::tagged::{Removal, Tagged, remove_tagged};
pub use self::watch::Watch;
use self::watch::Watched;
use crate::operation::{IN_USE, IN_USE_BY_PEER, Outcome};

/// Longest probe: every ms of it is an outage when the other host is dead.
const PROBE_MAX: Duration = Duration::from_millis(300);
/// How long a start waits for the kernel to find out whether another host has an IPv6 address that
/// somebody else has just added: longer than its one second (RFC 4862, §5.1).
const SETTLES_WITHIN: Duration = Duration::from_secs(2);
/// Between two looks meanwhile.
const SETTLE_EVERY: Duration = Duration::from_millis(20);

/// Adds, removes and announces floating addresses.
///
/// One value serves all resources of a node and may be used for several at once. Operations on the
/// same address must not overlap, as those on one group never do.
#[derive(Debug)]
pub struct Addresses {
    netlink: Arc<Netlink>,
    announcer: Arc<Announcer>,
    ears: Ears,
    probes: Probes,
    /// Who answered for an address while the peer said that it holds it.
    of_peer: Mutex<BTreeMap<IpAddr, Ethernet>>,
    /// The Ethernet addresses of the peer's machine, as it says.
    peer: Mutex<BTreeSet<Ethernet>>,
    watched: Watched,
    /// Address, prefix length and interface of what this process added or took charge of. One per
    /// address resource at most.
    owned: Mutex<BTreeSet<(IpAddr, u8, u32)>>,
}

/// What an operation came to; the error is the outcome to report.
type Step<T> = Result<T, Outcome>;

impl Addresses {
    /// Opens the sockets and starts the task that serves them.
    ///
    /// # Errors
    /// The netlink socket cannot be made. A missing packet socket shows when announcing.
    ///
    /// # Panics
    /// Outside of a tokio runtime that has I/O and time enabled.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            netlink: Arc::new(Netlink::open()?),
            announcer: Arc::new(Announcer::open()),
            ears: Ears::new(),
            probes: Probes::default(),
            of_peer: Mutex::default(),
            peer: Mutex::default(),
            watched: Watched::new(),
            owned: Mutex::default(),
        })
    }

    /// Makes this machine have the address and announces it once before it returns; the other
    /// announcements follow in the background.
    ///
    /// Without an interface, it is the one whose subnet contains the address, else the one that
    /// the routing table names. Without a prefix length, it is that of the subnet, else of a host.
    /// An address that is already there counts as started and is taken charge of. An interface
    /// without carrier serves nobody: it fails.
    pub async fn start(&self, spec: &AddressSpec, announce: Announce) -> Outcome {
        outcome(self.try_start(spec, announce, None).await)
    }

    /// As [`Self::start`], and asks the network first whether another host has the address, for
    /// `limit`, at most 300 ms (ARP Probe of RFC 5227, duplicate address detection of RFC 4862); it fails if one
    /// has. Not asked: for an address that is already there, and where there is no Ethernet. When
    /// nobody could be asked it goes on.
    pub async fn start_probed(
        &self,
        spec: &AddressSpec,
        announce: Announce,
        limit: Duration,
    ) -> Outcome {
        let limit = Some(limit.min(PROBE_MAX)).filter(|limit| !limit.is_zero());
        outcome(self.try_start(spec, announce, limit).await)
    }

    /// Begins to ask for addresses that are about to be started one after the other, so that they do
    /// not wait one after the other. What is found is used by [`Self::start_probed`] within a second.
    pub async fn probe_ahead(&self, specs: &[AddressSpec], limit: Duration) {
        if limit.is_zero() {
            return;
        }
        let limit = limit.min(PROBE_MAX);
        for spec in specs {
            // What is wrong with it is told when it is started.
            let Ok(entries) = self.netlink.addresses(spec.ip).await else { continue };
            if plan::validate(spec).is_ok()
                && plan::held(spec.ip, &entries).is_empty()
                && let Ok(interface) = self.interface_for(spec, &entries).await
            {
                drop(self.probes.begin(spec.ip, &interface, limit, &self.tools()));
            }
        }
    }

    /// Makes this machine not have the address; its neighbours in the subnet survive. Fails on one
    /// that was neither added by this program nor found by [`Self::start`].
    ///
    /// Kernels before 5.18 do not keep the mark, and after a restart nothing tells what is ours:
    /// there, it removes the address whoever added it, as Heartbeat does.
    pub async fn stop(&self, spec: &AddressSpec) -> Outcome {
        outcome(self.try_stop(spec).await)
    }

    /// Whether this machine has the address, usable, on the named interface or, without a name, on
    /// any but the loopback: with the prefix length that is written, on an interface that is up and
    /// has a carrier, and not one that another host was found to have.
    pub async fn status(&self, spec: &AddressSpec) -> Outcome {
        outcome(self.find_held(spec).await.map(|_held| ()))
    }

    /// Announces an address that this machine has: once before it returns, the rest in the
    /// background. Replaces announcements that are under way.
    pub async fn announce(&self, spec: &AddressSpec, announce: Announce) -> Outcome {
        let announced = match self.find_held(spec).await {
            Ok(interface) => self.send(spec.ip, &interface, announce),
            Err(Outcome::NotRunning) => {
                Err(failed(format!("{} is not on this node and was not announced", spec.ip)))
            }
            Err(outcome) => Err(outcome),
        };
        outcome(announced)
    }

    /// Announces an address that somebody else manages (`SendArp`).
    pub async fn send_arp(&self, ip: IpAddr, interface: &str, announce: Announce) -> Outcome {
        let announced = match self.named_interface(interface).await {
            Ok(interface) => self.send(ip, &interface, announce),
            Err(outcome) => Err(outcome),
        };
        outcome(announced)
    }

    /// Waits until the announcements under way are sent: for a program that ends afterwards.
    pub async fn announcements_finished(&self) {
        self.announcer.finished().await;
    }

    async fn try_start(
        &self,
        spec: &AddressSpec,
        announce: Announce,
        probe: Option<Duration>,
    ) -> Step<()> {
        plan::validate(spec).map_err(failed)?;
        let entries = self.netlink.addresses(spec.ip).await.map_err(unanswered)?;
        let interface = self.interface_for(spec, &entries).await?;
        let held = plan::held(spec.ip, &entries);
        let is_right =
            |entry: &Entry| entry.index == interface.index && plan::prefix_fits(spec, entry);
        let prefix_len = if let Some(entry) = held.iter().find(|entry| is_right(entry)) {
            self.take_charge(entry, &interface).await?;
            entry.prefix_len
        } else {
            self.make_way(&held, &interface, spec).await?;
            if let Some(limit) = probe {
                self.probe(spec.ip, &interface, limit).await?;
            }
            self.add(spec, &interface, &entries).await?
        };
        // The address serves; the repeats make good for an announcement that was not sent.
        if let Err(reason) = self.announcer.announce(spec.ip, &interface, announce) {
            tracing::warn!(ip = %spec.ip, interface = interface.name, reason, "not announced");
        }
        self.hold(spec, announce, interface.index, prefix_len);
        Ok(())
    }

    /// Fails when another host has the address.
    async fn probe(&self, ip: IpAddr, interface: &Interface, limit: Duration) -> Step<()> {
        let asked = self.probes.begin(ip, interface, limit, &self.tools());
        match probe::verdict(asked).await {
            Verdict::Free => Ok(()),
            Verdict::Taken(ethernet) => {
                let who = claims::show(ethernet);
                let reason = format!("{ip} is in use by {who} on {}", interface.name);
                let is_peer = self.is_peer(ip, ethernet);
                Err(Outcome::Failed {
                    code: Some(if is_peer { IN_USE_BY_PEER } else { IN_USE }),
                    reason,
                })
            }
            Verdict::Unknown(reason) => {
                let interface = &interface.name;
                tracing::warn!(%ip, interface, reason, "could not ask whether another host has it");
                Ok(())
            }
        }
    }

    fn of_peer(&self) -> MutexGuard<'_, BTreeMap<IpAddr, Ethernet>> {
        self.of_peer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the prefix length.
    async fn add(&self, spec: &AddressSpec, interface: &Interface, entries: &[Entry]) -> Step<u8> {
        let prefix_len = plan::prefix_len(spec, interface.index, entries);
        let key = (spec.ip, prefix_len, interface.index);
        match self.netlink.add(spec, interface.index, prefix_len).await {
            Ok(()) => {
                tracing::info!(ip = %spec.ip, prefix_len, interface = interface.name, "added");
            }
            Err(failure) if failure.is(libc::EEXIST) => {
                tracing::warn!(ip = %spec.ip, interface = interface.name, "somebody else added it");
            }
            Err(Failure::Refused(error)) => return Err(refused_to_add(spec, interface, &error)),
            Err(failure) => return Err(unanswered(failure)),
        }
        self.owned().insert(key);
        Ok(prefix_len)
    }

    /// An address that is where it belongs counts as started; from here on it is ours to remove, and
    /// marked, so that it stays so after a restart of this program.
    async fn take_charge(&self, entry: &Entry, interface: &Interface) -> Step<()> {
        let entry = &self.settled(entry).await?;
        usable(entry, interface)?;
        if !self.is_owned(entry) {
            tracing::warn!(
                ip = %entry.ip, prefix_len = entry.prefix_len, interface = interface.name,
                "address was already there, added by somebody else: taking charge of it"
            );
        }
        if entry.protocol != Some(ADDRESS_PROTOCOL)
            && let Err(failure) = self.netlink.mark(entry).await
        {
            // Kernels before 5.18, and some refuse to change one.
            tracing::debug!(ip = %entry.ip, ?failure, "not marked");
        }
        self.owned().insert(key(entry));
        Ok(())
    }

    /// The entry as it is when the kernel has found out whether another host has the address.
    async fn settled(&self, entry: &Entry) -> Step<Entry> {
        let mut latest = entry.clone();
        let deadline = tokio::time::Instant::now() + SETTLES_WITHIN;
        while latest.tentative && !latest.duplicate && tokio::time::Instant::now() < deadline {
            sleep(SETTLE_EVERY).await;
            let entries = self.netlink.addresses(entry.ip).await.map_err(unanswered)?;
            match entries.into_iter().find(|other| key(other) == key(entry)) {
                Some(found) => latest = found,
                None => return Err(failed(format!("{} was removed meanwhile", entry.ip))),
            }
        }
        Ok(latest)
    }

    /// The address is elsewhere on this machine or has another prefix length: ours is moved (the
    /// configuration was changed), somebody else's is in the way.
    async fn make_way(&self, held: &[&Entry], wanted: &Interface, spec: &AddressSpec) -> Step<()> {
        for entry in held {
            if !self.is_owned(entry) {
                let (ip, other) = (entry.ip, self.name_of(entry.index).await);
                let place = match spec.prefix_len.filter(|_| entry.index == wanted.index) {
                    Some(length) => format!("should be {ip}/{length}"),
                    None => format!("belongs on {}", wanted.name),
                };
                return Err(failed(format!(
                    "{ip} is already on {other} as {ip}/{}, added by somebody else, and {place}: {}",
                    entry.prefix_len,
                    removal_hint(entry, &other)
                )));
            }
        }
        if !held.is_empty() {
            // What is removed here is not missed.
            self.let_go(spec.ip);
        }
        self.remove_all(held).await
    }

    async fn try_stop(&self, spec: &AddressSpec) -> Step<()> {
        // First: an announcement after the removal would draw traffic here that belongs elsewhere.
        self.let_go(spec.ip);
        self.announcer.cancel(spec.ip);
        self.probes.forget(spec.ip);
        let entries = self.netlink.addresses(spec.ip).await.map_err(unanswered)?;
        // Ours goes wherever it is: its interface may have been another one when it was added.
        let mut ours = plan::held(spec.ip, &entries);
        ours.retain(|entry| self.is_owned(entry));
        let mut foreign = self.on_wanted_interface(spec, &entries).await?;
        foreign.retain(|entry| !self.is_owned(entry));
        if !(plan::shows_protocols(&entries) || kernel_knows_tags()) {
            ours.append(&mut foreign);
        }
        self.remove_all(&ours).await?;
        let Some(entry) = foreign.first() else { return Ok(()) };
        let interface = self.name_of(entry.index).await;
        Err(failed(format!(
            "{}/{} on {interface} was not added by heartbeat and was left alone: {}",
            entry.ip,
            entry.prefix_len,
            removal_hint(entry, &interface)
        )))
    }

    async fn remove_all(&self, doomed: &[&Entry]) -> Step<()> {
        for entry in doomed {
            let interface = self.name_of(entry.index).await;
            // Asked for each: a removal before may have promoted this one.
            let entries = self.netlink.addresses(entry.ip).await.map_err(unanswered)?;
            let Some(entry) = entries.iter().find(|other| key(other) == key(entry)) else {
                continue;
            };
            if plan::takes_siblings(entry, &entries) {
                keep_siblings(&interface).map_err(|error| {
                    failed(format!(
                        "removing {} would remove other addresses of its subnet on {interface}, \
                         and net.ipv4.conf.{interface}.promote_secondaries cannot be set: {error}",
                        entry.ip
                    ))
                })?;
            }
            match self.netlink.remove(entry).await {
                Ok(()) => tracing::info!(ip = %entry.ip, interface, "removed"),
                Err(Failure::Refused(error)) => {
                    return Err(failed(format!(
                        "the kernel refuses to remove {} from {interface}: {error}",
                        entry.ip
                    )));
                }
                Err(failure) => return Err(unanswered(failure)),
            }
            self.owned().remove(&key(entry));
        }
        Ok(())
    }

    /// The interface on which this machine has the address, fit to serve.
    async fn find_held(&self, spec: &AddressSpec) -> Step<Interface> {
        let entries = self.netlink.addresses(spec.ip).await.map_err(unanswered)?;
        let held = self.on_wanted_interface(spec, &entries).await?;
        let right = held.iter().find(|entry| plan::prefix_fits(spec, entry));
        let entry = right.or(held.first()).ok_or(Outcome::NotRunning)?;
        let which = Which::Index(entry.index);
        let interface = self.netlink.interface(which).await.map_err(unanswered)?;
        let interface = interface.ok_or(Outcome::NotRunning)?;
        if let Some(length) = spec.prefix_len.filter(|length| *length != entry.prefix_len) {
            let (ip, name, found) = (spec.ip, &interface.name, entry.prefix_len);
            return Err(failed(format!("{ip} is on {name} as {ip}/{found}, not {ip}/{length}")));
        }
        usable(entry, &interface)?;
        Ok(interface)
    }

    /// The places where this machine has the address and may have it.
    async fn on_wanted_interface<'a>(
        &self,
        spec: &AddressSpec,
        entries: &'a [Entry],
    ) -> Step<Vec<&'a Entry>> {
        let mut held = plan::held(spec.ip, entries);
        let Some(name) = spec.interface.as_deref().filter(|_| !held.is_empty()) else {
            return Ok(held);
        };
        // An interface that does not exist has no addresses.
        let wanted = match plan::check_interface_name(name) {
            Ok(()) => self.netlink.interface(Which::Name(name)).await.map_err(unanswered)?,
            Err(_absent) => None,
        };
        held.retain(|entry| wanted.as_ref().is_some_and(|wanted| wanted.index == entry.index));
        Ok(held)
    }

    /// The interface to add the address to: named, or where it is already, or where its subnet is,
    /// or where the routing table sends what is meant for it.
    async fn interface_for(&self, spec: &AddressSpec, entries: &[Entry]) -> Step<Interface> {
        let ip = spec.ip;
        if let Some(name) = &spec.interface {
            return self.named_interface(name).await;
        }
        let held = plan::held(ip, entries).first().map(|entry| entry.index);
        let place = held.map_or_else(|| plan::place(ip, entries), Place::Interface);
        let index = match place {
            Place::Interface(index) => Some(index),
            Place::Route => self.netlink.route(ip).await.map_err(unanswered)?,
            Place::MustBeNamed => None,
        };
        let found = match index {
            Some(index) => self.netlink.interface(Which::Index(index)).await.map_err(unanswered)?,
            None => None,
        };
        let interface = found.ok_or_else(|| {
            let hint = if ip.is_ipv4() {
                format!("IPaddr::{ip}/24/eth0")
            } else {
                format!("IPv6addr::{ip}/64/eth0")
            };
            failed(format!(
                "no interface is named for {ip}, none has its subnet and there is no route to it: \
                 write prefix length and interface, as in {hint}"
            ))
        })?;
        fit(interface)
    }

    async fn named_interface(&self, name: &str) -> Step<Interface> {
        plan::check_interface_name(name).map_err(failed)?;
        let found = self.netlink.interface(Which::Name(name)).await.map_err(unanswered)?;
        fit(found.ok_or_else(|| failed(plan::absent(name)))?)
    }

    /// For messages.
    async fn name_of(&self, index: u32) -> String {
        match self.netlink.interface(Which::Index(index)).await {
            Ok(Some(interface)) => interface.name,
            Ok(None) | Err(_) => format!("interface {index}"),
        }
    }

    fn send(&self, ip: IpAddr, interface: &Interface, announce: Announce) -> Step<()> {
        let sent = self.announcer.announce(ip, interface, announce);
        sent.map_err(|reason| failed(format!("announcement of {ip}: {reason}")))
    }

    fn tools(&self) -> probe::Tools {
        probe::Tools {
            ears: self.ears.clone(),
            announcer: Arc::clone(&self.announcer),
            netlink: Arc::clone(&self.netlink),
        }
    }

    fn is_owned(&self, entry: &Entry) -> bool {
        entry.protocol == Some(ADDRESS_PROTOCOL) || self.owned().contains(&key(entry))
    }

    fn owned(&self) -> MutexGuard<'_, BTreeSet<(IpAddr, u8, u32)>> {
        self.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn outcome(result: Step<()>) -> Outcome {
    result.err().unwrap_or(Outcome::Ok)
}

fn key(entry: &Entry) -> (IpAddr, u8, u32) {
    (entry.ip, entry.prefix_len, entry.index)
}

fn failed(reason: String) -> Outcome {
    Outcome::Failed { code: None, reason }
}

fn unanswered(failure: Failure) -> Outcome {
    let reason = match failure {
        Failure::Refused(error) => format!("the kernel refused a request: {error}"),
        Failure::NoAnswer(reason) => format!("the kernel's routing socket does not work: {reason}"),
    };
    Outcome::CouldNotRun { reason }
}

fn refused_to_add(spec: &AddressSpec, interface: &Interface, error: &io::Error) -> Outcome {
    let (ip, name) = (spec.ip, &interface.name);
    let permission = matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES));
    if permission && ip.is_ipv6() && is_ipv6_disabled(name) {
        return failed(ipv6_disabled(name));
    }
    if permission {
        let reason = format!("adding {ip} needs root or CAP_NET_ADMIN: {error}");
        return Outcome::CouldNotRun { reason };
    }
    failed(format!("the kernel refuses to add {ip} to {name}: {error}"))
}

fn is_ipv6_disabled(interface: &str) -> bool {
    let setting = format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6");
    std::fs::read_to_string(setting).is_ok_and(|value| value.trim() == "1")
}

fn ipv6_disabled(interface: &str) -> String {
    format!("IPv6 is disabled on {interface} (disable_ipv6 is 1)")
}

fn removal_hint(entry: &Entry, interface: &str) -> String {
    let Entry { ip, prefix_len, .. } = entry;
    format!("if it should not be there, `ip address delete {ip}/{prefix_len} dev {interface}`")
}

/// Refuses interfaces on which an address serves nobody.
fn fit(interface: Interface) -> Step<Interface> {
    let name = &interface.name;
    if interface.loopback {
        return Err(failed(format!("{name} is the loopback: name the interface of the network")));
    }
    if !interface.up {
        return Err(failed(format!("{name} is down")));
    }
    if !interface.carrier {
        return Err(failed(no_carrier(name)));
    }
    Ok(interface)
}

fn usable(entry: &Entry, interface: &Interface) -> Step<()> {
    let (ip, name) = (entry.ip, &interface.name);
    if entry.duplicate {
        return Err(failed(format!("another host uses {ip} (duplicate address on {name})")));
    }
    if !interface.up {
        return Err(failed(format!("{name}, which has {ip}, is down")));
    }
    if !interface.carrier {
        return Err(failed(no_carrier(name)));
    }
    if entry.tentative {
        let reason = format!("whether another host has {ip} is still being found out on {name}");
        return Err(failed(reason));
    }
    Ok(())
}

fn no_carrier(interface: &str) -> String {
    format!("{interface} has no carrier (cable, switch port, or what it is built on)")
}

/// Makes the kernel promote a secondary address when its primary goes. It stays set: it is what
/// systemd sets everywhere, and other removals need it, too.
fn keep_siblings(interface: &str) -> io::Result<()> {
    let setting = |of: &str| format!("/proc/sys/net/ipv4/conf/{of}/promote_secondaries");
    let is_set =
        |of: &str| -> io::Result<bool> { Ok(std::fs::read_to_string(setting(of))?.trim() != "0") };
    if is_set("all")? || is_set(interface)? {
        return Ok(());
    }
    tracing::info!(interface, "promote_secondaries set, to keep the other addresses of the subnet");
    std::fs::write(setting(interface), "1")
}

/// Where marks are not known, nothing tells what an earlier run of this program has added.
fn kernel_knows_tags() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease");
    release.is_ok_and(|release| plan::release_knows_protocols(&release))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only reads: it may run on the machine's own network.
    #[test]
    fn a_connection_that_died_is_made_anew() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let addresses = Addresses::open().unwrap();
            let ip = IpAddr::from([127, 0, 0, 1]);
            let before = addresses.netlink.addresses(ip).await.unwrap();
            addresses.netlink.break_connection();
            assert_eq!(addresses.netlink.addresses(ip).await.unwrap(), before);
        });
    }
}
