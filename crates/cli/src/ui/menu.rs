//! What a key of `hb ui` lets a person choose from, made of what is known of the cluster. Values in,
//! values out.

use hb_node::api::StatusSnapshot;

use super::act::{self, Action};
use crate::plan::What;

/// What is done with the chosen line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Its plan is shown, and it is asked for.
    Act(Action),
    /// Only the plan is shown.
    Plan(What),
    /// The chain of reasons is shown; `None`: of the verdict.
    Why(Option<String>),
}

/// Lines to choose from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Menu {
    pub(super) title: &'static str,
    /// What is shown and what it stands for; never empty.
    pub(super) items: Vec<(String, Choice)>,
    /// The line that is marked.
    pub(super) at: usize,
}

impl Menu {
    fn new(title: &'static str, items: Vec<(String, Choice)>) -> Self {
        Self { title, items, at: 0 }
    }

    /// Marks another line, `down` or up, as far as there are any.
    pub(super) fn step(&mut self, down: bool) {
        let last = self.items.len().saturating_sub(1);
        self.at = if down { (self.at + 1).min(last) } else { self.at.saturating_sub(1) };
    }

    /// The marked one.
    pub(super) fn chosen(&self) -> Option<&Choice> {
        self.items.get(self.at).map(|(_, choice)| choice)
    }
}

/// Which groups, for what `make` makes of a key.
pub(super) fn groups(
    title: &'static str,
    status: &StatusSnapshot,
    make: impl Fn(Option<String>) -> Action,
) -> Menu {
    let all = ("all groups".to_owned(), Choice::Act(make(None)));
    let each = status.groups.iter().map(|group| {
        let place = group
            .active_on
            .as_ref()
            .map_or_else(|| "served by nobody".to_owned(), |node| format!("active on {node}"));
        (format!("{}   {place}", group.key), Choice::Act(make(Some(group.key.clone()))))
    });
    Menu::new(title, std::iter::once(all).chain(each).collect())
}

/// On, for how long, or off, whichever makes sense.
pub(super) fn maintenance(status: &StatusSnapshot) -> Menu {
    const MINUTE_MS: u64 = 60_000;
    let on = |text: &str, limit: Option<u64>| {
        (text.to_owned(), Choice::Act(Action::MaintenanceOn(limit)))
    };
    let mut items = Vec::new();
    if status.maintenance.as_ref().is_some_and(|it| it.here) {
        items.push(("off".to_owned(), Choice::Act(Action::MaintenanceOff)));
    }
    items.push(on("on for 30 minutes", Some(30 * MINUTE_MS)));
    items.push(on("on for 2 hours", Some(120 * MINUTE_MS)));
    items.push(on("on until it is ended", None));
    Menu::new("maintenance", items)
}

/// What has failed; `None` when nothing has.
pub(super) fn cleanup(status: &StatusSnapshot) -> Option<Menu> {
    let failed = act::failed(status);
    if failed.is_empty() {
        return None;
    }
    let all = ("everything that failed".to_owned(), Choice::Act(Action::Cleanup(None)));
    let each = failed
        .into_iter()
        .map(|group| (group.key.clone(), Choice::Act(Action::Cleanup(Some(group.key.clone())))));
    Some(Menu::new("clean up", std::iter::once(all).chain(each).collect()))
}

/// Everything that can be played.
pub(super) fn plan(status: &StatusSnapshot) -> Menu {
    let mut whats = vec![What::Standby(None), What::Takeover(None)];
    if status.groups.len() > 1 {
        let keys = || status.groups.iter().map(|group| Some(group.key.clone()));
        whats.extend(keys().map(What::Standby));
        whats.extend(keys().map(What::Takeover));
    }
    whats.extend(status.members.iter().cloned().map(What::Dies));
    let links = status.peer.iter().flat_map(|peer| &peer.links);
    whats.extend(links.map(|link| What::Cut(link.name.clone())));
    Menu::new("plan", whats.into_iter().map(|what| (what.words(), Choice::Plan(what))).collect())
}

/// Everything of which there are reasons.
pub(super) fn why(status: &StatusSnapshot) -> Menu {
    let mut items = vec![("the verdict".to_owned(), Choice::Why(None))];
    let mut add = |text: String, subject: &str| {
        if items.iter().all(|(_, choice)| *choice != Choice::Why(Some(subject.to_owned()))) {
            items.push((text, Choice::Why(Some(subject.to_owned()))));
        }
    };
    for group in &status.groups {
        add(format!("group {}", group.key), &group.key);
    }
    for node in &status.members {
        add(format!("node {node}"), node);
    }
    add("failback".to_owned(), "failback");
    for resource in status.groups.iter().flat_map(|group| &group.resources) {
        add(format!("resource {}", resource.text), &resource.text);
    }
    Menu::new("why", items)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use hb_node::api::MaintenanceStatus;

    fn lines(menu: &Menu) -> Vec<&str> {
        menu.items.iter().map(|(text, _)| text.as_str()).collect()
    }

    #[test]
    fn each_menu_offers_what_there_is() {
        let mut status = testing::healthy();
        status.groups[0].key = "www".into();
        status.groups[0].resources[0].text = "www".into();
        let check = |menu: Menu, expect: &[&str]| assert_eq!(lines(&menu), expect);
        check(groups("x", &status, Action::Standby), &["all groups", "www   active on node1"]);
        check(
            plan(&status),
            &[
                "standby: this node gives all its groups",
                "takeover: this node gets all groups",
                "node1 loses power",
                "node2 loses power",
                "eth0 carries nothing any more",
                "eth1 carries nothing any more",
            ],
        );
        let subjects =
            ["the verdict", "group www", "node node1", "node node2", "failback", "resource nginx"];
        check(why(&status), &subjects);
        assert_eq!(cleanup(&status), None);
        status.groups[0].resources[1].failures = 1;
        check(cleanup(&status).expect("a failure"), &["everything that failed", "www"]);
        let on = ["on for 30 minutes", "on for 2 hours", "on until it is ended"];
        check(maintenance(&status), &on);
        status.maintenance = Some(MaintenanceStatus { here: true, peer: false, ends_in_ms: None });
        check(maintenance(&status), &[&["off"], &on[..]].concat());
    }

    #[test]
    fn the_mark_stays_within_the_lines() {
        let mut menu = maintenance(&testing::healthy());
        menu.step(false);
        assert_eq!(menu.at, 0);
        (0..9).for_each(|_| menu.step(true));
        assert_eq!(menu.chosen(), Some(&Choice::Act(Action::MaintenanceOn(None))));
    }
}
