//! Deaths and returns.

use hb_netns::runner::Case;

pub(crate) const CASES: &[Case] = &[];
