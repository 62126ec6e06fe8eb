//! Which groups may go home at this time of day. It compares what the local clock shows with the time
//! windows of hb.toml; the clock is read elsewhere, and who goes home is the manager's decision.

use std::collections::{BTreeMap, BTreeSet};

use hb_config::settings::{DayWindow, Settings};
use hb_resource::operation::GroupKey;
use hb_resource::policy::Policy;
use serde::{Deserialize, Serialize};

/// The windows, and which of them are shut.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Daytime {
    windows: BTreeMap<GroupKey, DayWindow>,
    /// `None` before the clock was read.
    shut: Option<BTreeSet<GroupKey>>,
}

impl Daytime {
    /// Those of `settings`.
    pub(crate) fn new(settings: &Settings) -> Self {
        let policy = Policy::of(settings);
        let window = |key: &GroupKey| Some((key.clone(), policy.failback_window(key)?));
        let windows = settings.groups.iter().filter_map(|group| window(&group.key)).collect();
        Self { windows, shut: None }
    }

    /// The local clock shows this minute of the day; the groups that may not go home, when that has
    /// changed.
    pub(crate) fn is(&mut self, minute: u16) -> Option<BTreeSet<GroupKey>> {
        let shut = self.windows.iter().filter(|(_, window)| !window.contains(minute));
        let shut: BTreeSet<GroupKey> = shut.map(|(key, _)| key.clone()).collect();
        if self.shut.as_ref() == Some(&shut) {
            return None;
        }
        self.shut = Some(shut.clone());
        Some(shut)
    }
}

#[cfg(test)]
mod tests {
    use hb_sim::setup::{group, pair, timing};

    use super::*;

    /// Minutes as the clock shows them one after the other, and the keys of the groups that are shut
    /// from then on.
    fn check(minutes: &[(u16, Option<&[&str]>)]) {
        let groups = [group("node1", &["www"]), group("node1", &["db"]), group("node1", &["ftp"])];
        let [mut settings, _] = pair(timing(100), &groups);
        settings.native.failback.window = Some(DayWindow { from: 120, to: 180 });
        let own = settings.native.groups.entry(settings.groups[1].key.clone()).or_default();
        own.failback_window = Some(DayWindow { from: 1_320, to: 60 });
        let mut daytime = Daytime::new(&settings);
        for (minute, expect) in minutes {
            let found = daytime.is(*minute);
            let expect = expect.map(|keys| keys.iter().map(|key| (*key).to_owned()).collect());
            assert_eq!(found, expect, "{minute}");
        }
    }

    #[test]
    fn windows_open_and_shut() {
        let day: Option<&[&str]> = Some(&["db", "ftp", "www"]);
        check(&[(700, day), (701, None), (120, Some(&["db"])), (179, None), (180, day)]);
        // Over midnight.
        check(&[(1_320, Some(&["ftp", "www"])), (1_439, None), (0, None), (60, day)]);
    }

    #[test]
    fn the_clock_may_jump() {
        let day: Option<&[&str]> = Some(&["db", "ftp", "www"]);
        // Spring: from 2 o'clock to 3; the window is not there that night.
        check(&[(119, day), (180, None), (181, None)]);
        // Autumn: from 3 o'clock back to 2; it is there twice.
        check(&[(179, Some(&["db"])), (120, None), (179, None), (180, day)]);
        check(&[(130, Some(&["db"])), (185, day), (130, Some(&["db"]))]);
    }
}
