//! Since when things are as they are. It compares values; it does not know what they mean.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};

use hb_messaging::time::Instant;
use serde::{Deserialize, Serialize};

/// The last value of each key and the moment at which it began. Bounded by its keys: groups,
/// their members, and the kinds of problems.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Since<K, V> {
    #[serde(bound(deserialize = "K: Deserialize<'de> + Ord, V: Deserialize<'de>"))]
    values: BTreeMap<K, (V, Instant)>,
}

impl<K, V> Default for Since<K, V> {
    fn default() -> Self {
        Self { values: BTreeMap::new() }
    }
}

impl<K: Ord, V: PartialEq> Since<K, V> {
    /// Takes note of `value` at `now`; returns whether it differs from the last one.
    pub(crate) fn note<Q>(&mut self, key: &Q, value: V, now: Instant) -> bool
    where
        K: Borrow<Q>,
        Q: ToOwned<Owned = K> + Ord + ?Sized,
    {
        match self.values.get(key) {
            Some((last, _)) if *last == value => false,
            Some(_) | None => {
                self.values.insert(key.to_owned(), (value, now));
                true
            }
        }
    }

    /// Drops every key that is not in `keys`.
    pub(crate) fn keep_only(&mut self, keys: &BTreeSet<K>) {
        self.values.retain(|key, _| keys.contains(key));
    }

    /// Milliseconds that the value of `key` has lasted at `now`; 0 for a key never noted.
    pub(crate) fn lasted_ms<Q>(&self, key: &Q, now: Instant) -> u64
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.values.get(key).map_or(0, |(_, since)| crate::report::millis(now - *since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lasts_until_it_changes_or_is_dropped() {
        let at = Instant::from_millis;
        let mut since = Since::default();
        assert!(since.note(&"a", 1, at(10)));
        assert!(!since.note(&"a", 1, at(20)));
        assert_eq!(since.lasted_ms(&"a", at(30)), 20);
        assert!(since.note(&"a", 2, at(30)));
        assert_eq!(since.lasted_ms(&"a", at(31)), 1);
        since.keep_only(&BTreeSet::new());
        assert_eq!(since.lasted_ms(&"a", at(40)), 0);
    }
}
