//! How often what happened, over one run or many: a fault that never strikes proves nothing. It
//! counts and adds up; it judges nothing.

use std::collections::BTreeMap;
use std::fmt;

/// Counts by kind (`fault`, `move`, `check` …) and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<&'static str, BTreeMap<String, u64>>);

impl Counts {
    /// One more.
    pub fn add(&mut self, kind: &'static str, name: &str) {
        self.add_all(kind, name, 1);
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (kind, name, count) in other.iter() {
            self.add_all(kind, name, count);
        }
    }

    fn add_all(&mut self, kind: &'static str, name: &str, count: u64) {
        let names = self.0.entry(kind).or_default();
        // Most names are known: nothing is allocated for them.
        match names.get_mut(name) {
            Some(known) => *known += count,
            None => {
                names.insert(name.to_owned(), count);
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = (&'static str, &str, u64)> {
        self.0.iter().flat_map(|(kind, names)| {
            names.iter().map(|(name, count)| (*kind, name.as_str(), *count))
        })
    }

    /// How often it happened.
    pub fn of(&self, kind: &'static str, name: &str) -> u64 {
        self.0.get(kind).and_then(|names| names.get(name)).copied().unwrap_or(0)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, name, count) in self.iter() {
            writeln!(f, "{count:>12}  {kind:<8} {name}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_two_runs_add_up() {
        let mut one = Counts::default();
        one.add("fault", "Kill");
        let mut other = one.clone();
        other.add("fault", "Kill");
        other.add("check", "ok");
        one.merge(&other);
        assert_eq!((one.of("fault", "Kill"), one.of("check", "ok"), one.of("move", "")), (3, 1, 0));
        assert!(one.to_string().contains("3  fault    Kill\n"), "{one}");
    }
}
