//! A way through a model in words: one line per step, and what runs where after it. For people only.

use std::fmt::Write as _;

use hb_resource::input::PeerMessage;

use crate::faults::Faults;
use crate::moves::Pair;
use crate::world::{Power, Request, Step, World};

/// The steps as lines of fixed columns.
pub fn tell(faults: Faults, way: &[(World, Step)]) -> String {
    // The numbers in a trace belong to the book of another run: it is walked again.
    let pair = Pair::new(faults);
    let mut text = String::from(
        "  # | what happens                                                     | node1                  | node2\n",
    );
    let Some(mut world) = way.first().and_then(|(first, _)| {
        let alike = |one: &World| (one.nodes[1].by_hand, one.nodes[0].power);
        pair.begin().into_iter().find(|world| alike(world) == alike(first))
    }) else {
        return text;
    };
    let _ = writeln!(
        text,
        "  0 | {:<64} | {:<22} | {}",
        "",
        state(&pair, &world, 0),
        state(&pair, &world, 1)
    );
    for (number, (_, step)) in way.iter().enumerate() {
        let what = words(&pair, &world, step);
        world = pair.next(&world, step);
        // Writing into a string cannot fail.
        let _ = writeln!(
            text,
            "{:3} | {what:<64} | {:<22} | {}",
            number + 1,
            state(&pair, &world, 0),
            state(&pair, &world, 1)
        );
    }
    if let Some(broken) = &world.broken {
        let _ = writeln!(text, "    {broken:?}");
    }
    text
}

fn name(node: usize) -> String {
    format!("node{}", node + 1)
}

fn state(pair: &Pair, world: &World, node: usize) -> String {
    let me = &world.nodes[node];
    let power = match me.power {
        Power::Off => return "off".into(),
        Power::Killed => "killed",
        Power::Booting => "begins",
        Power::Up => "up",
        Power::Left => "stopped",
    };
    let bits = |mask: u8| {
        let members = (0..pair.setup.members()).filter(move |member| mask & (1 << member) != 0);
        members.map(|member| pair.setup.short(member)).collect::<Vec<_>>().join(" ")
    };
    let mut text = format!("{power} [{}]", bits(me.runs));
    if me.by_hand != 0 {
        let _ = write!(text, " by hand {}", bits(me.by_hand));
    }
    text
}

fn said(message: &PeerMessage) -> String {
    match message {
        PeerMessage::Starting => "starting".into(),
        PeerMessage::Resources { holdings, stable, groups, .. } => {
            let settled = if *stable == Some(true) { "settled" } else { "in flux" };
            let claims: Vec<&str> = groups
                .iter()
                .flat_map(|groups| groups.values().map(|claim| claim.word()))
                .collect();
            format!("holds {} {} {settled}", holdings.word(), claims.join("/"))
        }
        PeerMessage::AskResources { which, step } => format!("standby {step:?} {which:?}"),
        PeerMessage::HbTakeover { .. } => "takeover".into(),
        PeerMessage::Shutdone => "shutdone".into(),
    }
}

fn words(pair: &Pair, world: &World, step: &Step) -> String {
    let on_the_way = |node: usize, place: usize| {
        world.wire[node]
            .get(place)
            .map_or_else(String::new, |packet| said(&pair.book.message(packet.message)))
    };
    match step {
        Step::Deliver(node) => format!("{} hears: {}", name(*node), on_the_way(*node, 0)),
        Step::Overtake(node) => {
            format!("{} hears out of order: {}", name(*node), on_the_way(*node, 1))
        }
        Step::Lose(node) => format!("lost on the way to {}: {}", name(*node), on_the_way(*node, 0)),
        Step::Complete { node, index, fails } => {
            let side = pair.book.side(world.nodes[*node].side);
            let pending = side.pending[*index];
            let how = if *fails { "fails" } else { "ends" };
            let member = pair.setup.short(pending.member);
            format!("{}: {} of {member} {how}", name(*node), pending.action.word())
        }
        Step::Fire(node, timer) => format!("{}: {timer:?} runs out", name(*node)),
        Step::Hear(node) => format!("{} hears that {} is there", name(*node), name(1 - node)),
        Step::Begin(node) => format!("{} begins to decide", name(*node)),
        Step::Silence(node) if pair.faults.fencing && !world.nodes[*node].parted => {
            format!("{} misses {}, and waits for its fence", name(*node), name(1 - node))
        }
        Step::Silence(node) => format!("{} takes {} for dead", name(*node), name(1 - node)),
        Step::Cut => "all links are cut".into(),
        Step::Deafen(node) => format!("nothing reaches {} any more", name(*node)),
        Step::Heal => "the links are mended".into(),
        Step::PowerOff(node) => format!("{} loses its power", name(*node)),
        Step::Kill { node, done } => {
            let agents = if *done { "its agents end their work" } else { "with its agents" };
            format!("{}'s daemon is killed, {agents}", name(*node))
        }
        Step::Boot(node) => format!("{}'s daemon begins", name(*node)),
        Step::Fence(node) => format!("{} has {} switched off", name(*node), name(1 - node)),
        Step::Fenced(node) => format!("{} knows that {} is off", name(*node), name(1 - node)),
        Step::Ask(node, request) => {
            let what = match request {
                Request::Standby => "standby",
                Request::Takeover => "takeover",
                Request::Stop => "stop",
                Request::Cleanup => "cleanup",
            };
            format!("an operator on {}: {what}", name(*node))
        }
        Step::Script => "node2: its script ends".into(),
        Step::TakeTimer => "node2: its 10 s are over".into(),
    }
}
