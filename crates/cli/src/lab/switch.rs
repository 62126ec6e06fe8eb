//! The networks of the lab: two bridges, one cable per node to each, the client. I/O: netlink in
//! the namespace of the calling process, and only there.

use std::net::{IpAddr, Ipv4Addr};

use futures_util::TryStreamExt;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::link::{
    BridgePortState, BridgeStpState, InfoBridgePort, InfoData, InfoKind, InfoVeth, LinkMessage,
};
use rtnetlink::{
    Handle, LinkBridge, LinkBridgePort, LinkMessageBuilder, LinkUnspec, LinkVeth, new_connection,
};

use super::error::LabError;
use super::{CLIENT, HEARTBEAT, PREFIX, PUBLIC};

/// Bridges in the order of [`INTERFACES`]: the public and the heartbeat network.
const BRIDGES: [&str; 2] = ["br0", "br1"];
/// What the node calls its end of the cable to the bridge of the same index.
const INTERFACES: [&str; 2] = [PUBLIC, HEARTBEAT];

/// The network that a node's `interface` is on.
pub(super) fn network_of(interface: &str) -> Option<usize> {
    INTERFACES.iter().position(|name| *name == interface)
}

/// The lab's end of the cable of node `number` to bridge `network`.
pub(super) fn port_name(number: usize, network: usize) -> String {
    format!("n{number}e{network}")
}

/// The networks.
#[derive(Debug)]
pub(super) struct Switch {
    handle: Handle,
    bridges: Vec<u32>,
}

impl Switch {
    /// Makes the bridges and the client. Call it on the runtime that carries every later call.
    pub(super) async fn new() -> Result<Self, LabError> {
        let (connection, handle, _) =
            new_connection().map_err(|e| LabError::system("opening netlink", e))?;
        tokio::spawn(connection);
        let mut switch = Self { handle, bridges: Vec::new() };
        switch.set_up("lo").await?;
        for (network, name) in BRIDGES.iter().enumerate() {
            // A bridge without an address of its own takes that of a port, and changes it when the
            // port goes: to the client's neighbours that looks like an outage of seconds.
            let bridge = LinkBridge::new(name)
                .address(mac(network, u8::MAX))
                .stp_state(BridgeStpState::Disabled)
                .forward_delay(0)
                .mcast_snooping(false)
                .up();
            let made = switch.handle.link().add(bridge.build()).execute().await;
            made.map_err(|e| LabError::netlink(format!("making bridge {name}"), e))?;
            let index = switch.index(name).await?;
            switch.bridges.push(index);
        }
        switch.set_client_address(true).await?;
        Ok(switch)
    }

    /// Gives the client its address or takes it away.
    pub(super) async fn set_client_address(&self, present: bool) -> Result<(), LabError> {
        let index = self.bridge(0)?;
        if present {
            return add_address(&self.handle, index, CLIENT, PREFIX).await;
        }
        let message = rtnetlink::AddressMessageBuilder::<Ipv4Addr>::new()
            .index(index)
            .address(CLIENT, PREFIX);
        let removed = self.handle.address().del(message.build()).execute().await;
        removed.map_err(|e| LabError::netlink("removing the client's address", e))
    }

    /// Puts both cables of node `number` into the network namespace of process `pid`.
    pub(super) async fn plug_in(&self, number: usize, pid: u32) -> Result<(), LabError> {
        for (network, interface) in INTERFACES.iter().enumerate() {
            let name = port_name(number, network);
            let host = u8::try_from(number).unwrap_or(u8::MAX);
            let far_end: LinkMessage = LinkMessageBuilder::<LinkUnspec>::new()
                .name(*interface)
                .address(mac(network, host))
                .setns_by_pid(pid)
                .build();
            let cable = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
                .name(name.as_str())
                .controller(self.bridge(network)?)
                .set_info_data(InfoData::Veth(InfoVeth::Peer(far_end)))
                .up();
            let made = self.handle.link().add(cable.build()).execute().await;
            made.map_err(|e| LabError::netlink(format!("making cable {name}"), e))?;
        }
        Ok(())
    }

    /// Stops all traffic of node `number`, both cables in one go. The bridge drops frames of a
    /// disabled port from the next one on; taking the link down would wait for a grace period.
    pub(super) async fn silence(&self, number: usize) -> Result<(), LabError> {
        for network in 0..BRIDGES.len() {
            let name = port_name(number, network);
            let index = self.index(&name).await?;
            self.set_port(index, &name, BridgePortState::Disabled).await?;
        }
        Ok(())
    }

    /// Removes both cables of node `number`; those that are gone with the node are no error.
    pub(super) async fn unplug(&self, number: usize) -> Result<(), LabError> {
        for network in 0..BRIDGES.len() {
            let name = port_name(number, network);
            let Ok(index) = self.index(&name).await else { continue };
            if self.handle.link().del(index).execute().await.is_err()
                && self.index(&name).await.is_ok()
            {
                return Err(LabError::Invalid(format!("cable {name} cannot be removed")));
            }
        }
        Ok(())
    }

    /// Removes the bridges.
    pub(super) async fn remove(&self) {
        for index in &self.bridges {
            let _ = self.handle.link().del(*index).execute().await;
        }
    }

    /// Pulls the cable of node `number` to `network`: nothing passes from here on, and the node loses
    /// its carrier.
    pub(super) async fn cut(&self, number: usize, network: usize) -> Result<(), LabError> {
        let name = port_name(number, network);
        let index = self.index(&name).await?;
        self.set_port(index, &name, BridgePortState::Disabled).await?;
        self.change(LinkUnspec::new_with_index(index).down().build(), &name).await
    }

    /// Takes the cable out of the bridge: nothing passes, and the node keeps its carrier. A disabled
    /// port would be enabled again by a late report that its carrier has come.
    pub(super) async fn mute(&self, number: usize, network: usize) -> Result<(), LabError> {
        let name = port_name(number, network);
        let index = self.index(&name).await?;
        self.change(LinkUnspec::new_with_index(index).nocontroller().build(), &name).await
    }

    /// Undoes [`Switch::cut`] and [`Switch::mute`]; without spanning tree a port forwards as soon as
    /// it has a carrier.
    pub(super) async fn mend(&self, number: usize, network: usize) -> Result<(), LabError> {
        let name = port_name(number, network);
        let index = self.index(&name).await?;
        let link = LinkUnspec::new_with_index(index).controller(self.bridge(network)?).up();
        self.change(link.build(), &name).await
    }

    async fn set_port(
        &self,
        index: u32,
        name: &str,
        state: BridgePortState,
    ) -> Result<(), LabError> {
        let message = LinkBridgePort::new(index).append_info_data(InfoBridgePort::State(state));
        let set = self.handle.link().set_port(message.build()).execute().await;
        set.map_err(|e| LabError::netlink(format!("setting bridge port {name}"), e))
    }

    async fn set_up(&self, name: &str) -> Result<(), LabError> {
        set_up(&self.handle, name).await
    }

    async fn change(&self, message: LinkMessage, name: &str) -> Result<(), LabError> {
        let changed = self.handle.link().change(message).execute().await;
        changed.map_err(|e| LabError::netlink(format!("changing link {name}"), e))
    }

    async fn index(&self, name: &str) -> Result<u32, LabError> {
        index(&self.handle, name).await
    }

    fn bridge(&self, network: usize) -> Result<u32, LabError> {
        let bridge = self.bridges.get(network).copied();
        bridge.ok_or_else(|| LabError::Invalid(format!("there is no network {network}")))
    }
}

/// Inside a node: the loopback and `interfaces` (name, `address/prefix`) up with their addresses.
pub(super) async fn configure_node<'a>(
    interfaces: impl Iterator<Item = (&'a String, &'a String)>,
) -> Result<(), LabError> {
    let (connection, handle, _) =
        new_connection().map_err(|e| LabError::system("opening netlink", e))?;
    let task = tokio::spawn(connection);
    set_up(&handle, "lo").await?;
    for (name, address) in interfaces {
        let (address, prefix) = parse_address(address)?;
        add_address(&handle, index(&handle, name).await?, address, prefix).await?;
        set_up(&handle, name).await?;
    }
    task.abort();
    Ok(())
}

fn parse_address(text: &str) -> Result<(Ipv4Addr, u8), LabError> {
    text.split_once('/')
        .and_then(|(address, prefix)| Some((address.parse().ok()?, prefix.parse().ok()?)))
        .ok_or_else(|| LabError::Invalid(format!("{text:?} is no address with prefix length")))
}

async fn set_up(handle: &Handle, name: &str) -> Result<(), LabError> {
    let message = LinkUnspec::new_with_index(index(handle, name).await?).up();
    let changed = handle.link().change(message.build()).execute().await;
    changed.map_err(|e| LabError::netlink(format!("bringing {name} up"), e))
}

async fn add_address(
    handle: &Handle,
    index: u32,
    address: Ipv4Addr,
    prefix: u8,
) -> Result<(), LabError> {
    // The request for IPv4 fills in the broadcast address, which `bcast` in ha.cf needs.
    let added = handle.address().add(index, IpAddr::V4(address), prefix).execute().await;
    added.map_err(|e| LabError::netlink(format!("adding {address}"), e))
}

async fn index(handle: &Handle, name: &str) -> Result<u32, LabError> {
    let fail = |e| LabError::netlink(format!("looking for {name}"), e);
    let mut links = handle.link().get().match_name(name.to_owned()).execute();
    let found = links.try_next().await.map_err(fail)?;
    found
        .filter(|link| link.header.interface_family == AddressFamily::Unspec)
        .map(|link| link.header.index)
        .ok_or_else(|| LabError::Invalid(format!("there is no interface {name}")))
}

/// Locally administered addresses (IEEE 802, second bit of the first byte) that name network and
/// node, so that captures can be read.
fn mac(network: usize, host: u8) -> Vec<u8> {
    vec![0x02, 0x77, 0, 0, u8::try_from(network).unwrap_or(u8::MAX), host]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_with_prefix() {
        let check = |text: &str, expect: Option<(Ipv4Addr, u8)>| {
            assert_eq!(parse_address(text).ok(), expect, "{text:?}");
        };
        check("192.0.2.1/24", Some((Ipv4Addr::new(192, 0, 2, 1), 24)));
        check("192.0.2.1", None);
        check("192.0.2.1/x", None);
    }
}
