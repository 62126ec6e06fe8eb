//! Floating addresses: adds, removes and announces them, without a fork. Does I/O (netlink, packet
//! sockets, two kernel settings). When an address moves is decided by the manager.
//!
//! Ownership: each address is added with the mark [`ADDRESS_PROTOCOL`] and remembered. Only an
//! address that carries the mark or is remembered is ever removed; the loopback is never touched.
#![expect(clippy::disallowed_methods, reason = "reads and sets two kernel settings")]

mod announcer;
mod frames;
mod netlink;
mod packet;
mod plan;

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hb_config::settings::{AddressSpec, Announce};

use self::announcer::Announcer;
use self::netlink::{Failure, Netlink, Which};
pub use self::plan::ADDRESS_PROTOCOL;
use self::plan::{Entry, Interface, Place};
use crate::operation::Outcome;

/// Adds, removes and announces floating addresses.
///
/// One value serves all resources of a node and may be used for several at once. Operations on the
/// same address must not overlap, as those on one group never do.
#[derive(Debug)]
pub struct Addresses {
    netlink: Netlink,
    announcer: Announcer,
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
        let netlink = Netlink::open()?;
        Ok(Self { netlink, announcer: Announcer::open(), owned: Mutex::default() })
    }

    /// Makes this machine have the address and announces it once before it returns; the other
    /// announcements follow in the background.
    ///
    /// Without an interface, it is the one whose subnet contains the address, else the one that
    /// the routing table names. Without a prefix length, it is that of the subnet, else of a host.
    /// An address that is already there counts as started and is taken charge of.
    pub async fn start(&self, spec: &AddressSpec, announce: Announce) -> Outcome {
        outcome(self.try_start(spec, announce).await)
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
    /// any but the loopback.
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

    async fn try_start(&self, spec: &AddressSpec, announce: Announce) -> Step<()> {
        plan::validate(spec).map_err(failed)?;
        let entries = self.netlink.addresses(spec.ip).await.map_err(unanswered)?;
        let interface = self.interface_for(spec, &entries).await?;
        if !interface.carrier {
            tracing::warn!(ip = %spec.ip, interface = interface.name, "interface has no carrier");
        }
        let held = plan::held(spec.ip, &entries);
        if let Some(entry) = held.iter().find(|entry| entry.index == interface.index) {
            self.take_charge(entry, &interface)?;
        } else {
            self.leave_other_interfaces(&held, &interface).await?;
            self.add(spec, &interface, &entries).await?;
        }
        // The address serves; the repeats make good for an announcement that was not sent.
        if let Err(reason) = self.announcer.announce(spec.ip, &interface, announce) {
            tracing::warn!(ip = %spec.ip, interface = interface.name, reason, "not announced");
        }
        Ok(())
    }

    async fn add(&self, spec: &AddressSpec, interface: &Interface, entries: &[Entry]) -> Step<()> {
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
        Ok(())
    }

    /// An address that is where it belongs counts as started; from here on it is ours to remove.
    fn take_charge(&self, entry: &Entry, interface: &Interface) -> Step<()> {
        usable(entry, interface)?;
        if !self.is_owned(entry) {
            tracing::warn!(
                ip = %entry.ip, prefix_len = entry.prefix_len, interface = interface.name,
                "address was already there, added by somebody else: taking charge of it"
            );
        }
        self.owned().insert(key(entry));
        Ok(())
    }

    /// The address is elsewhere on this machine: ours is moved (its interface was changed in the
    /// configuration), somebody else's is in the way.
    async fn leave_other_interfaces(&self, held: &[&Entry], wanted: &Interface) -> Step<()> {
        for entry in held {
            if !self.is_owned(entry) {
                let (ip, other) = (entry.ip, self.name_of(entry.index).await);
                return Err(failed(format!(
                    "{ip} is already on {other}, added by somebody else, and belongs on {}: {}",
                    wanted.name,
                    removal_hint(entry, &other)
                )));
            }
        }
        self.remove_all(held).await
    }

    async fn try_stop(&self, spec: &AddressSpec) -> Step<()> {
        // First: an announcement after the removal would draw traffic here that belongs elsewhere.
        self.announcer.cancel(spec.ip);
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
        let entry = held.first().ok_or(Outcome::NotRunning)?;
        let which = Which::Index(entry.index);
        let interface = self.netlink.interface(which).await.map_err(unanswered)?;
        let interface = interface.ok_or(Outcome::NotRunning)?;
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
    if permission && ip.is_ipv6() {
        let setting = format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6");
        if std::fs::read_to_string(setting).is_ok_and(|value| value.trim() == "1") {
            return failed(format!("IPv6 is disabled on {name} (disable_ipv6 is 1)"));
        }
    }
    if permission {
        let reason = format!("adding {ip} needs root or CAP_NET_ADMIN: {error}");
        return Outcome::CouldNotRun { reason };
    }
    failed(format!("the kernel refuses to add {ip} to {name}: {error}"))
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
    Ok(())
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
