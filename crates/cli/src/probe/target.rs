//! What is asked again and again during a drill: an address, a port or a page. Words in, values out;
//! only [`Target::read`] asks a resolver, for names in URLs.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use hb_config::settings::{BuiltIn, GroupSpec, Native, Probe};
use serde::{Deserialize, Serialize};

/// Port of `http://HOST/`.
const HTTP_PORT: u16 = 80;

/// One thing whose answers are watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Target {
    /// ICMP echo: the address is reachable, whatever is behind it.
    Ping(IpAddr),
    /// A connection is accepted.
    Tcp(SocketAddr),
    /// A GET is answered with a status of the range.
    Http {
        /// Where to connect.
        address: SocketAddr,
        /// `Host` header.
        host: String,
        /// Path with query.
        path: String,
        /// Accepted status, from and to.
        status: (u16, u16),
        /// Text that the page must contain.
        contains: Option<String>,
    },
}

impl Target {
    /// Reads `http://HOST[:PORT]/PATH`, `tcp:ADDR:PORT` or `ping:ADDR`.
    ///
    /// # Errors
    /// What is wrong with it, or why a name cannot be resolved.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        if let Some(address) = text.strip_prefix("ping:") {
            let bad = |_| format!("{text}: write ping:ADDRESS with a numeric address");
            return address.parse().map(Self::Ping).map_err(bad);
        }
        if let Some(address) = text.strip_prefix("tcp:") {
            return Ok(Self::Tcp(socket(address, None, text)?));
        }
        if text.starts_with("https://") {
            return Err(format!("{text}: a TLS page is asked with tcp:ADDRESS:443"));
        }
        let Some(rest) = text.strip_prefix("http://") else {
            return Err(format!(
                "{text}: write http://HOST/PATH, tcp:ADDRESS:PORT or ping:ADDRESS"
            ));
        };
        let (host, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        Ok(Self::Http {
            address: socket(host, Some(HTTP_PORT), text)?,
            host: host.to_owned(),
            path: path.to_owned(),
            status: (200, 399),
            contains: None,
        })
    }

    /// How the service of a group is asked best: the page or port that hb.toml has its checks ask,
    /// else its address. `None`: nothing of it can be asked over the network.
    pub(crate) fn of_group(group: &GroupSpec, native: &Native) -> Option<Self> {
        let options = |text: &String| native.resources.get(text);
        let texts = group.resources.iter().map(|resource| &resource.text);
        let probes: Vec<&Probe> = texts.filter_map(options).flat_map(|it| &it.probes).collect();
        // What is asked through the loopback interface is not the service that others see.
        let mut outward = probes.into_iter().map(Self::of_probe).filter(Self::is_outward);
        let best = outward.next();
        best.or_else(|| {
            group.resources.iter().find_map(|resource| match &resource.built_in {
                Some(BuiltIn::Address(spec)) => Some(Self::Ping(spec.ip)),
                Some(BuiltIn::SendArp { .. }) | None => None,
            })
        })
    }

    fn of_probe(probe: &Probe) -> Self {
        match probe {
            Probe::Tcp { address, .. } => Self::Tcp(*address),
            Probe::Http { address, host, path, status, contains, .. } => Self::Http {
                address: *address,
                host: host.clone(),
                path: path.clone(),
                status: *status,
                contains: contains.clone(),
            },
        }
    }

    /// The address that is asked.
    pub(crate) fn ip(&self) -> IpAddr {
        match self {
            Self::Ping(ip) => *ip,
            Self::Tcp(address) | Self::Http { address, .. } => address.ip(),
        }
    }

    fn is_outward(&self) -> bool {
        !self.ip().is_loopback() && !self.ip().is_unspecified()
    }
}

fn socket(text: &str, port: Option<u16>, whole: &str) -> Result<SocketAddr, String> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    if let (Some(port), Ok(ip)) = (port, bare.parse::<IpAddr>()) {
        return Ok(SocketAddr::new(ip, port));
    }
    let resolve = |text: &str| text.to_socket_addrs().ok().and_then(|mut found| found.next());
    let with_port = || port.and_then(|port| resolve(&format!("{text}:{port}")));
    resolve(text)
        .or_else(with_port)
        .ok_or_else(|| format!("{whole}: {text} is neither an address nor a name that resolves"))
}

impl fmt::Display for Target {
    /// As it is written on the command line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ping(ip) => write!(f, "ping:{ip}"),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
            Self::Http { host, path, .. } => write!(f, "http://{host}{path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use hb_config::settings::{AddressSpec, AgentSpec, NodeName, ResourceOptions, ResourceSpec};

    use super::*;

    #[test]
    fn words() {
        let check = |text: &str, expect: &str| {
            let read = Target::read(text).map(|target| format!("{target} {}", target.ip()));
            assert_eq!(read.unwrap_or_else(|error| error), expect, "{text}");
        };
        check("ping:192.0.2.1", "ping:192.0.2.1 192.0.2.1");
        check("ping:2001:db8::1", "ping:2001:db8::1 2001:db8::1");
        check("tcp:192.0.2.1:80", "tcp:192.0.2.1:80 192.0.2.1");
        check("tcp:[2001:db8::1]:80", "tcp:[2001:db8::1]:80 2001:db8::1");
        check("http://192.0.2.1", "http://192.0.2.1/ 192.0.2.1");
        check("http://192.0.2.1:81/a?b", "http://192.0.2.1:81/a?b 192.0.2.1");
        check("http://[2001:db8::1]/", "http://[2001:db8::1]/ 2001:db8::1");
        check("https://x/", "https://x/: a TLS page is asked with tcp:ADDRESS:443");
        for text in ["", "192.0.2.1", "ping:web", "tcp:192.0.2.1", "http://"] {
            assert!(Target::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_group_is_asked_as_its_clients_would() {
        let resource = |text: &str, built_in| ResourceSpec {
            text: text.to_owned(),
            agent: AgentSpec::Script { name: text.to_owned(), args: Vec::new() },
            built_in,
        };
        let ip: IpAddr = [192, 0, 2, 100].into();
        let spec =
            AddressSpec { ip, prefix_len: None, interface: None, label: None, broadcast: None };
        let group = GroupSpec {
            key: "a".to_owned(),
            preferred: NodeName::new("n"),
            resources: vec![resource("a", Some(BuiltIn::Address(spec))), resource("web", None)],
        };
        let mut native = Native::default();
        assert_eq!(Target::of_group(&group, &native), Some(Target::Ping(ip)));
        let tcp = |address| Probe::Tcp { address, timeout_ms: 1 };
        let (inner, outer) = (([127, 0, 0, 1], 80).into(), (ip, 80).into());
        let mut probed = |probes| {
            let options = ResourceOptions { probes, ..ResourceOptions::default() };
            native.resources.insert("web".to_owned(), options);
            Target::of_group(&group, &native)
        };
        assert_eq!(probed(vec![tcp(inner)]), Some(Target::Ping(ip)));
        assert_eq!(probed(vec![tcp(inner), tcp(outer)]), Some(Target::Tcp(outer)));
        let bare = GroupSpec { resources: vec![resource("x", None)], ..group };
        assert_eq!(Target::of_group(&bare, &Native::default()), None);
    }
}
