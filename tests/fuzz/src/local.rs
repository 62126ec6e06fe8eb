//! What local clients send: the client socket of Heartbeat, its FIFO, and the control sockets.
//! Whatever comes, in whichever pieces, the buffers stay bounded and the answers well-formed.

use std::collections::BTreeSet;

use hb_heartbeat::fuzzing::{self, ControlClient, FifoReader, RegisterClient};
use hb_messaging::fields;
use hb_messaging::time::Instant;
use hb_node::api::{Request, RequestLine, Response, ResponseLine, StatusSnapshot, VERSION};
use hb_node::{Identity, Node};

use crate::reader::Reader;
use crate::world;

/// Answers of one request: one for each node or link of the snapshot, and a last one.
const ANSWERS_MAX: usize = 8;

/// `/run/heartbeat/register`: a byte of who the client is, a byte of how the rest is cut, the rest.
pub fn register_socket(data: &[u8]) {
    let mut reader = Reader::new(data);
    let who = *reader.pick(&[(0, 0, 7), (1000, 100, 7), (1000, 1000, 7), (90, 90, 1234)]);
    let cut = usize::from(reader.u8()).max(1);
    let (snapshot, online) = (snapshot(), BTreeSet::from(["ccm".to_owned()]));
    let mut client = RegisterClient::new(who, Some(90), Some(100));
    let mut whole = client.clone();
    let (mut answers, mut messages) = (Vec::new(), 0);
    let bytes = reader.rest();
    for chunk in bytes.chunks(cut) {
        let before = client.has_ended();
        let said = client.push(chunk, &snapshot, &online);
        assert!(!before || said.is_empty(), "nothing is said after the end");
        assert!(client.buffered() <= RegisterClient::buffered_max());
        messages += 1 + chunk.len() / 8;
        answers.extend(said);
    }
    assert_eq!(answers, whole.push(bytes, &snapshot, &online), "the cut changes nothing");
    assert_eq!(client.has_ended(), whole.has_ended());
    assert!(answers.len() <= messages * ANSWERS_MAX, "{} answers", answers.len());
    for answer in answers {
        let length = answer.len();
        let (list, rest) = fuzzing::register_frame(answer).expect("an answer is one frame");
        assert!(rest.is_empty(), "{} of {length} bytes after it", rest.len());
        assert_eq!(list.text(fields::KIND), Some("hbapi-resp"));
        let result = list.text("result").expect("each answer has a result");
        assert!(["OK", "ok/more", "badreq"].contains(&result), "{result}");
    }
    if let Some(name) = client.name() {
        assert!(["ipfail", "ping", "lha-snmpagent"].contains(&name), "{name} signed on");
        assert!(client.is_signed_on());
    }
    assert!(who != (1000, 1000, 7) || !client.is_signed_on(), "a stranger signed on");
}

/// `/var/lib/heartbeat/fifo`: a byte of how the rest is cut, the rest.
pub fn fifo_text(data: &[u8]) {
    let mut reader = Reader::new(data);
    let cut = usize::from(reader.u8()).max(1);
    let bytes = reader.rest();
    let mut fifo = FifoReader::default();
    let mut found = Vec::new();
    for chunk in bytes.chunks(cut) {
        found.extend(fifo.push(chunk));
        assert!(fifo.buffered() <= FifoReader::buffered_max(), "{} kept", fifo.buffered());
    }
    assert_eq!(found, FifoReader::default().push(bytes), "the cut changes nothing");
    // The frame marks alone are eight bytes.
    assert!(found.len() <= bytes.len() / 8, "{} messages in {} bytes", found.len(), bytes.len());
    for one in found {
        let words = match one {
            Ok((words, request)) => {
                let moves = matches!(request, Request::Standby { .. } | Request::Takeover { .. });
                assert!(moves, "{request:?} came over the FIFO");
                words
            }
            Err(reason) => reason,
        };
        check_log_text(&words);
    }
}

/// `control.sock` and `status.sock`: a byte of which, a byte of how the rest is cut, the rest.
pub fn control_json(data: &[u8]) {
    let mut reader = Reader::new(data);
    let commands = reader.flag();
    let cut = usize::from(reader.u8()).max(1);
    let bytes = reader.rest();
    let mut client = ControlClient::new(commands);
    let mut found = Vec::new();
    for chunk in bytes.chunks(cut) {
        found.extend(client.push(chunk));
        assert!(client.buffered() <= ControlClient::buffered_max());
    }
    assert_eq!(found, ControlClient::new(commands).push(bytes), "the cut changes nothing");
    for one in found {
        match one {
            Ok(line) => {
                assert_eq!(line.v, VERSION);
                let questions = matches!(line.request, Request::Status | Request::History);
                assert!(commands || questions, "{:?} came over status.sock", line.request);
                let text = serde_json::to_string(&line).expect("it can be written");
                let again: RequestLine = serde_json::from_str(&text).expect("and read");
                assert_eq!(again, line);
            }
            Err((id, text)) => check_answer(id, Response::Error { text }),
        }
    }
}

fn check_answer(id: u64, response: Response) {
    let bytes = fuzzing::control_answer(id, response.clone());
    let (last, line) = bytes.split_last().expect("it has a line feed");
    assert!(*last == b'\n' && !line.contains(&b'\n'), "one line");
    let answer: ResponseLine = serde_json::from_slice(line).expect("an answer can be read");
    assert_eq!((answer.v, answer.id, answer.response), (VERSION, id, response));
    assert!(!answer.ok);
}

/// No control character of a client reaches the log.
fn check_log_text(text: &str) {
    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert!(text.len() <= 512, "{} bytes in the log", text.len());
}

/// A node that has just been made.
fn snapshot() -> StatusSnapshot {
    let identity = Identity { uuid: [1; 16], generation: 1, seed: 1 };
    Node::new(world::settings(0), identity).status(Instant::ZERO)
}
