//! The four files: any bytes become values and findings, whose places lie in the text and which can
//! be drawn. What all four say together either starts a node or has an error.

use hb_config::diagnostic::{Diagnostic, MAX_PER_FILE, Severity};
use hb_config::native::Parsed;
use hb_config::render::{self, Style};
use hb_config::settings::{AuthKeys, Native, NodeName, Secret, Settings};
use hb_config::source::{FileState, Files};
use hb_config::span::FileId;
use hb_config::{Loaded, SourceFile, load};
use hb_messaging::time::Instant;
use hb_node::input::Input;
use hb_node::{Identity, Node};

use crate::reader::Reader;

/// Between the files of `check`.
const SEPARATOR: u8 = 0x1e;
/// A key of this length is no word that a file or a finding has anyhow.
const SECRET_MIN: usize = 9;
/// Findings that are drawn in colour too; drawing is slow, and one is drawn as the other.
const DRAWN_TWICE_MAX: usize = 4;
/// Modes that `check` chooses from.
const MODES: [Option<u32>; 4] = [None, Some(0o600), Some(0o644), Some(0o666)];

/// ha.cf.
pub fn ha_cf(data: &[u8]) {
    let files = one(FileId::HaCf, data);
    drawn(&files, &parsed(&files, FileId::HaCf, hb_config::ha_cf::parse).1);
}

/// haresources.
pub fn haresources(data: &[u8]) {
    let files = one(FileId::HaResources, data);
    drawn(&files, &parsed(&files, FileId::HaResources, hb_config::haresources::parse).1);
}

/// authkeys: also, no key is ever drawn.
pub fn authkeys(data: &[u8]) {
    let files = one(FileId::AuthKeys, data);
    let (keys, found) = parsed(&files, FileId::AuthKeys, hb_config::authkeys::parse);
    let text = drawn(&files, &found);
    if let Some(keys) = keys {
        check_secrets(secrets(&keys), &text, data, |other| {
            let files = one(FileId::AuthKeys, other);
            drawn(&files, &parsed(&files, FileId::AuthKeys, hb_config::authkeys::parse).1)
        });
    }
}

/// hb.toml: also, no password of a fence device is ever drawn.
pub fn hb_toml(data: &[u8]) {
    let files = one(FileId::Native, data);
    let (Parsed { native, .. }, found) = parsed(&files, FileId::Native, hb_config::native::parse);
    check_secrets(passwords(&native), &drawn(&files, &found), data, |other| {
        let files = one(FileId::Native, other);
        drawn(&files, &parsed(&files, FileId::Native, hb_config::native::parse).1)
    });
}

/// A byte of modes, then ha.cf, haresources, authkeys, hb.toml and the node's name, each ended by
/// 0x1e. What is left out is missing.
pub fn check(data: &[u8]) {
    let loaded = load_all(data);
    let (files, node, first) = &loaded;
    assert_eq!(first, &load(files, node.as_ref()), "reading is a function");
    let failed = first.has(Severity::Error);
    assert_eq!(first.settings.is_none(), failed, "settings without errors, and only then");
    let text = drawn(files, &first.diagnostics) + &report(files, first, node.as_ref());
    let Some(settings) = &first.settings else { return };
    let all = secrets(&settings.keys).into_iter().chain(passwords(&settings.native));
    check_secrets(all.collect(), &text, data, |other| {
        let (files, node, loaded) = load_all(other);
        drawn(&files, &loaded.diagnostics) + &report(&files, &loaded, node.as_ref())
    });
    start(settings);
}

fn one(id: FileId, bytes: &[u8]) -> Files {
    let mut files = Files::missing_in("/etc/ha.d");
    files.set(id, bytes, Some(0o600));
    files
}

fn source(files: &Files, id: FileId) -> &SourceFile {
    files.get(id).source().expect("it is present")
}

fn parsed<T: PartialEq + std::fmt::Debug>(
    files: &Files,
    id: FileId,
    parse: impl Fn(&SourceFile) -> (T, Vec<Diagnostic>),
) -> (T, Vec<Diagnostic>) {
    let source = source(files, id);
    let first = parse(source);
    assert_eq!(first, parse(source), "parsing is a function");
    // Of each severity, and a last one that says that there are more.
    assert!(first.1.len() <= 3 * MAX_PER_FILE + 1, "{} findings", first.1.len());
    first
}

fn load_all(data: &[u8]) -> (Files, Option<NodeName>, Loaded) {
    let (modes, rest) = data.split_first().unwrap_or((&0, &[]));
    let mut parts = rest.split(|byte| *byte == SEPARATOR);
    let mut files = Files::missing_in("/etc/ha.d");
    let mut modes = Reader::new(std::slice::from_ref(modes)).u8();
    for id in FileId::ALL {
        let mode = MODES[usize::from(modes % 4)];
        modes /= 4;
        match parts.next() {
            Some(b"unreadable") => {
                let name = files.get(id).name().to_owned();
                let reason = "permission denied".to_owned();
                *files.get_mut(id) = FileState::Unreadable { name, reason };
            }
            Some(bytes) => files.set(id, bytes, mode),
            None => {}
        }
    }
    let name = parts.next().map(|name| String::from_utf8_lossy(name).into_owned());
    let node = match name.as_deref() {
        Some("") => None,
        Some(name) => Some(NodeName::new(name)),
        None => Some(NodeName::new("node1")),
    };
    let loaded = load(&files, node.as_ref());
    (files, node, loaded)
}

/// Everything that is shown of the findings.
fn drawn(files: &Files, found: &[Diagnostic]) -> String {
    for label in found.iter().flat_map(|diagnostic| &diagnostic.labels) {
        let text = source(files, label.span.file).text();
        let (start, end) = (label.span.start, label.span.end);
        assert!(start <= end && end <= text.len(), "{start}..{end} of {}", text.len());
        assert!(text.is_char_boundary(start) && text.is_char_boundary(end), "{start}..{end}");
    }
    let mut text = render::human(files, found, Style { color: false, width: 80 });
    let first = found.get(..DRAWN_TWICE_MAX).unwrap_or(found);
    text += &render::human(files, first, Style { color: true, width: 40 });
    for diagnostic in found {
        text += &diagnostic.to_line(files);
    }
    text
}

fn report(files: &Files, loaded: &Loaded, node: Option<&NodeName>) -> String {
    let json = render::json(files, loaded);
    let value: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    let count = value["diagnostics"].as_array().map(Vec::len);
    assert_eq!(count, Some(loaded.diagnostics.len()));
    json + &render::summary(loaded, "/etc/ha.d", node.map(NodeName::as_str))
}

/// Keys, with words for what they are.
fn secrets(keys: &AuthKeys) -> Vec<(String, &Secret)> {
    keys.keys.iter().map(|(index, key)| (format!("key {index}"), &key.secret)).collect()
}

/// Passwords of fence devices.
fn passwords(native: &Native) -> Vec<(String, &Secret)> {
    let devices = native.fencing.iter().flat_map(|fencing| &fencing.devices);
    let all = devices.flat_map(|device| &device.parameters);
    let named = |name: &str| ["passw", "secret", "token"].iter().any(|part| name.contains(part));
    all.filter(|(name, _)| named(name)).map(|(name, secret)| (name.clone(), secret)).collect()
}

/// No secret is shown. `again` draws another input: a text that is shown although the secret is
/// nowhere in the files is one of ours.
fn check_secrets(
    secrets: Vec<(String, &Secret)>,
    shown: &str,
    data: &[u8],
    again: impl Fn(&[u8]) -> String,
) {
    for (name, secret) in secrets {
        let secret = secret.expose();
        let Ok(text) = std::str::from_utf8(secret) else { continue };
        if secret.len() >= SECRET_MIN && shown.contains(text) {
            let other = again(&without(data, secret));
            assert!(other.contains(text), "{name} is shown:\n{shown}");
        }
    }
}

/// `data` with every occurrence of `secret` made unrecognisable.
fn without(data: &[u8], secret: &[u8]) -> Vec<u8> {
    let mut bytes = data.to_vec();
    let mut at = 0_usize;
    while let Some(end) = at.checked_add(secret.len()).filter(|end| *end <= bytes.len()) {
        if bytes[at..end] == *secret {
            bytes[at..end].fill(b'x');
            at = end;
        } else {
            at += 1;
        }
    }
    bytes
}

/// What `hb check` lets start does start.
fn start(settings: &Settings) {
    let mut node = Node::new(settings, Identity { uuid: [7; 16], generation: 1, seed: 1 });
    let mut effects = Vec::new();
    let load = "0.00 0.00 0.00 1/1 1".to_owned();
    node.handle(Instant::ZERO, Input::Environment { unix_s: 1, load }, &mut effects);
    node.handle(Instant::ZERO, Input::Start, &mut effects);
    let snapshot = node.status(Instant::ZERO);
    assert_eq!(snapshot.groups.len(), settings.groups.len());
}
