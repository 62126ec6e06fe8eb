//! From bytes to steps. A code keeps its meaning for ever, or the corpus loses its own: inputs that
//! come to the node later take codes that mean `Nothing` so far.

use std::time::Duration;

use hb_messaging::engine::{LinkId, PingId};
use hb_node::api::Request;
use hb_node::input::{ClientId, Input, WitnessAnswer};
use hb_resource::input::{Evidence, Holdings, Which};
use hb_resource::operation::{OpId, Outcome};

use super::Step;
use super::datagram::Peer;
use super::watch::Watch;
use crate::reader::Reader;

/// Milliseconds, by the low half of a code.
const WAITS_MS: [u64; 16] =
    [0, 1, 10, 50, 199, 200, 201, 450, 900, 1_000, 1_100, 2_000, 2_500, 5_000, 10_000, 31_000];
/// Minutes that only a process that stands still lets pass at once.
const LONG: Duration = Duration::from_secs(3_700);
/// Links of the settings and one that there is not.
const LINKS: u8 = 3;
/// Ping targets of the settings and one that there is not.
const PINGS: u8 = 3;

/// The next step.
pub(super) fn step(reader: &mut Reader<'_>, peer: &mut Peer, watch: &Watch) -> Step {
    let code = reader.u8();
    let wait = Duration::from_millis(WAITS_MS[usize::from(code & 0x0f)]);
    let link = LinkId(u16::from(code % LINKS));
    match code {
        0x00..=0x1f => Step::Wait(wait),
        0x20 => Step::Stall(LONG),
        0x21..=0x2f => Step::Stall(wait),
        0x30..=0x3f => Step::Wait(Duration::from_micros(u64::from(reader.u16()))),
        0x40..=0x6f => datagram(link, peer.message(reader)),
        0x70..=0x7f => Step::Input(Input::Datagram { link, bytes: reader.chunk().to_vec() }),
        0x80..=0x8f => Step::Forged(Input::Datagram { link, bytes: peer.forgery(code, reader) }),
        0x90..=0xa7 => match watch.under_way(reader.u8()) {
            Some(op) => Step::Input(Input::Done { op, outcome: outcome(code - 0x90, reader) }),
            None => Step::Nothing,
        },
        0xa8..=0xaf => {
            let op = OpId(u64::from(reader.u16()));
            if watch.is_under_way(op) {
                return Step::Nothing;
            }
            Step::Input(Input::Done { op, outcome: outcome(code, reader) })
        }
        0xb0..=0xbf => Step::Input(Input::Request {
            client: watch.next_client(),
            request: request(code, reader, watch),
        }),
        0xc0..=0xc7 => {
            let failure = (code & 4 != 0).then(|| "network is down".to_owned());
            Step::Input(Input::Link { link, failure })
        }
        0xc8..=0xcf => {
            let ping = if code == 0xcf { PingId::PEER } else { PingId(u16::from(code % PINGS)) };
            let sequence = if code & 4 == 0 { watch.echo(ping) } else { reader.u16() };
            Step::Input(Input::EchoReply { ping, sequence })
        }
        0xd0..=0xd3 => {
            let load = if code & 1 == 0 { "0.50 0.40 0.30 2/99 7".into() } else { reader.text() };
            Step::Input(Input::Environment { unix_s: u64::from(reader.u16()), load })
        }
        0xd4..=0xd7 => Step::Input(Input::ClientGone { client: ClientId(u64::from(reader.u8())) }),
        0xd8..=0xdb => Step::Rekey(code & 3),
        0xdc..=0xdd => Step::Input(Input::Shutdown),
        0xde..=0xdf => Step::Input(Input::Start),
        0xe0..=0xe2 => look(code, reader, watch),
        0xe3..=0xe6 => match watch.fence_under_way() {
            Some(attempt) => {
                Step::Input(Input::Fenced { attempt, outcome: outcome(code - 0xe3, reader) })
            }
            None => Step::Nothing,
        },
        0xe7 => {
            let attempt = reader.u64();
            Step::Input(Input::Fenced { attempt, outcome: Outcome::Ok })
        }
        0xe8..=0xea => match watch.question_open() {
            Some(question) => Step::Input(Input::Witness { question, answer: answer(code) }),
            None => Step::Nothing,
        },
        0xeb => Step::Input(Input::Witness { question: reader.u64(), answer: answer(reader.u8()) }),
        0xec..=0xee => {
            let client = watch.next_client();
            Step::Input(Input::Request { client, request: guard_request(reader) })
        }
        0xef => Step::Input(Input::Slept { ms: u64::from(reader.u8()) * 100 }),
        0xf0..=0xff => Step::Calm,
    }
}

fn datagram(link: LinkId, bytes: Option<Vec<u8>>) -> Step {
    bytes.map_or(Step::Nothing, |bytes| Step::Input(Input::Datagram { link, bytes }))
}

/// What an operation may come to; most of them what it should.
fn outcome(code: u8, reader: &mut Reader<'_>) -> Outcome {
    match code % 8 {
        0..=2 => Outcome::Ok,
        3 => Outcome::NotRunning,
        4 => Outcome::Failed { code: Some(i32::from(reader.u8())), reason: String::new() },
        5 => Outcome::Failed { code: None, reason: "no route".into() },
        6 => Outcome::TimedOut,
        _ => Outcome::CouldNotRun { reason: "no such script".into() },
    }
}

fn request(code: u8, reader: &mut Reader<'_>, watch: &Watch) -> Request {
    match code & 0x0f {
        0..=1 => Request::Status,
        2 => Request::History,
        3..=6 => Request::Standby { which: which(reader, watch) },
        7..=10 => Request::Takeover { which: which(reader, watch) },
        11..=12 => {
            let group = match which(reader, watch) {
                Which::Sets(_) => None,
                Which::Group(key) => Some(key),
            };
            Request::Cleanup { group }
        }
        13 => Request::Stop,
        _ => Request::Status,
    }
}

/// Something happened to a resource, or so the kernel says.
fn look(code: u8, reader: &mut Reader<'_>, watch: &Watch) -> Step {
    let (group, member) = (watch.group(reader.u8()), reader.u8());
    let resource = watch.member(&group, member).unwrap_or_else(|| "no such member".into());
    let evidence = match code & 3 {
        0 => Evidence::ProcessEnded,
        1 => Evidence::NothingLeft,
        _ => Evidence::UnitInactive,
    };
    Step::Input(Input::Look { group, resource, evidence, reason: "its process has ended".into() })
}

fn answer(code: u8) -> WitnessAnswer {
    match code % 3 {
        0 => WitnessAnswer::Granted,
        1 => WitnessAnswer::Refused,
        _ => WitnessAnswer::Unreachable { reason: "no route".into() },
    }
}

/// Maintenance and fencing.
fn guard_request(reader: &mut Reader<'_>) -> Request {
    match reader.u8() % 8 {
        0..=1 => Request::Maintenance { on: true, limit_ms: None },
        2 => Request::Maintenance { on: true, limit_ms: Some(u64::from(reader.u16())) },
        3 => Request::Maintenance { on: true, limit_ms: Some(reader.u64()) },
        4 => Request::Maintenance { on: false, limit_ms: None },
        5 => Request::FenceTest,
        6 => Request::FenceConfirm { node: "node2".into() },
        _ => Request::FenceConfirm { node: reader.text() },
    }
}

fn which(reader: &mut Reader<'_>, watch: &Watch) -> Which {
    match reader.u8() % 8 {
        0 => Which::Sets(Holdings::ALL),
        1 => Which::Sets(Holdings::LOCAL),
        2 => Which::Sets(Holdings::FOREIGN),
        3 => Which::Sets(Holdings::NONE),
        4 => Which::Group("no such group".into()),
        _ => Which::Group(watch.group(reader.u8())),
    }
}
