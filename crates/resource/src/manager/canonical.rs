//! A manager without what grows for ever and what only people read, for the model checker and the
//! state tables: two managers that are equal after this decide alike for ever. The daemon never
//! calls it, and nothing here decides anything.

use super::*;

impl Manager {
    /// Numbers the operations under way afresh from 1, in the order of groups and members, and
    /// clears counters and sentences that no decision looks at. Returns the new id for each old one;
    /// who keeps pending operations renames them too, and a result of any other id would be dropped
    /// as late.
    pub fn canonicalise(&mut self) -> BTreeMap<OpId, OpId> {
        let mut renamed = BTreeMap::new();
        for group in &mut self.groups {
            group.canonicalise(&mut |old| {
                let next = OpId(renamed.len() as u64 + 1);
                *renamed.entry(old).or_insert(next)
            });
        }
        self.next_id = renamed.len() as u64;
        self.late_results = 0;
        // How often the peer has returned makes windows longer, and time is no matter here.
        self.returns = 0;
        self.dialogue.forget_words();
        renamed
    }
}
