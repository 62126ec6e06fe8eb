//! Floating addresses on a thread of their own. The kernel works on a netlink request inside of the
//! sender's call and may keep it waiting for a lock of the whole machine, as when network namespaces
//! come and go; heartbeats must not wait for that (starts a thread). What is done is in
//! `hb_resource::address`.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, mpsc as threads};
use std::thread::Builder;
use std::time::Duration;

use hb_config::settings::{AddressSpec, Announce, BuiltIn, Settings};
use hb_node::input::Input;
use hb_resource::address::{Addresses, Health, Notice};
use hb_resource::input::Evidence;
use hb_resource::operation::{Action, GroupKey, Operation, Outcome};
use tokio::runtime::Builder as RuntimeBuilder;
use tokio::sync::{mpsc, oneshot};
use tokio::time::interval;

use crate::hint::{Hint, HintSender};
use crate::sys;

/// Orders that may wait for the thread: more than any haresources has groups.
const JOBS_MAX: usize = 1024;
/// Small, because locked memory counts.
const STACK_BYTES: usize = 512 * 1024;

/// Between two looks at the interfaces: a bond may take another card's address.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What the thread is asked for.
#[derive(Debug)]
enum Order {
    Perform(Box<Job>),
    /// The Ethernet addresses of the peer's machine.
    PeerIs(Vec<String>),
}

/// One operation and where its outcome goes.
#[derive(Debug)]
struct Job {
    built_in: BuiltIn,
    operation: Operation,
    outcome: oneshot::Sender<Outcome>,
}

/// What the thread knows of the configuration.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    announce: Announce,
    probe: Duration,
    refresh: Duration,
    /// The addresses of each group.
    groups: BTreeMap<GroupKey, Vec<AddressSpec>>,
    /// The group and the resource of each address.
    owners: BTreeMap<IpAddr, (GroupKey, String)>,
}

impl Plan {
    /// From what is configured.
    pub(crate) fn of(settings: &Settings) -> Self {
        let (mut groups, mut owners) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::new());
        for group in &settings.groups {
            for resource in &group.resources {
                if let Some(BuiltIn::Address(spec)) = &resource.built_in {
                    groups.entry(group.key.clone()).or_default().push(spec.clone());
                    owners.insert(spec.ip, (group.key.clone(), resource.text.clone()));
                }
            }
        }
        let guard = settings.native.address;
        Self {
            announce: settings.native.announce,
            probe: Duration::from_millis(guard.probe_ms),
            refresh: Duration::from_millis(guard.refresh_ms),
            groups,
            owners,
        }
    }

    fn hint(&self, notice: Notice) -> Option<Hint> {
        let (group, resource) = self.owners.get(&notice.ip)?.clone();
        let evidence = Evidence::Network;
        Some(Hint { group, resource, evidence, reason: notice.reason })
    }
}

/// The way to the thread. Cloned freely; the thread ends with the last clone.
#[derive(Clone, Debug)]
pub(crate) struct AddressThread {
    orders: mpsc::Sender<Order>,
}

impl AddressThread {
    /// Starts the thread, with real-time priority when the core has it, for a takeover is as urgent
    /// as a heartbeat. What happens to a held address goes to `hints`.
    ///
    /// # Errors
    /// When there is no thread, no event loop or no netlink socket to be had.
    pub(crate) fn start(priority: Option<u8>, plan: Plan, hints: HintSender) -> io::Result<Self> {
        let (orders, queue) = mpsc::channel(JOBS_MAX);
        let (ready, is_ready) = threads::channel();
        Builder::new().name("addresses".into()).stack_size(STACK_BYTES).spawn(move || {
            if let Some(priority) = priority {
                // The core has logged a refusal already.
                let _ = sys::set_round_robin(priority);
            }
            let runtime = RuntimeBuilder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => runtime.block_on(serve(queue, &ready, plan, &hints)),
                Err(error) => {
                    let _ = ready.send(Err(error));
                }
            }
        })?;
        is_ready.recv().map_err(io::Error::other)??;
        Ok(Self { orders })
    }

    /// Performs the operation on what `built_in` says; as long as it takes.
    pub(crate) async fn perform(&self, built_in: BuiltIn, operation: Operation) -> Outcome {
        let (outcome, result) = oneshot::channel();
        let gone = || Outcome::CouldNotRun { reason: "the address thread has ended".into() };
        let job = Job { built_in, operation, outcome };
        match self.orders.send(Order::Perform(Box::new(job))).await {
            Ok(()) => result.await.unwrap_or_else(|_| gone()),
            Err(_) => gone(),
        }
    }

    /// Tells which Ethernet addresses are those of the peer's machine. Never waits.
    pub(crate) fn peer_is(&self, ethernet: Vec<String>) {
        if self.orders.try_send(Order::PeerIs(ethernet)).is_err() {
            tracing::warn!(
                "the address thread has no time: the peer's machine may seem a stranger"
            );
        }
    }
}

async fn serve(
    mut queue: mpsc::Receiver<Order>,
    ready: &threads::Sender<io::Result<()>>,
    plan: Plan,
    hints: &HintSender,
) {
    let addresses = match Addresses::open() {
        Ok(addresses) => Arc::new(addresses),
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    let _ = ready.send(Ok(()));
    let plan = Arc::new(plan);
    let mut watch = addresses.watch(plan.refresh).await;
    let specs: Vec<AddressSpec> = plan.groups.values().flatten().cloned().collect();
    let mut look = interval(LOOK_EVERY);
    let mut own = Vec::new();
    let mut news = News::default();
    loop {
        tokio::select! {
            order = queue.recv() => match order {
                Some(Order::Perform(job)) => start(*job, &addresses, &plan),
                Some(Order::PeerIs(ethernet)) => addresses.peer_is(&ethernet),
                None => return,
            },
            _ = look.tick() => {
                let found = addresses.ethernet(&specs).await;
                if found != own {
                    own.clone_from(&found);
                    hints.send(Input::Ethernet(found));
                }
                news.tell(&addresses.health(), &plan, hints);
            }
            notice = watch.recv() => {
                if let Some(hint) = plan.hint(notice) {
                    hints.send(hint);
                }
                news.tell(&addresses.health(), &plan, hints);
            }
        }
    }
}

/// What the guard has counted of each held address so far, and who else claims it, to tell only what is
/// new. Bounded by the addresses.
#[derive(Debug, Default)]
struct News {
    totals: BTreeMap<IpAddr, (u64, u64)>,
    rivals: BTreeMap<IpAddr, String>,
}

impl News {
    /// Tells what is new, if anything is.
    fn tell(&mut self, health: &[Health], plan: &Plan, hints: &HintSender) {
        let (announced, conflicts) = self.fresh(health);
        if announced + conflicts > 0 {
            hints.send(Input::Guarded { announced, conflicts });
        }
        for (ip, ethernet) in self.changed_rivals(health) {
            if let Some((group, resource)) = plan.owners.get(&ip).cloned() {
                hints.send(Input::Rival { group, resource, ethernet });
            }
        }
    }

    /// Announcements and conflicts since the last call. The guard begins with 0 when an address is
    /// held again.
    fn fresh(&mut self, health: &[Health]) -> (u64, u64) {
        let known = std::mem::take(&mut self.totals);
        let (mut announced, mut conflicts) = (0, 0);
        for now in health {
            let before = known.get(&now.ip).copied().unwrap_or_default();
            announced += now.announced.checked_sub(before.0).unwrap_or(now.announced);
            conflicts += now.conflicts.checked_sub(before.1).unwrap_or(now.conflicts);
            self.totals.insert(now.ip, (now.announced, now.conflicts));
        }
        (announced, conflicts)
    }

    /// Addresses that another host has begun to claim since the last call, and those that nobody
    /// claims any more or that are not held any more.
    fn changed_rivals(&mut self, health: &[Health]) -> Vec<(IpAddr, Option<String>)> {
        let claimed = |now: &Health| Some((now.ip, now.conflict.clone()?));
        let rivals: BTreeMap<IpAddr, String> = health.iter().filter_map(claimed).collect();
        let before = std::mem::replace(&mut self.rivals, rivals);
        let begun = self.rivals.iter().filter(|(ip, by)| before.get(ip) != Some(*by));
        let begun = begun.map(|(ip, by)| (*ip, Some(by.clone())));
        let ended = before.keys().filter(|ip| !self.rivals.contains_key(ip)).map(|ip| (*ip, None));
        begun.chain(ended).collect()
    }
}

fn start(job: Job, addresses: &Arc<Addresses>, plan: &Arc<Plan>) {
    let (addresses, plan) = (Arc::clone(addresses), Arc::clone(plan));
    tokio::spawn(async move {
        let outcome = perform(&addresses, &plan, &job.built_in, &job.operation).await;
        // Nobody waits any more when the operation took too long.
        let _ = job.outcome.send(outcome);
    });
}

async fn perform(
    addresses: &Arc<Addresses>,
    plan: &Plan,
    built_in: &BuiltIn,
    operation: &Operation,
) -> Outcome {
    let announce = plan.announce;
    match (built_in, operation.action) {
        (BuiltIn::Address(spec), Action::Status) => addresses.status(spec).await,
        (BuiltIn::Address(spec), Action::Start) if operation.probe => {
            ask_for_all(addresses, plan, &operation.group);
            addresses.start_probed(spec, announce, plan.probe).await
        }
        // An adopted address is announced first thing: to start it again changes nothing, and makes
        // it ours to remove even if a Heartbeat before us had added it.
        (BuiltIn::Address(spec), Action::Start | Action::Announce) => {
            addresses.start(spec, announce).await
        }
        (BuiltIn::Address(spec), Action::Stop) => addresses.stop(spec).await,
        (BuiltIn::Address(spec), Action::Validate) => {
            addresses.validate(spec, operation.probe, plan.probe).await
        }
        (BuiltIn::SendArp { ip, interface }, Action::Start | Action::Announce) => {
            addresses.send_arp(*ip, interface, announce).await
        }
        // An announcement does not last: it never runs, and there is nothing to undo.
        (BuiltIn::SendArp { .. }, Action::Status) => Outcome::NotRunning,
        (BuiltIn::SendArp { .. }, Action::Stop) => Outcome::Ok,
        (BuiltIn::SendArp { interface, .. }, Action::Validate) => {
            addresses.validate_send_arp(interface).await
        }
    }
}

/// The first address of a group has the others asked for at the same time: they follow it.
fn ask_for_all(addresses: &Arc<Addresses>, plan: &Plan, group: &GroupKey) {
    let specs = plan.groups.get(group).cloned().unwrap_or_default();
    if specs.len() > 1 {
        let (addresses, limit) = (Arc::clone(addresses), plan.probe);
        tokio::spawn(async move { addresses.probe_ahead(&specs, limit).await });
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "writes files to be read")]
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use hb_config::settings::NodeName;

    use super::*;

    fn plan(haresources: &str, native: &str) -> Plan {
        let dir = tempfile::tempdir().unwrap();
        let ha_cf = "node a b\nbcast eth0\nkeepalive 1\ndeadtime 10\nauto_failback off\n";
        for (name, text) in [
            ("ha.cf", ha_cf),
            ("haresources", haresources),
            ("authkeys", "auth 1\n1 sha1 a-key-of-some-length\n"),
            ("hb.toml", native),
        ] {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        }
        let loaded = crate::configuration::load(dir.path(), &NodeName::new("a")).unwrap();
        Plan::of(&loaded.settings)
    }

    #[test]
    fn a_notice_finds_its_group_and_resource() {
        let plan = plan("a 10.0.0.50 IPaddr::10.0.0.51/24/eth0\nb IPaddr2::10.0.0.60\n", "");
        let check = |ip: [u8; 4], expect: Option<(&str, &str)>| {
            let hint = plan.hint(Notice { ip: ip.into(), reason: "eth0 is down".into() });
            let expect = expect.map(|(group, resource)| Hint {
                group: group.into(),
                resource: resource.into(),
                evidence: Evidence::Network,
                reason: "eth0 is down".into(),
            });
            assert_eq!(hint, expect);
        };
        check([10, 0, 0, 50], Some(("10.0.0.50", "10.0.0.50")));
        check([10, 0, 0, 51], Some(("10.0.0.50", "IPaddr::10.0.0.51/24/eth0")));
        check([10, 0, 0, 60], Some(("IPaddr2::10.0.0.60", "IPaddr2::10.0.0.60")));
        check([10, 0, 0, 70], None);
        let ips: Vec<_> = plan.groups["10.0.0.50"].iter().map(|spec| spec.ip).collect();
        assert_eq!(ips, [IpAddr::from([10, 0, 0, 50]), IpAddr::from([10, 0, 0, 51])]);
    }

    fn health(announced: u64, conflicts: u64, conflict: Option<&str>) -> Health {
        Health {
            ip: [10, 0, 0, 50].into(),
            interface: "eth0".into(),
            conflict: conflict.map(str::to_owned),
            conflicts,
            removals: 0,
            announced,
        }
    }

    #[test]
    fn only_what_is_new_is_told() {
        let mut news = News::default();
        let mut fresh = |announced, conflicts| news.fresh(&[health(announced, conflicts, None)]);
        assert_eq!(fresh(0, 0), (0, 0));
        assert_eq!(fresh(3, 1), (3, 1));
        assert_eq!(fresh(4, 1), (1, 0));
        // Stopped and started again between two looks.
        assert_eq!(fresh(1, 0), (1, 0));
        assert_eq!(news.fresh(&[]), (0, 0));
    }

    #[test]
    fn who_claims_an_address_is_told_once_and_its_end_too() {
        let mut news = News::default();
        let ip = IpAddr::from([10, 0, 0, 50]);
        let mut told = |health: &[Health]| news.changed_rivals(health);
        let (one, two) = ("02:00:00:00:00:01", "02:00:00:00:00:02");
        assert_eq!(told(&[health(0, 0, None)]), []);
        assert_eq!(told(&[health(0, 1, Some(one))]), [(ip, Some(one.to_owned()))]);
        assert_eq!(told(&[health(0, 1, Some(one))]), []);
        assert_eq!(told(&[health(0, 1, Some(two))]), [(ip, Some(two.to_owned()))]);
        assert_eq!(told(&[health(0, 1, None)]), [(ip, None)]);
        assert_eq!(told(&[health(0, 2, Some(one))]), [(ip, Some(one.to_owned()))]);
        assert_eq!(told(&[]), [(ip, None)], "given up here");
    }

    #[test]
    fn the_times_are_those_of_hb_toml() {
        let check = |native: &str, probe: u64, refresh: u64| {
            let plan = plan("a 10.0.0.50\n", native);
            let times = (plan.probe, plan.refresh);
            assert_eq!(times, (Duration::from_millis(probe), Duration::from_millis(refresh)));
        };
        check("", 50, 60_000);
        check("[address]\nprobe = \"0ms\"\nrefresh = \"0ms\"\n", 0, 0);
    }
}
