//! Faults played on purpose, for the pages of docs/failures: each scene is a short life of two nodes whose
//! trace becomes a sequence diagram. It checks nothing; seeds and tests do.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use hb_config::settings::{FenceDevice, FenceKind, Fencing, Settings};
use hb_node::api::Request;
use hb_node::input::Input;
use hb_resource::input::{Holdings, Which};
use hb_resource::operation::Outcome;

use crate::setup::{group, keys, pair, timing};
use crate::world::World;

/// Longest text beside a line: a diagram is not a log.
const TEXT_MAX: usize = 110;
/// Longest diagram.
const LINES_MAX: usize = 44;

/// A fault and what is played.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    /// Name of its page, without `.md`.
    pub name: &'static str,
    settings: fn() -> [Settings; 2],
    play: fn(&mut World),
}

/// All of them.
pub const SCENES: [Scene; 7] = [
    Scene { name: "power-loss", settings: web, play: power_loss },
    Scene { name: "killed-daemon", settings: web, play: killed_daemon },
    Scene { name: "frozen-owner", settings: web, play: frozen_owner },
    Scene { name: "partition", settings: web, play: partition },
    Scene { name: "stuck-stop", settings: web, play: stuck_stop },
    Scene { name: "different-keys", settings: two_keys, play: different_keys },
    Scene { name: "fence-fails", settings: fenced, play: fence_fails },
];

fn web() -> [Settings; 2] {
    // Dead after a second.
    pair(timing(200), &[group("node1", &["192.0.2.100", "nginx"])])
}

fn two_keys() -> [Settings; 2] {
    let mut settings = web();
    settings[1].keys = keys("another");
    settings
}

fn fenced() -> [Settings; 2] {
    web().map(|mut settings| {
        let device = FenceDevice {
            name: "switch".to_owned(),
            target: None,
            level: 1,
            kind: FenceKind::Null,
            parameters: BTreeMap::new(),
            timeout_ms: 1_000,
            retries_max: 0,
        };
        settings.native.fencing = Some(Fencing { devices: vec![device], ..Fencing::default() });
        settings
    })
}

/// Both run, and node1 serves.
fn served(world: &mut World) {
    world.start(0);
    world.start(1);
    let serves = |world: &World| world.machines[0].serves("192.0.2.100");
    // The scene shows it when it did not.
    let _ = world.run_until(seconds(20), serves);
    world.run(seconds(4));
    world.trace.keep_lines();
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn power_loss(world: &mut World) {
    served(world);
    world.power_off(0);
    world.run(seconds(3));
}

fn killed_daemon(world: &mut World) {
    served(world);
    world.kill(0);
    world.run(Duration::from_millis(300));
    world.start(0);
    world.run(seconds(4));
}

fn frozen_owner(world: &mut World) {
    served(world);
    world.halt(0);
    world.run(seconds(3));
    world.resume(0);
    world.run(seconds(2));
}

fn partition(world: &mut World) {
    served(world);
    world.network.each(|path| path.up = false);
    world.run(seconds(4));
    world.network.each(|path| path.up = true);
    world.run(seconds(3));
}

fn stuck_stop(world: &mut World) {
    for machine in &mut world.machines {
        machine.settings.native.failure.stop_retries_max = 1;
    }
    served(world);
    world.machines[0].agents.change("nginx", |habits| {
        habits.stop_fails = true;
        habits.unstoppable = true;
    });
    world.request(0, Request::Standby { which: Which::Sets(Holdings::ALL) });
    world.run(seconds(12));
}

fn different_keys(world: &mut World) {
    world.trace.keep_lines();
    world.start(0);
    world.start(1);
    world.run(seconds(6));
}

fn fence_fails(world: &mut World) {
    served(world);
    world.power_off(0);
    world.run(seconds(5));
    let reason = "no answer from 198.51.100.7".to_owned();
    let outcome = Outcome::Failed { code: Some(1), reason };
    world.feed(1, Input::Fenced { attempt: 1, outcome });
    world.run(seconds(4));
    let node = world.machines[0].settings.node.to_string();
    world.request(1, Request::FenceConfirm { node });
    world.run(seconds(2));
}

impl Scene {
    /// The diagram of what happens.
    pub fn diagram(&self) -> String {
        let mut world = World::new((self.settings)(), 1);
        (self.play)(&mut world);
        let mut shown: Vec<String> = Vec::new();
        for line in world.trace.lines().iter().filter_map(|line| arrow(line)) {
            // A datagram goes out on each link.
            if shown.last() != Some(&line) && !(line.contains("->>") && shown.contains(&line)) {
                shown.push(line);
            }
        }
        let mut text = String::from(
            "```mermaid\nsequenceDiagram\n    participant node1\n    participant node2\n",
        );
        for line in shown.iter().take(LINES_MAX) {
            // Writing into a string cannot fail.
            let _ = writeln!(text, "    {line}");
        }
        if shown.len() > LINES_MAX {
            let _ = writeln!(text, "    Note over node1,node2: … {} more", shown.len() - LINES_MAX);
        }
        text + "```\n"
    }
}

/// `page` with the diagram between its marks.
///
/// # Errors
/// When the marks are missing.
pub fn put(page: &str, diagram: &str) -> Result<String, String> {
    const BEGIN: &str = "<!-- trace: made by `cargo run -p hb-sim -- scenes docs/failures` -->\n";
    const END: &str = "<!-- end of trace -->\n";
    let (before, rest) = page.split_once(BEGIN).ok_or("it has no mark where the trace begins")?;
    let (_, after) = rest.split_once(END).ok_or("it has no mark where the trace ends")?;
    Ok([before, BEGIN, diagram, END, after].concat())
}

/// A line of the trace (time, node, kind, words) as one of the diagram; `None` when it would only fill
/// it.
fn arrow(line: &str) -> Option<String> {
    let (clock, rest) = line.trim_start().split_once(' ')?;
    let (node, rest) = rest.split_once(' ')?;
    let (kind, words) = rest.trim_start().split_once(' ')?;
    let (other, words) = (if node == "node1" { "node2" } else { "node1" }, words.trim_start());
    let clock = clock.get(..clock.len().saturating_sub(3)).unwrap_or(clock);
    let is_shown = match kind {
        "sends" => {
            let (_, fields) = words.strip_prefix("link ")?.split_once(' ')?;
            let fields = fields.split(' ').filter(|field| !field.starts_with("seq="));
            let said = fields.collect::<Vec<_>>().join(" ");
            let is_control = said.starts_with("t=NS_") || said.contains("-cstatus");
            return (!is_control).then(|| format!("{node}->>{other}: {}", clean(&said)));
        }
        "runs" => !words.ends_with(" status") && !words.ends_with(" validate"),
        "WARN" | "ERROR" | "world" | "FAULT" => true,
        "input" => words.starts_with("Request"),
        "wants" => words.starts_with("Fence"),
        _ => false,
    };
    is_shown.then(|| format!("Note over {node}: {clock} {}", clean(words)))
}

/// Without what means something to Mermaid.
fn clean(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|c| match c {
            ';' => ',',
            '#' | '`' | '<' | '>' | '{' | '}' => ' ',
            c => c,
        })
        .take(TEXT_MAX)
        .collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scene_shows_its_fault() {
        let check = |name: &str, parts: &[&str]| {
            let scene = SCENES.iter().find(|scene| scene.name == name).expect("a scene");
            let diagram = scene.diagram();
            for part in parts {
                assert!(diagram.contains(part), "{name}: {part}:\n{diagram}");
            }
        };
        check("power-loss", &["power off", "192.0.2.100 start", "nginx start"]);
        check("killed-daemon", &["daemon killed", "daemon starts"]);
        check("frozen-owner", &["daemon halted", "daemon goes on", "nginx stop", "stood still"]);
        check("partition", &["is dead", "nginx stop"]);
        check("stuck-stop", &["nginx stop (escalated)"]);
        check("different-keys", &["cannot be verified"]);
        check("fence-fails", &["FENCING FAILED", "192.0.2.100 start"]);
    }

    #[test]
    fn a_diagram_goes_between_its_marks() {
        let mark = "<!-- trace: made by `cargo run -p hb-sim -- scenes docs/failures` -->\n";
        let page = format!("a\n{mark}old\n<!-- end of trace -->\nb\n");
        let expect = format!("a\n{mark}new\n<!-- end of trace -->\nb\n");
        assert_eq!(put(&page, "new\n"), Ok(expect));
        assert!(put("a", "new").is_err());
    }
}
