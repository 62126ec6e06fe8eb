//! What of a group decides nothing is cleared, for the model checker: see
//! [`crate::manager::Manager::canonicalise`].

use super::*;

impl Group {
    /// Renames the operations under way and clears what only people read.
    pub(crate) fn canonicalise(&mut self, rename: &mut dyn FnMut(OpId) -> OpId) {
        if let Some(op) = &mut self.running {
            op.id = rename(op.id);
        }
        // Not empty: who reports a move without a reason has a fault.
        self.reason = "left out".into();
        for member in &mut self.members {
            if let Some(op) = &mut member.beside {
                op.id = rename(op.id);
            }
            member.last = None;
            member.hint = None;
            // Only "it was gone" is looked at again.
            member.checked.take_if(|outcome| *outcome != Outcome::NotRunning);
            if let Some(why) = &mut member.unready {
                why.clear();
            }
        }
    }
}
