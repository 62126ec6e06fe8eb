//! What is true of a pair: who runs which group, what each daemon says of itself, when each group
//! ran where. Pure; `pair` looks.

use crate::files::NODES;

/// What one node shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Groups whose address is there.
    pub addresses: String,
    /// Groups whose witness runs there.
    pub witnesses: String,
    /// What `cl_status rscstatus` says; `None` when the daemon is not meant to run.
    pub says: Option<String>,
}

/// What is wrong while `owners` is expected: the number of the node for each group, or `-`.
/// `groups` are the names of the groups.
pub fn differences(seen: &[Seen; 2], owners: &str, groups: &[char]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (number, (node, seen)) in (1..).zip(NODES.iter().zip(seen)) {
        let mine: String = groups
            .iter()
            .zip(owners.chars())
            .filter(|(_, owner)| owner.to_digit(10) == Some(number))
            .map(|(group, _)| *group)
            .collect();
        for (what, has) in [("addresses", &seen.addresses), ("witnesses", &seen.witnesses)] {
            if *has != mine {
                wrong.push(format!("{node} has the {what} of {has:?}, not of {mine:?}"));
            }
        }
        if let Some(says) = &seen.says
            && let Some(reason) = disagrees(says, number, &mine, groups)
        {
            wrong.push(format!("{node} says {says:?}: {reason}"));
        }
    }
    if let [Some(first), Some(second)] = seen.each_ref().map(|seen| seen.says.as_deref())
        && !matches!(
            (first, second),
            ("all", "none") | ("none", "all") | ("local", "local") | ("foreign", "foreign")
        )
    {
        wrong.push(format!("the nodes say {first:?} and {second:?}"));
    }
    wrong
}

/// Why the word is not true of node `number`, which runs the groups `mine`. A set without groups is
/// booked by either, so only sets with groups count.
fn disagrees(word: &str, number: u32, mine: &str, groups: &[char]) -> Option<&'static str> {
    let (local, foreign) = match word {
        "all" => (true, true),
        "local" => (true, false),
        "foreign" => (false, true),
        "none" => (false, false),
        _ => return Some("it has not settled"),
    };
    for (home, group) in (1..).zip(groups) {
        let said = if home == number { local } else { foreign };
        if said != mine.contains(*group) {
            return Some("that is not what runs there");
        }
    }
    None
}

/// Something that a group's witness, or the lab, has noted.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// Seconds of the machine's clock.
    pub at: f64,
    /// Index of the node.
    pub node: usize,
    /// The group; `None`: the node lost its power.
    pub group: Option<char>,
    /// Whether it began to run.
    pub start: bool,
}

/// The notes of a witness of node `node`, from its log.
pub fn read_notes(node: usize, log: &str) -> Vec<Note> {
    let read = |line: &str| {
        let mut words = line.split_whitespace();
        let at = words.next()?.parse().ok()?;
        let group = words.next()?.chars().next()?;
        let start = words.next()? == "start";
        Some(Note { at, node, group: Some(group), start })
    };
    log.lines().filter_map(read).collect()
}

/// When a group ran on both nodes: group, from, for how long in seconds.
pub fn overlaps(mut notes: Vec<Note>, groups: &[char]) -> Vec<(char, f64, f64)> {
    notes.sort_by(|a, b| a.at.total_cmp(&b.at));
    let mut found = Vec::new();
    for group in groups {
        let mut runs = [false; 2];
        let mut since = None;
        for note in notes.iter().filter(|n| n.group.is_none_or(|g| g == *group)) {
            if let Some(run) = runs.get_mut(note.node) {
                *run = note.start;
            }
            match (runs == [true; 2], since) {
                (true, None) => since = Some(note.at),
                (false, Some(from)) => {
                    found.push((*group, from, note.at - from));
                    since = None;
                }
                (true, Some(_)) | (false, None) => {}
            }
        }
        found.extend(since.map(|from| (*group, from, f64::INFINITY)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(groups: &str, says: &str) -> Seen {
        Seen { addresses: groups.into(), witnesses: groups.into(), says: Some(says.into()) }
    }

    #[test]
    fn words_and_truth() {
        let check = |first: (&str, &str), second: (&str, &str), owners: &str, expect: usize| {
            let groups = &['a', 'b'][..owners.len()];
            let world = [seen(first.0, first.1), seen(second.0, second.1)];
            let wrong = differences(&world, owners, groups);
            assert_eq!(wrong.len(), expect, "{first:?} {second:?} {owners}: {wrong:?}");
        };
        check(("a", "local"), ("b", "local"), "12", 0);
        check(("ab", "all"), ("", "none"), "11", 0);
        check(("b", "foreign"), ("a", "foreign"), "21", 0);
        // One group: node2 has no group of its own, so either word is true.
        check(("a", "local"), ("", "local"), "1", 0);
        check(("a", "all"), ("", "none"), "1", 0);
        check(("a", "all"), ("", "local"), "1", 1);
        check(("a", "local"), ("", "transition"), "1", 2);
        check(("a", "none"), ("", "all"), "1", 2);
        check(("a", "local"), ("a", "local"), "1", 2);
        check(("a", "all"), ("b", "none"), "12", 2);
    }

    #[test]
    fn times_of_two_owners() {
        let log = |text: &str| read_notes(0, text);
        let mut notes = log("1.5 a start\n9.25 a stop\nnonsense\n");
        notes.extend(read_notes(1, "9.0 a start\n"));
        assert_eq!(overlaps(notes.clone(), &['a']), [('a', 9.0, 0.25)]);
        notes.push(Note { at: 8.0, node: 0, group: None, start: false });
        assert_eq!(overlaps(notes, &['a']), []);
    }
}
