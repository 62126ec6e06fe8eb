//! A packet filter as far as it decides about heartbeats: chains, rules, and what becomes of one
//! packet. Pure: `nft` and `iptables` turn the texts of the tools into it, `gather` runs the tools.
//!
//! A condition that is not understood is neither met nor missed; a drop behind one is only possible.

pub(super) mod iptables;
pub(super) mod nft;

use std::collections::BTreeSet;
use std::net::IpAddr;

/// Jumps that are followed; the kernel allows 16 (NFT_JUMP_STACK_SIZE).
const DEPTH_MAX: usize = 16;
/// Rules that are asked about one packet; beyond, nothing is sure. Chains that jump to each other in
/// every way would take for ever.
const RULES_MAX: u32 = 200_000;

/// Where a base chain looks at packets. Others (forward, postrouting …) do not see heartbeats that
/// arrive, or do not decide about those that leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hook {
    /// Before the machine knows whether a packet is for it.
    Prerouting,
    /// Packets for the machine.
    Input,
    /// Packets of the machine.
    Output,
}

/// Which packets a table sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// Both.
    Inet,
}

impl Family {
    fn sees(self, address: Option<IpAddr>) -> bool {
        match (self, address) {
            (Self::Inet, _) => true,
            // Broadcast and multicast of no known sender are IPv4 unless said otherwise.
            (Self::Ip, address) => address.is_none_or(|it| it.is_ipv4()),
            (Self::Ip6, address) => address.is_some_and(|it| it.is_ipv6()),
        }
    }

    /// The word of `nft`.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
            Self::Inet => "inet",
        }
    }
}

/// What is done with a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Accept,
    /// Also `reject`.
    Drop,
    Return,
    Jump(String),
    Goto(String),
    /// Goes on with the next rule: a counter, a log line.
    Continue,
    /// Something that is not understood (a queue, a translation).
    Unknown,
}

/// One condition of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// Interface of arrival; a `*` or `+` at the end stands for anything.
    InInterface(Vec<String>),
    /// Interface of departure.
    OutInterface(Vec<String>),
    /// By name in lower case.
    Protocol(Vec<String>),
    /// Ranges, both ends included.
    DestinationPort(Vec<(u16, u16)>),
    /// Networks.
    Source(Vec<Network>),
    Destination(Vec<Network>),
    /// Connection states in lower case. Heartbeats go out from other ports than they come in to, so
    /// that each is `new` for ever.
    State(Vec<String>),
    /// Of TCP, ICMP and the like: never met by a heartbeat.
    Never,
    /// Not understood.
    Unknown,
}

/// An address and how many of its bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network {
    pub(super) address: IpAddr,
    pub(super) bits: u8,
}

impl Network {
    /// `10.0.0.0/8` or `10.0.0.1`; with a mask as iptables may print it (`/255.0.0.0`) too.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, rest) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let address: IpAddr = address.parse().ok()?;
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let bits = match rest {
            None => whole,
            Some(rest) => match rest.parse::<u8>() {
                Ok(bits) => bits,
                Err(_) => match rest.parse::<IpAddr>().ok()? {
                    IpAddr::V4(mask) => u32::from(mask).leading_ones().try_into().ok()?,
                    IpAddr::V6(mask) => u128::from(mask).leading_ones().try_into().ok()?,
                },
            },
        };
        (bits <= whole).then_some(Self { address, bits })
    }

    /// Whether `address` lies in it.
    pub(super) fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let shift = 32 - u32::from(self.bits);
                u32::from(own).checked_shr(shift) == u32::from(other).checked_shr(shift)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let shift = 128 - u32::from(self.bits);
                u128::from(own).checked_shr(shift) == u128::from(other).checked_shr(shift)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl Network {
    /// Whether all of `other` lies in it.
    fn covers(self, other: Self) -> bool {
        self.bits <= other.bits && self.contains(other.address)
    }

    fn overlaps(self, other: Self) -> bool {
        self.covers(other) || other.covers(self)
    }
}

/// A rule: all conditions must be met. The flag before each: met when the condition is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// For people.
    pub(super) text: String,
    pub(super) conditions: Vec<(bool, Condition)>,
    pub(super) verdict: Verdict,
}

/// A chain. A base chain has a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) family: Family,
    pub(super) table: String,
    pub(super) name: String,
    pub(super) hook: Option<Hook>,
    /// Lower is earlier.
    pub(super) priority: i32,
    /// Whether what no rule decides is dropped.
    pub(super) drops: bool,
    pub(super) rules: Vec<Rule>,
    /// Which tool changes it.
    pub(super) tool: Tool,
}

/// The tool that a chain was made with, as far as its text tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    Nft,
    Iptables,
    Firewalld,
    Ufw,
}

/// One heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) hooks: &'static [Hook],
    pub(super) interface: String,
    /// The other machine; unknown for broadcast and multicast.
    pub(super) peer: Option<IpAddr>,
    pub(super) port: u16,
    /// The interface's networks: where a peer is that is not known.
    pub(super) around: Vec<Network>,
}

impl Packet {
    /// One that the peer sends.
    pub(super) fn arriving(interface: &str, peer: Option<IpAddr>, port: u16) -> Self {
        let hooks = &[Hook::Prerouting, Hook::Input];
        Self { hooks, interface: interface.to_owned(), peer, port, around: Vec::new() }
    }

    /// One that this node sends.
    pub(super) fn leaving(interface: &str, peer: Option<IpAddr>, port: u16) -> Self {
        Self { hooks: &[Hook::Output], ..Self::arriving(interface, peer, port) }
    }

    /// As it is on an interface with these networks.
    #[must_use]
    pub(super) fn among(mut self, around: Vec<Network>) -> Self {
        self.around = around;
        self
    }

    /// Whether a peer that is not known can be in one of `networks`.
    fn unknown_peer(&self, networks: &[Network]) -> Met {
        // What leaves goes to a group or to everybody.
        let group = |network: &Network| {
            let address = network.address;
            let everybody = address == IpAddr::from([255, 255, 255, 255]);
            !self.arrives() && (address.is_multicast() || everybody)
        };
        let near = |network: &&Network| {
            let mut around = self.around.iter();
            network.bits == 0 || group(network) || around.any(|own| own.overlaps(**network))
        };
        let covers = |own: &Network| networks.iter().any(|network| network.covers(*own));
        if self.around.is_empty() || !self.arrives() && networks.iter().any(|it| group(it)) {
            Met::Perhaps
        } else if self.around.iter().all(covers) {
            Met::Yes
        } else if networks.iter().any(|network| near(&network)) {
            Met::Perhaps
        } else {
            Met::No
        }
    }

    fn arrives(&self) -> bool {
        self.hooks.contains(&Hook::Input)
    }
}

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Passes,
    /// Dropped, or perhaps: where, and by what.
    Dropped {
        /// Whether every condition on the way was understood.
        surely: bool,
        chain: Chain,
        /// The rule, or the policy in words.
        by: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Met {
    Yes,
    No,
    Perhaps,
}

/// Sends `packet` through every chain that sees it, in order of priority.
pub(super) fn fate(chains: &[Chain], packet: &Packet) -> Fate {
    let mut possible = None;
    let mut base: Vec<&Chain> = chains
        .iter()
        .filter(|chain| chain.hook.is_some_and(|hook| packet.hooks.contains(&hook)))
        .filter(|chain| chain.family.sees(packet.peer))
        .collect();
    base.sort_by_key(|chain| chain.priority);
    for chain in base {
        let mut walk = Walk { chains, packet, possible: None, rules: RULES_MAX };
        let dropped = match walk.chain(chain, DEPTH_MAX) {
            Step::Accepted => None,
            Step::Dropped(by) => Some(by),
            Step::Over if chain.drops => Some(format!("policy drop of chain {}", chain.name)),
            Step::Over => None,
        };
        match (dropped, walk.possible) {
            (Some(by), None) => return Fate::Dropped { surely: true, chain: chain.clone(), by },
            // Something on the way might have let it pass, or dropped it before.
            (Some(by), Some(_)) => {
                return Fate::Dropped { surely: false, chain: chain.clone(), by };
            }
            (None, Some(Some(by))) => {
                possible.get_or_insert(Fate::Dropped { surely: false, chain: chain.clone(), by });
            }
            (None, Some(None) | None) => {}
        }
    }
    possible.unwrap_or(Fate::Passes)
}

enum Step {
    Accepted,
    Dropped(String),
    /// The end of the chain.
    Over,
}

struct Walk<'a> {
    chains: &'a [Chain],
    packet: &'a Packet,
    /// A rule that perhaps decides was passed; with its text when it would drop.
    possible: Option<Option<String>>,
    /// How many rules may still be asked.
    rules: u32,
}

impl Walk<'_> {
    fn chain(&mut self, chain: &Chain, depth: usize) -> Step {
        for rule in &chain.rules {
            let Some(rules) = self.rules.checked_sub(1) else {
                self.perhaps(None);
                return Step::Over;
            };
            self.rules = rules;
            let met = self.met(rule);
            if met == Met::No {
                continue;
            }
            let step = match &rule.verdict {
                Verdict::Continue => continue,
                Verdict::Accept => Step::Accepted,
                Verdict::Drop => Step::Dropped(rule.text.clone()),
                Verdict::Return => Step::Over,
                Verdict::Unknown => {
                    self.perhaps(None);
                    continue;
                }
                Verdict::Jump(name) | Verdict::Goto(name) => {
                    let step = self.jump(chain, name, depth);
                    let goes_on = matches!(rule.verdict, Verdict::Jump(_));
                    if goes_on && matches!(step, Step::Over) {
                        continue;
                    }
                    step
                }
            };
            match (met, step) {
                (Met::Yes, step) => return step,
                (_, Step::Dropped(by)) => self.perhaps(Some(by)),
                (_, Step::Accepted | Step::Over) => self.perhaps(None),
            }
        }
        Step::Over
    }

    fn jump(&mut self, from: &Chain, name: &str, depth: usize) -> Step {
        let same = |chain: &&Chain| {
            chain.name == name && chain.table == from.table && chain.family == from.family
        };
        match self.chains.iter().find(same) {
            Some(chain) if depth > 0 => self.chain(chain, depth - 1),
            Some(_) | None => {
                self.perhaps(None);
                Step::Over
            }
        }
    }

    fn perhaps(&mut self, by: Option<String>) {
        match &self.possible {
            Some(Some(_)) => {}
            Some(None) | None => self.possible = Some(by),
        }
    }

    fn met(&self, rule: &Rule) -> Met {
        let mut all = Met::Yes;
        for (negated, condition) in &rule.conditions {
            let met = match (self.condition(condition), negated) {
                (Met::Perhaps, _) => Met::Perhaps,
                (Met::Yes, false) | (Met::No, true) => Met::Yes,
                (Met::No, false) | (Met::Yes, true) => Met::No,
            };
            match met {
                Met::No => return Met::No,
                Met::Perhaps => all = Met::Perhaps,
                Met::Yes => {}
            }
        }
        all
    }

    fn condition(&self, condition: &Condition) -> Met {
        let Packet { interface, peer, port, .. } = self.packet;
        let arrives = self.packet.arrives();
        let within = |networks: &[Network], is_peer: bool| match (is_peer, peer) {
            (true, Some(peer)) => yes(networks.iter().any(|network| network.contains(*peer))),
            (true, None) => self.packet.unknown_peer(networks),
            // This node's own end.
            (false, _) => Met::Perhaps,
        };
        match condition {
            Condition::InInterface(names) => yes(arrives && named(names, interface)),
            Condition::OutInterface(names) => yes(!arrives && named(names, interface)),
            Condition::Protocol(names) => {
                yes(names.iter().any(|name| name == "udp" || name == "17"))
            }
            Condition::DestinationPort(ranges) => {
                yes(ranges.iter().any(|(from, to)| (from..=to).contains(&port)))
            }
            Condition::Source(networks) => within(networks, arrives),
            Condition::Destination(networks) => within(networks, !arrives),
            Condition::State(states) => {
                let states: BTreeSet<&str> = states.iter().map(String::as_str).collect();
                yes(states.contains("new") || states.contains("untracked"))
            }
            Condition::Never => Met::No,
            Condition::Unknown => Met::Perhaps,
        }
    }
}

fn yes(is: bool) -> Met {
    if is { Met::Yes } else { Met::No }
}

fn named(names: &[String], interface: &str) -> bool {
    names.iter().any(|name| match name.strip_suffix(['*', '+']) {
        Some(beginning) => interface.starts_with(beginning),
        None => name == interface,
    })
}

#[cfg(test)]
mod tests;
