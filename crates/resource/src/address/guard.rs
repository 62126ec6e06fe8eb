//! What follows when something happens to an address that is held here: whom to tell, when to
//! announce, how to answer another host that claims it. Pure: time comes in as an argument (since
//! any fixed moment), and what is to be done goes out as [`Duty`]. Nothing here gives an address up.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::claims::{Claim, Kind, show};
use super::frames::Ethernet;
use super::plan::{Entry, Interface};

/// Shortest time between two defences of one address (RFC 5227, §1.1, DEFEND_INTERVAL), and the
/// silence after which a conflict counts as over.
pub(super) const DEFEND_INTERVAL: Duration = Duration::from_secs(10);
/// Shortest refresh, whatever is configured: an announcement is a broadcast to everybody.
const REFRESH_MIN: Duration = Duration::from_secs(1);

/// Something has happened to an address that is held: it is to be checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The address.
    pub ip: IpAddr,
    /// In words: `10.0.0.50 was removed from eth0`.
    pub reason: String,
}

/// What became of an address since it is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The address.
    pub ip: IpAddr,
    /// Its interface; empty when that has gone.
    pub interface: String,
    /// The host that claims it, too, at this moment (its Ethernet address).
    pub conflict: Option<String>,
    /// Times that a host began to claim it.
    pub conflicts: u64,
    /// Times that it was taken away from this machine.
    pub removals: u64,
    /// Announcements in defence, by refresh and after its link had come back.
    pub announced: u64,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Duty {
    /// The address is to be checked.
    Tell(Notice),
    /// Announce it one single time.
    AnnounceOnce(IpAddr),
    /// Announce it as after a move, repeats included.
    Announce(IpAddr),
}

/// Where an address is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) index: u32,
    pub(super) prefix_len: u8,
}

#[derive(Clone, Debug)]
struct Held {
    place: Place,
    announced: Duration,
    conflict: Option<Conflict>,
    conflicts: u64,
    removals: u64,
    announcements: u64,
}

/// Another host claims the address.
#[derive(Clone, Copy, Debug)]
struct Conflict {
    with: Ethernet,
    heard: Duration,
    /// When this node last spoke against it.
    defended: Duration,
}

/// All addresses that are held, and all interfaces. Bounded by the address resources and by the
/// interfaces of the machine.
#[derive(Debug, Default)]
pub(super) struct Guard {
    held: BTreeMap<IpAddr, Held>,
    links: BTreeMap<u32, Interface>,
    refresh: Option<Duration>,
}

impl Guard {
    /// Time between two announcements of a held address; `None`: none.
    pub(super) fn set_refresh(&mut self, every: Option<Duration>) {
        self.refresh = every.map(|every| every.max(REFRESH_MIN));
    }

    /// The address was added or found, and announced. Counters of one held already go on.
    pub(super) fn hold(&mut self, ip: IpAddr, place: Place, now: Duration) {
        let fresh = Held {
            place,
            announced: now,
            conflict: None,
            conflicts: 0,
            removals: 0,
            announcements: 0,
        };
        let held = self.held.entry(ip).or_insert(fresh);
        held.place = place;
        held.announced = now;
    }

    /// The address is about to be removed by this program.
    pub(super) fn let_go(&mut self, ip: IpAddr) {
        self.held.remove(&ip);
    }

    /// Whether it is held.
    pub(super) fn holds(&self, ip: IpAddr) -> bool {
        self.held.contains_key(&ip)
    }

    /// What became of each held address.
    pub(super) fn health(&self) -> Vec<Health> {
        let health = |(ip, held): (&IpAddr, &Held)| Health {
            ip: *ip,
            interface: self
                .links
                .get(&held.place.index)
                .map(|l| l.name.clone())
                .unwrap_or_default(),
            conflict: held.conflict.map(|conflict| show(conflict.with)),
            conflicts: held.conflicts,
            removals: held.removals,
            announced: held.announcements,
        };
        self.held.iter().map(health).collect()
    }

    /// The kernel says that an address is there.
    pub(super) fn address(&mut self, entry: &Entry) -> Vec<Duty> {
        if !entry.duplicate || !self.is_held_at(entry) {
            return Vec::new();
        }
        let name = self.name(entry.index);
        let reason = format!("another host uses {} (duplicate address on {name})", entry.ip);
        vec![tell(entry.ip, reason)]
    }

    /// The kernel says that an address has gone.
    pub(super) fn no_address(&mut self, entry: &Entry) -> Vec<Duty> {
        if !self.is_held_at(entry) {
            return Vec::new();
        }
        if let Some(held) = self.held.get_mut(&entry.ip) {
            held.removals += 1;
        }
        let name = self.name(entry.index);
        vec![tell(entry.ip, format!("{} was removed from {name}", entry.ip))]
    }

    /// The kernel says how an interface is.
    pub(super) fn interface(&mut self, after: Interface) -> Vec<Duty> {
        let index = after.index;
        let before = self.links.insert(index, after.clone());
        let Some(before) = before else { return Vec::new() };
        let name = &after.name;
        let reason = if before.name != *name {
            Some(format!("{} was renamed to {name}", before.name))
        } else if before.up && !after.up {
            Some(format!("{name} is down"))
        } else if before.carrier && !after.carrier {
            Some(format!("{name} has no carrier"))
        } else {
            None
        };
        let works = |link: &Interface| link.up && link.carrier;
        let is_back = works(&after) && !works(&before);
        let has_moved = works(&after) && after.ethernet != before.ethernet;
        let mut duties = Vec::new();
        for ip in self.on(index) {
            if let Some(reason) = &reason {
                duties.push(tell(ip, reason.clone()));
            }
            if is_back {
                duties.push(tell(ip, format!("{name} works again")));
            }
            if is_back || has_moved {
                duties.push(Duty::Announce(ip));
            }
        }
        duties
    }

    /// The kernel says that an interface has gone.
    pub(super) fn no_interface(&mut self, index: u32) -> Vec<Duty> {
        let name = self.name(index);
        self.links.remove(&index);
        self.on(index).into_iter().map(|ip| tell(ip, format!("{name} was deleted"))).collect()
    }

    /// All interfaces, as they are at this moment.
    pub(super) fn interfaces(&mut self, all: Vec<Interface>) -> Vec<Duty> {
        let there: Vec<u32> = all.iter().map(|interface| interface.index).collect();
        let gone = self.links.keys().filter(|index| !there.contains(index)).copied();
        let gone: Vec<u32> = gone.collect();
        let mut duties: Vec<Duty> =
            gone.into_iter().flat_map(|index| self.no_interface(index)).collect();
        duties.extend(all.into_iter().flat_map(|interface| self.interface(interface)));
        duties
    }

    /// Some of the kernel's messages were lost: everything is looked at and announced again.
    pub(super) fn lost(&mut self) -> Vec<Duty> {
        let reason = "messages of the kernel were lost";
        let both = |ip: &IpAddr| [tell(*ip, reason.into()), Duty::AnnounceOnce(*ip)];
        self.held.keys().flat_map(both).collect()
    }

    /// Another host speaks of an address. What claims it against this node is answered with one
    /// announcement per [`DEFEND_INTERVAL`] and never with giving it up (RFC 5227, §2.4 (c)); two
    /// nodes that both do so do not flood the network.
    pub(super) fn claim(&mut self, claim: &Claim, now: Duration) -> Vec<Duty> {
        let own = self.links.values().any(|link| link.ethernet == Some(claim.ethernet));
        // A host that only asks gets its answer from the kernel.
        if own || claim.kind == Kind::Wants {
            return Vec::new();
        }
        let Some(held) = self.held.get_mut(&claim.ip) else { return Vec::new() };
        if held.place.index != claim.index {
            return Vec::new();
        }
        let is_defended =
            held.conflict.is_some_and(|known| now.saturating_sub(known.defended) < DEFEND_INTERVAL);
        held.conflicts += u64::from(held.conflict.is_none());
        let defended = match held.conflict {
            Some(known) if is_defended => known.defended,
            Some(_) | None => now,
        };
        held.conflict = Some(Conflict { with: claim.ethernet, heard: now, defended });
        if is_defended {
            return Vec::new();
        }
        held.announced = now;
        held.announcements += 1;
        let reason = format!("{} also claims {}", show(claim.ethernet), claim.ip);
        vec![Duty::AnnounceOnce(claim.ip), tell(claim.ip, reason)]
    }

    /// What is due at `now`: conflicts that are over, refreshes.
    pub(super) fn due(&mut self, now: Duration) -> Vec<Duty> {
        let mut duties = Vec::new();
        for (ip, held) in &mut self.held {
            let conflict = held.conflict.filter(|known| now >= known.heard + DEFEND_INTERVAL);
            if let Some(over) = conflict {
                held.conflict = None;
                held.announced = now;
                held.announcements += 1;
                duties.push(tell(*ip, format!("{} no longer claims {ip}", show(over.with))));
                duties.push(Duty::Announce(*ip));
            } else if self.refresh.is_some_and(|every| now >= held.announced + every) {
                held.announced = now;
                held.announcements += 1;
                duties.push(Duty::AnnounceOnce(*ip));
            }
        }
        duties
    }

    /// When something is due next.
    pub(super) fn next(&self) -> Option<Duration> {
        let over = |held: &Held| held.conflict.map(|known| known.heard + DEFEND_INTERVAL);
        let refresh = |held: &Held| self.refresh.map(|every| held.announced + every);
        self.held.values().flat_map(|held| [over(held), refresh(held)]).flatten().min()
    }

    fn is_held_at(&self, entry: &Entry) -> bool {
        let place = Place { index: entry.index, prefix_len: entry.prefix_len };
        self.held.get(&entry.ip).is_some_and(|held| held.place == place)
    }

    fn on(&self, index: u32) -> Vec<IpAddr> {
        let here = self.held.iter().filter(|(_, held)| held.place.index == index);
        here.map(|(ip, _)| *ip).collect()
    }

    fn name(&self, index: u32) -> String {
        let known = self.links.get(&index).map(|link| link.name.clone());
        known.unwrap_or_else(|| format!("interface {index}"))
    }
}

fn tell(ip: IpAddr, reason: String) -> Duty {
    Duty::Tell(Notice { ip, reason })
}

#[cfg(test)]
mod tests;
