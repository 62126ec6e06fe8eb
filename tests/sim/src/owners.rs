//! Which machines may be running any part of each group, looked up again only when an agent has
//! changed something. It judges nothing.

use crate::world::World;

/// For each group of a run, in the order of the settings.
#[derive(Clone, Debug)]
pub struct Owners {
    groups: Vec<String>,
    seen: [Option<u64>; 2],
    runs: Vec<[bool; 2]>,
}

impl Owners {
    /// Of these groups.
    pub fn new(groups: Vec<String>) -> Self {
        let runs = vec![[false; 2]; groups.len()];
        Self { groups, seen: [None; 2], runs }
    }

    /// Takes note of what runs; whether anything may have changed since the last time.
    pub fn look(&mut self, world: &World) -> bool {
        let mut changed = false;
        for (machine, this) in world.machines.iter().enumerate() {
            let version = Some(this.agents.version());
            if self.seen[machine] == version {
                continue;
            }
            self.seen[machine] = version;
            changed = true;
            for (group, runs) in self.groups.iter().zip(&mut self.runs) {
                runs[machine] = this.agents.runs_any_of(group);
            }
        }
        changed
    }

    /// The groups' keys.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// Whether both machines may be running parts of the group at this position.
    pub fn both(&self, index: usize) -> bool {
        self.runs[index] == [true; 2]
    }

    /// Whether any group may run on both.
    pub fn any_both(&self) -> bool {
        self.runs.contains(&[true; 2])
    }
}
