//! `hb notify test`: a message to each channel now, and what each answered.
#![expect(clippy::disallowed_methods, reason = "edge: the name of this machine")]

use std::path::Path;
use std::process::ExitCode;

use hb_cli::{client, exit};
use hb_config::settings::notify::{Event, Gravity};

use crate::channel;
use crate::message::{Message, Phase, VERSION};
use crate::run::Clock;
use crate::settings::Settings;
use crate::status::{err, out};
use crate::words;

/// Tries `name`, or all channels.
pub(crate) fn run(settings: &Settings, run_dir: &Path, name: Option<&str>) -> ExitCode {
    settings.complaints.iter().for_each(|text| err(&format!("{}\n", text.trim_end())));
    let message = message(run_dir);
    let wanted = |own: &str| name.is_none_or(|name| name == own);
    let mut tried = 0;
    let mut failed = 0;
    for channel in settings.notify.channels.iter().filter(|it| wanted(&it.name)) {
        tried += 1;
        match channel::send(channel, &settings.contents, &message, 0) {
            Ok(said) => out(&format!("{}: accepted: {said}\n", channel.name)),
            Err(why) => {
                failed += 1;
                out(&format!("{}: NOT accepted: {why}\n", channel.name));
            }
        }
    }
    if tried == 0 {
        let known: Vec<&str> = settings.notify.channels.iter().map(|it| it.name.as_str()).collect();
        err(&match (name, known.as_slice()) {
            (_, []) => "hb notify: no channel can be used; hb check tells more\n".to_owned(),
            (Some(name), known) => {
                format!("hb notify: no channel {name}; there are: {}\n", known.join(", "))
            }
            (None, _) => String::new(),
        });
        return exit::code(exit::USAGE);
    }
    let complains = name.is_none() && !settings.complaints.is_empty();
    exit::code(if failed > 0 || complains { exit::NEGATIVE } else { exit::OK })
}

/// A test with what is known now.
fn message(run_dir: &Path) -> Message {
    let status = client::snapshot(run_dir);
    let now_ms = Clock::new().now_ms();
    let node = match &status {
        Ok(status) => status.this_node.name.clone(),
        Err(_) => {
            let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            name.trim().to_owned()
        }
    };
    let cluster = status.as_ref().map_or_else(|_| "heartbeat".to_owned(), |it| it.cluster.clone());
    let id = format!("{cluster}-{node}-test-{now_ms:x}");
    Message {
        v: VERSION,
        incident: id.clone(),
        id,
        seq: 0,
        phase: Phase::Test,
        events: vec![Event::Test],
        severity: Gravity::Info,
        subject: format!("[{cluster}] test of notifications from {node}"),
        cluster,
        node,
        groups: Vec::new(),
        cause: "test".to_owned(),
        unix_ms: now_ms,
        began_unix_ms: now_ms,
        duration_ms: None,
        outage_ms: None,
        repeats: 0,
        happened: vec![format!("{}  somebody ran hb notify test", words::utc(now_ms))],
        views: match &status {
            Ok(status) => words::views(status),
            Err(error) => vec![error.to_string()],
        },
        not_redundant: status.as_ref().map(words::not_redundant).unwrap_or_default(),
        next: vec!["nothing: this message arrived".to_owned()],
    }
    .bounded()
}
