//! The third part of a plan: the pace of the cluster, its keys, long quiet times, and a random
//! subset of the faults that the first two parts lack. Drawn from a generator of its own, so that
//! they keep their meaning. It judges nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use hb_config::settings::{AuthKey, AuthKeys, AuthMethod, Secret, Timing};
use hb_messaging::time::Instant;

use crate::plan::Plan;
use crate::rng::Rng;

/// What the third part adds, as far as the checkers have to know.
#[derive(Clone, Debug, Default)]
pub struct Swarm {
    /// Whether there is one.
    pub any: bool,
    /// Heartbeats once in a second or two, as most pairs have it.
    pub slow: bool,
}

/// Sets the third part's generator apart from the others.
const SALT: u64 = 0x0073_7761_726d_2033;

impl Plan {
    /// All three parts of a seed.
    pub(crate) fn whole(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ SALT);
        let slow = rng.chance(650);
        let pace = slow.then(|| slow_pace(&mut rng));
        let mut plan = Self::both(seed, pace);
        plan.swarm = Swarm { any: true, slow };
        plan.sign(&mut rng);
        if slow {
            plan.settle_down(&mut rng);
        }
        if rng.chance(600) {
            plan.rest(&mut rng);
        }
        plan.faults.sort_by_key(|(at, _)| *at);
        plan
    }

    /// Mostly with crc, which costs nothing and tells a flipped bit as well as the others.
    fn sign(&mut self, rng: &mut Rng) {
        let method = match rng.between(0, 9) {
            0 => AuthMethod::Md5,
            1 => AuthMethod::Sha256,
            2 => AuthMethod::Sha1,
            _ => AuthMethod::Crc,
        };
        let key = |secret: &str| AuthKey { method, secret: Secret::new(secret.as_bytes().to_vec()) };
        let keys = AuthKeys { active: 1, keys: BTreeMap::from([(1, key("one")), (2, key("two"))]) };
        for one in &mut self.settings {
            one.keys = keys.clone();
        }
    }

    /// What belongs to a cluster of that pace: the product's own intervals, and often one link.
    fn settle_down(&mut self, rng: &mut Rng) {
        let one_link = rng.chance(300);
        for one in &mut self.settings {
            one.native.monitor.interval_ms = 10_000;
            one.native.monitor.ready_interval_ms = 60_000;
            one.native.recovery.retry_ms = 60_000;
            if one_link {
                one.media.truncate(1);
            }
        }
    }

    /// Nothing happens for a long time, once or twice: what is counted over minutes and hours.
    fn rest(&mut self, rng: &mut Rng) {
        let deadtime_ms = self.settings[0].timing.deadtime_ms;
        for _ in 0..rng.between(1, 2) {
            let begin = Instant::from_micros(rng.between(0, self.calm.as_micros()));
            let length = Duration::from_millis(rng.between(deadtime_ms * 10, deadtime_ms * 200));
            for (at, _) in &mut self.faults {
                if *at > begin {
                    *at = *at + length;
                }
            }
            self.calm = self.calm + length;
        }
    }
}

/// Heartbeat's own examples: 1 or 2 seconds, dead after 10 to 30.
fn slow_pace(rng: &mut Rng) -> Timing {
    let keepalive_ms = *rng.pick(&[1_000, 2_000, 2_000]);
    let deadtime_ms = *rng.pick(&[10_000, 15_000, 30_000]);
    Timing {
        keepalive_ms,
        deadtime_ms,
        warntime_ms: deadtime_ms / 2,
        initdead_ms: deadtime_ms * rng.between(1, 4),
        deadping_ms: deadtime_ms,
    }
}
