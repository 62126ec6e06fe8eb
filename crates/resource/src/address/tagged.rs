//! The addresses on this machine that carry this program's mark, also those of a run that has died.
//! Does I/O. When they are to go is decided by the caller.

use std::fmt;
use std::net::IpAddr;

use hb_config::settings::AddressSpec;

use super::netlink::Failure;
use super::plan::{self, Entry, LOOPBACK_INDEX};
use super::{Addresses, Outcome, kernel_knows_tags, unanswered};

/// An address of this machine that this program has added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tagged {
    /// The address.
    pub ip: IpAddr,
    /// Its prefix length.
    pub prefix_len: u8,
    /// The interface that has it.
    pub interface: String,
}

impl fmt::Display for Tagged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} on {}", self.ip, self.prefix_len, self.interface)
    }
}

/// What [`remove_tagged`] came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// What is no longer there.
    pub removed: Vec<Tagged>,
    /// What could not be found out or removed, in words.
    pub problems: Vec<String>,
    /// The kernel keeps no marks (before 5.18): what is configured was removed whoever had added it.
    pub by_configuration: bool,
}

/// Removes the addresses that this program has added, for one whose daemon is dead and does not come
/// back. `only`: no others than these; `None`: all that carry the mark.
///
/// Kernels before 5.18 keep no marks: there, the addresses of `only` are removed from where they are
/// configured, and without `only` nothing is.
///
/// # Panics
/// Outside of a tokio runtime that has I/O and time enabled.
pub async fn remove_tagged(only: Option<&[AddressSpec]>) -> Removal {
    match Addresses::open() {
        Ok(addresses) => addresses.remove_marked(only).await,
        Err(error) => {
            Removal { problems: vec![format!("no netlink socket: {error}")], ..Removal::default() }
        }
    }
}

impl Addresses {
    /// Lists the addresses that carry the mark.
    ///
    /// # Errors
    /// Why the kernel did not tell, in words.
    pub async fn ours(&self) -> Result<Vec<Tagged>, String> {
        let marked = self.marked().await.map_err(|failure| unanswered(failure).describe())?;
        let mut ours = Vec::new();
        for entry in &marked {
            ours.push(self.tagged(entry).await);
        }
        Ok(ours)
    }

    async fn remove_marked(&self, only: Option<&[AddressSpec]>) -> Removal {
        let mut removal = Removal::default();
        if !kernel_knows_tags() {
            removal.by_configuration = true;
            for spec in only.unwrap_or_default() {
                self.remove_configured(spec, &mut removal).await;
            }
            return removal;
        }
        let marked = match self.marked().await {
            Ok(marked) => marked,
            Err(failure) => {
                removal.problems.push(unanswered(failure).describe());
                return removal;
            }
        };
        let wanted =
            |entry: &&Entry| only.is_none_or(|specs| specs.iter().any(|spec| spec.ip == entry.ip));
        for entry in marked.iter().filter(wanted) {
            let tagged = self.tagged(entry).await;
            match self.remove_all(&[entry]).await {
                Ok(()) => removal.removed.push(tagged),
                Err(outcome) => removal.problems.push(format!("{tagged}: {}", outcome.describe())),
            }
        }
        removal
    }

    /// [`Self::stop`] treats what is configured as ours where the kernel keeps no marks.
    async fn remove_configured(&self, spec: &AddressSpec, removal: &mut Removal) {
        let Ok(entries) = self.netlink.addresses(spec.ip).await else {
            removal.problems.push(format!("{}: the kernel does not answer", spec.ip));
            return;
        };
        let Some(entry) = plan::held(spec.ip, &entries).first().copied() else { return };
        let tagged = self.tagged(entry).await;
        let outcome = self.stop(spec).await;
        if outcome == Outcome::Ok {
            removal.removed.push(tagged);
        } else {
            removal.problems.push(format!("{tagged}: {}", outcome.describe()));
        }
    }

    async fn marked(&self) -> Result<Vec<Entry>, Failure> {
        let mut all = Vec::new();
        for family in [IpAddr::from([0; 4]), IpAddr::from([0_u8; 16])] {
            all.extend(self.netlink.addresses(family).await?);
        }
        let is_ours = |entry: &Entry| {
            entry.protocol == Some(plan::ADDRESS_PROTOCOL) && entry.index != LOOPBACK_INDEX
        };
        all.retain(is_ours);
        Ok(all)
    }

    async fn tagged(&self, entry: &Entry) -> Tagged {
        let interface = self.name_of(entry.index).await;
        Tagged { ip: entry.ip, prefix_len: entry.prefix_len, interface }
    }
}
