//! Twinbeat beside the genuine Heartbeat 3.0.6 of Debian: two nodes in namespaces, each with the
//! daemon of its side, the same files on both, and after each event the question whether the
//! services are where Heartbeat's rules put them. The genuine programs are run and never read.
//!
//! `scenario` has what is played, `pair` the two nodes, `world` what is true of them.

pub mod files;
pub mod flood;
pub mod genuine;
pub mod jobs;
pub mod pair;
pub mod play;
pub mod scenario;
pub mod stall;
pub mod table;
pub mod world;

use std::path::PathBuf;

use hb_cli::lab::LabError;
use serde::{Deserialize, Serialize};

/// Which Heartbeat runs on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// Debian's package `heartbeat`, 3.0.6.
    Genuine,
    /// Twinbeat.
    Ours,
}

impl Side {
    /// In a table.
    pub fn word(self) -> &'static str {
        match self {
            Self::Genuine => "3.0.6",
            Self::Ours => "ours",
        }
    }
}

/// Who runs on node1 and node2: the reference first, because what it logs is what the others may.
pub const PAIRS: [[Side; 2]; 4] = [
    [Side::Genuine, Side::Genuine],
    [Side::Genuine, Side::Ours],
    [Side::Ours, Side::Genuine],
    [Side::Ours, Side::Ours],
];

/// `3.0.6+ours`
pub fn pair_name(sides: [Side; 2]) -> String {
    sides.map(Side::word).join("+")
}

/// Why a scenario did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The lab could not do its part: no verdict.
    #[error("lab: {0}")]
    Lab(#[from] LabError),
    /// A node did what it must not do, or not what it must.
    #[error("{0}")]
    Wrong(String),
}

/// What a step of a scenario returns.
pub type Step<T = ()> = Result<T, Trouble>;

/// The two programs of Twinbeat.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The daemon.
    pub heartbeat: PathBuf,
    /// The command.
    pub hb: PathBuf,
}

impl Programs {
    /// Those that were built beside the running program.
    ///
    /// # Errors
    /// Which one is missing and how to build it.
    pub fn find() -> Result<Self, String> {
        let exe = std::env::current_exe().map_err(|e| format!("finding this program: {e}"))?;
        // A test is one folder below the programs.
        let folders: Vec<PathBuf> = exe.ancestors().skip(1).take(2).map(PathBuf::from).collect();
        let find = |name: &str| {
            let found = folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
            found.ok_or_else(|| format!("there is no {name} beside it: `cargo build` first"))
        };
        Ok(Self { heartbeat: find("heartbeat")?, hb: find("hb")? })
    }
}
