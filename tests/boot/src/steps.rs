//! All steps in their order, and how the pair comes to where one of them begins without those before
//! it. What they do and assert is in modules of their own.

use std::time::Duration;

use crate::pair::{NODES, Pair};
use crate::{doctor, drill, life, notify, plain, replace};

/// One thing that is tested.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    /// Where the pair is when it begins: where the one before it has left it.
    pub(crate) begin: Begin,
    /// After so many seconds it has failed. Every wait inside it has a better message.
    pub(crate) limit_s: u64,
    pub(crate) run: fn(&mut Pair),
}

impl Step {
    pub(crate) const fn limit(&self) -> Duration {
        Duration::from_secs(self.limit_s)
    }
}

/// What a step begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// Machines that are off, Debian on their disks.
    Off,
    /// Two Debians at work.
    Debian,
    /// A pair that this node serves, and all is well.
    Serves(&'static str),
    /// node1 serves alone; node2 was switched off in order.
    Alone,
    /// node1 serves alone; on node2 the package is purged.
    Purged,
    /// node1 has ours, node2 Debian's heartbeat and everything.
    Beside,
}

/// The first step is Debian's alone: a machine that cannot do this cannot do anything.
pub(crate) const FIRST: &str = "two_machines_boot";

const BOOT: &[Step] =
    &[Step { name: FIRST, begin: Begin::Off, limit_s: 120, run: two_machines_boot }];

/// In the order in which each begins where the one before it has ended.
pub(crate) fn all() -> Vec<Step> {
    let parts = [
        BOOT,
        plain::STEPS,
        life::STEPS,
        notify::STEPS,
        doctor::STEPS,
        drill::STEPS,
        replace::STEPS,
    ];
    parts.concat()
}

/// Numbers of the first and the last step that `words` choose; all without words.
///
/// # Errors
/// When a word is in no name, with all names.
pub(crate) fn chosen(words: &[String]) -> Result<(usize, usize), String> {
    let names: Vec<&str> = all().iter().map(|step| step.name).collect();
    let fits = |word: &String| names.iter().any(|name| name.contains(word.as_str()));
    if let Some(word) = words.iter().find(|word| !fits(word)) {
        return Err(format!("no step has {word:?} in its name: {}", names.join(", ")));
    }
    let wanted = |name: &&str| words.is_empty() || words.iter().any(|word| name.contains(word));
    let first = names.iter().position(wanted).unwrap_or_default();
    Ok((first, names.iter().rposition(wanted).unwrap_or_default()))
}

fn two_machines_boot(pair: &mut Pair) {
    NODES.into_iter().for_each(|node| pair.machine_mut(node).boot());
}

/// Brings machines that are off to where a step begins.
pub(crate) fn reach(pair: &mut Pair, begin: Begin) {
    match begin {
        Begin::Off => {}
        Begin::Debian => two_machines_boot(pair),
        Begin::Serves(node) => {
            reach(pair, Begin::Debian);
            life::install_and_start(pair);
            pair.give_to(node);
        }
        Begin::Alone => {
            reach(pair, Begin::Serves("node1"));
            pair.sh("node2", "systemctl poweroff --no-wall");
            pair.machine_mut("node2").wait_off();
        }
        Begin::Purged => {
            reach(pair, Begin::Serves("node2"));
            pair.sh("node2", "apt-get purge -y twinbeat");
            pair.wait_served("node1");
        }
        Begin::Beside => {
            reach(pair, Begin::Purged);
            replace::put_debians_beside(pair);
        }
    }
    // What was logged on the way is not what the step has done.
    for node in NODES.into_iter().filter(|node| pair.machine(node).is_on()) {
        pair.sh(node, ": >/var/log/ha-log");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn steps_are_chosen_from_the_first_that_fits_to_the_last() {
        let names: Vec<&str> = all().iter().map(|step| step.name).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
        let last = names.len() - 1;
        let at = |name: &str| names.iter().position(|one| *one == name).expect("a step");
        let check = |words: &[&str], expect: (usize, usize)| {
            let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
            assert_eq!(chosen(&words), Ok(expect), "{words:?}");
        };
        check(&[], (0, last));
        check(&[FIRST], (0, 0));
        check(&["daemon_killed"], (at("daemon_killed"), at("daemon_killed")));
        check(&["replaced_live", "daemon_killed"], (at("daemon_killed"), at("replaced_live")));
        let error = chosen(&["nonsense".to_owned()]).expect_err("no such step");
        assert!(error.contains("\"nonsense\"") && error.contains(FIRST), "{error}");
    }
}
