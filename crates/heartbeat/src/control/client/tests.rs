//! Tests of a client's connection against a core played by the test.
use std::sync::Arc;

use hb_resource::input::Which;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::*;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A served client and the core's side of it.
fn connect(access: Access) -> (UnixStream, mpsc::Receiver<ClientEvent>) {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let (events, core) = mpsc::channel(4);
    let client =
        Client { id: ClientId(7), access, peer: None, events, logger: Logger::to_nobody() };
    tokio::spawn(client.serve(theirs));
    (ours, core)
}

async fn answer(stream: &mut UnixStream) -> String {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await.expect("an answer");
    line
}

#[test]
fn a_command_reaches_the_core_and_its_answer_the_client() {
    runtime().block_on(async {
        let (mut stream, mut core) = connect(Access::Command);
        let request = RequestLine {
            v: VERSION,
            id: 9,
            request: Request::Standby { which: Which::Sets(all()) },
        };
        let mut line = serde_json::to_vec(&request).expect("serialises");
        line.push(b'\n');
        stream.write_all(&line).await.expect("connected");
        let event = core.recv().await.expect("asked");
        let (asked, reply) = event.asks.expect("a request");
        assert_eq!(asked, request.request);
        reply.send(Response::Done { text: "given".into() }).expect("waiting");
        assert_eq!(
            answer(&mut stream).await,
            "{\"v\":1,\"id\":9,\"ok\":true,\"done\":{\"text\":\"given\"}}\n"
        );
    });
}

fn all() -> hb_resource::input::Holdings {
    hb_resource::input::Holdings { local: true, foreign: true }
}

#[test]
fn what_is_not_a_request_is_refused_without_asking_the_core() {
    runtime().block_on(async {
        let check = async |access, line: &str, expect: &str| {
            let (mut stream, mut core) = connect(access);
            stream.write_all(line.as_bytes()).await.expect("connected");
            let text = answer(&mut stream).await;
            assert!(text.contains("\"ok\":false") && text.contains(expect), "{line:?}: {text}");
            drop(stream);
            assert!(core.recv().await.is_none(), "{line:?}");
        };
        check(Access::Command, "garbage\n", "not a request").await;
        check(Access::Command, "{\"v\":1,\"id\":3,\"cmd\":\"fly\"}\n", "\"id\":3").await;
        check(Access::Command, "{\"v\":2,\"id\":3,\"cmd\":\"status\"}\n", "version 2").await;
        check(Access::Read, "{\"v\":1,\"id\":3,\"cmd\":\"stop\"}\n", "questions only").await;
        check(Access::Command, &"x".repeat(LINE_MAX + 4096), "64 KiB").await;
    });
}

#[test]
fn questions_are_for_both_sockets() {
    runtime().block_on(async {
        for access in [Access::Read, Access::Command] {
            let (mut stream, mut core) = connect(access);
            stream.write_all(b"{\"v\":1,\"id\":1,\"cmd\":\"history\"}\n").await.expect("connected");
            let (_, reply) = core.recv().await.expect("asked").asks.expect("a request");
            reply.send(Response::History(Vec::new())).expect("waiting");
            assert!(answer(&mut stream).await.contains("\"history\":[]"));
        }
    });
}

#[test]
fn a_client_that_asks_no_more_still_gets_its_answer() {
    runtime().block_on(async {
        let (mut stream, mut core) = connect(Access::Read);
        stream.write_all(b"{\"v\":1,\"id\":1,\"cmd\":\"history\"}").await.expect("connected");
        stream.shutdown().await.expect("connected");
        let (_, reply) = core.recv().await.expect("asked").asks.expect("a request");
        sleep(GONE_CHECK + GONE_CHECK / 2).await;
        reply.send(Response::History(Vec::new())).expect("still waiting");
        assert!(answer(&mut stream).await.contains("\"history\":[]"));
    });
}

#[test]
fn the_core_learns_that_a_waiting_client_has_gone() {
    runtime().block_on(async {
        let (mut stream, mut core) = connect(Access::Command);
        stream.write_all(b"{\"v\":1,\"id\":1,\"cmd\":\"stop\"}\n").await.expect("connected");
        let asked = core.recv().await.expect("asked");
        assert!(asked.asks.is_some());
        drop(stream);
        let gone = core.recv().await.expect("told");
        assert_eq!(gone.client, ClientId(7));
        assert!(gone.asks.is_none());
    });
}

#[test]
fn sockets_have_their_modes_and_replace_what_a_crash_left() {
    use std::os::unix::fs::PermissionsExt;
    runtime().block_on(async {
        let dir = tempfile::tempdir().unwrap();
        for (access, mode) in [(Access::Read, 0o666), (Access::Command, 0o660)] {
            let path = dir.path().join(access.file_name());
            let first = crate::control::listen::bind(&path, access).expect("free");
            let got = std::fs::metadata(&path).expect("made").permissions().mode();
            assert_eq!(got & 0o777, mode, "{access:?}");
            assert!(crate::control::listen::bind(&path, access).is_err(), "it is served");
            drop(first);
            crate::control::listen::bind(&path, access).expect("a file left behind is replaced");
        }
    });
}

#[test]
fn no_more_clients_than_places() {
    use tokio::sync::Semaphore;
    runtime().block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let socket = crate::control::listen::bind(&path, Access::Read).expect("free");
        let (events, _core) = mpsc::channel(4);
        let listener = crate::control::listen::Listener {
            access: Access::Read,
            slots: Arc::new(Semaphore::new(1)),
            events,
            logger: Logger::to_nobody(),
        };
        tokio::spawn(listener.run(socket));
        let first = UnixStream::connect(&path).await.expect("a place");
        let mut second = UnixStream::connect(&path).await.expect("accepted to be refused");
        assert!(answer(&mut second).await.contains("too many clients"));
        drop(first);
    });
}
