//! The four files of one node as they are copied: bytes, mode and owner, and what differs between two
//! of them. Values in, values out; no secret is in what is shown.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hb_config::render::covered;
use hb_config::source::{MAX_FILE_BYTES, SourceFile};
use hb_config::span::FileId;
use hb_config::{Files, authkeys};
use hb_messaging::auth::fingerprint;
use similar::TextDiff;

/// Mode of authkeys, whatever it was: the daemon refuses any other.
const SECRET_MODE: u32 = 0o600;
/// Lines around a difference.
const CONTEXT: usize = 3;

/// One file.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Copy {
    pub(super) bytes: Vec<u8>,
    /// Permission bits.
    pub(super) mode: u32,
    pub(super) owner: u32,
    pub(super) group: u32,
}

impl std::fmt::Debug for Copy {
    // The bytes may be those of authkeys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Copy({} bytes, {:o})", self.bytes.len(), self.mode)
    }
}

/// The files of one node that exist.
pub(super) type Side = BTreeMap<FileId, Copy>;

/// What is done to a file of the other node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) file: FileId,
    /// As it is there now.
    pub(super) old: Option<Copy>,
    /// As it is to be there; `None`: it goes away.
    pub(super) new: Option<Copy>,
}

/// What makes the files of `wanted` on the other node those of this one.
pub(super) fn changes(here: &Side, there: &Side, wanted: &[FileId]) -> Vec<Change> {
    let change = |file: FileId| {
        let (ours, theirs) = (here.get(&file), there.get(&file));
        let secret = file == FileId::AuthKeys;
        if ours.map(|it| &it.bytes) == theirs.map(|it| &it.bytes) {
            return None;
        }
        let new = ours.map(|ours| {
            // A file that is there keeps its owner and mode: the other machine may have its reasons.
            let like = theirs.unwrap_or(ours);
            let mode = if secret { SECRET_MODE } else { like.mode };
            Copy { bytes: ours.bytes.clone(), mode, owner: like.owner, group: like.group }
        });
        Some(Change { file, old: theirs.cloned(), new })
    };
    wanted.iter().copied().filter_map(change).collect()
}

/// The difference as unified diff, with secrets covered and keys as fingerprints.
pub(super) fn difference(change: &Change, here: &str, there: &str) -> String {
    let (old, new) =
        (shown(change.file, change.old.as_ref()), shown(change.file, change.new.as_ref()));
    let file = change.file;
    let name = |node: &str, copy: &Option<Copy>| match copy {
        Some(_) => format!("{node}:{file}"),
        None => "/dev/null".to_owned(),
    };
    let diff = TextDiff::from_lines(&old, &new);
    let mut unified = diff.unified_diff();
    let (from, to) = (name(there, &change.old), name(here, &change.new));
    let mut out = unified.context_radius(CONTEXT).header(&from, &to).to_string();
    if old == new && change.old.is_some() == change.new.is_some() {
        let what = match file {
            FileId::AuthKeys => "comments or blanks differ; the keys are the same",
            FileId::HaCf | FileId::HaResources | FileId::Native => {
                "only values differ that are not shown, such as passwords"
            }
        };
        let _ = writeln!(out, "--- {from}\n+++ {to}\n ({what})");
    }
    out
}

/// The text of a file as it may be shown.
fn shown(file: FileId, copy: Option<&Copy>) -> String {
    let Some(copy) = copy else { return String::new() };
    let source = SourceFile::from_bytes(file.file_name(), &copy.bytes, None);
    if file != FileId::AuthKeys {
        return covered(file, &source);
    }
    let Some(keys) = authkeys::parse(&source).0 else {
        return "(no keys that could be read)\n".to_owned();
    };
    let mut text = format!("auth {}\n", keys.active);
    for (index, key) in &keys.keys {
        let _ = writeln!(text, "{index} {} fingerprint {}", key.method.word(), fingerprint(key));
    }
    text
}

/// The files of a side as the checker takes them.
pub(super) fn as_files(side: &Side, dir: &str) -> Files {
    let mut files = Files::missing_in(dir);
    for (file, copy) in side {
        files.set(*file, &copy.bytes, Some(copy.mode));
    }
    files
}

/// Takes apart what the other node has sent of its files.
///
/// # Errors
/// When it is something else.
pub(super) fn parse(answer: &[u8]) -> Result<(String, Side), String> {
    let odd = || "the other node's answer is not understood".to_owned();
    let mut rest = answer;
    let mut line = || -> Option<(Vec<String>, &[u8])> {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let (head, tail) = (rest.get(..end)?, rest.get(end + 1..)?);
        let words: Vec<String> =
            String::from_utf8_lossy(head).split(' ').map(str::to_owned).collect();
        rest = tail;
        match words.as_slice() {
            [kind, _, size, ..] if kind == "file" => {
                let size: usize = size.parse().ok().filter(|size| *size <= MAX_FILE_BYTES)?;
                let (bytes, after) = (rest.get(..size)?, rest.get(size..)?);
                rest = after;
                Some((words, bytes))
            }
            _ => Some((words, &[])),
        }
    };
    let mut side = Side::new();
    let mut node = String::new();
    loop {
        let (words, bytes) = line().ok_or_else(odd)?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["end"] => return Ok((node, side)),
            ["node", name] => node = (*name).to_owned(),
            ["none", _] => {}
            ["file", name, _, mode, owner, group] => {
                let file = FileId::ALL.into_iter().find(|file| file.file_name() == *name);
                let mode = u32::from_str_radix(mode, 8).map_err(|_| odd())?;
                let number = |text: &str| text.parse().map_err(|_| odd());
                let (owner, group) = (number(owner)?, number(group)?);
                let copy = Copy { bytes: bytes.to_vec(), mode: mode & 0o7777, owner, group };
                side.insert(file.ok_or_else(odd)?, copy);
            }
            _ => return Err(odd()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(text: &str) -> Copy {
        Copy { bytes: text.as_bytes().to_vec(), mode: 0o644, owner: 0, group: 0 }
    }

    fn side(files: &[(FileId, &str)]) -> Side {
        files.iter().map(|(file, text)| (*file, copy(text))).collect()
    }

    #[test]
    fn only_what_differs_changes_and_owners_stay() {
        let here =
            side(&[(FileId::HaCf, "a\n"), (FileId::AuthKeys, "k\n"), (FileId::Native, "x\n")]);
        let mut there = side(&[(FileId::HaCf, "a\n"), (FileId::AuthKeys, "old\n")]);
        let keys = there.get_mut(&FileId::AuthKeys).unwrap();
        (keys.owner, keys.mode) = (7, 0o640);
        there.insert(FileId::HaResources, copy("gone\n"));
        let found = changes(&here, &there, &FileId::ALL);
        let found: Vec<_> = found
            .iter()
            .map(|it| (it.file, it.new.as_ref().map(|new| (new.mode, new.owner))))
            .collect();
        let expect = [
            (FileId::HaResources, None),
            (FileId::AuthKeys, Some((0o600, 7))),
            (FileId::Native, Some((0o644, 0))),
        ];
        assert_eq!(found, expect);
        assert_eq!(changes(&here, &there, &[FileId::HaCf]), []);
    }

    #[test]
    fn differences_show_no_secret() {
        let check = |file, old: Option<&str>, new: Option<&str>, parts: &[&str]| {
            let change = Change { file, old: old.map(copy), new: new.map(copy) };
            let text = difference(&change, "a", "b");
            for part in parts {
                assert!(text.contains(part), "{part:?} in {text}");
            }
            for secret in ["opensesame", "verysecret"] {
                assert!(!text.contains(secret), "{text}");
            }
        };
        let header = ["--- b:haresources", "+++ a:haresources", "-a nginx", "+a nginx haproxy"];
        check(FileId::HaResources, Some("a nginx\n"), Some("a nginx haproxy\n"), &header);
        let keys = ["-1 sha1 fingerprint ", "+1 sha1 fingerprint "];
        let (old, new) = ("auth 1\n1 sha1 opensesame\n", "auth 1\n1 sha1 verysecret\n");
        check(FileId::AuthKeys, Some(old), Some(new), &keys);
        check(FileId::AuthKeys, Some("x opensesame\n"), Some(new), &["(no keys", "+auth 1"]);
        let same = "auth 1\n# verysecret\n1 sha1 verysecret\n";
        check(FileId::AuthKeys, Some(new), Some(same), &["the keys are the same"]);
        let covered = ["only values differ"];
        let (old, new) = ("a = { password = \"opensesame\" }\n", "a = { password = \"x\" }\n");
        check(FileId::Native, Some(old), Some(new), &covered);
        check(FileId::Native, None, Some("x = 1\n"), &["--- /dev/null", "+++ a:hb.toml", "+x = 1"]);
        check(FileId::Native, Some("x = 1\n"), None, &["--- b:hb.toml", "+++ /dev/null", "-x = 1"]);
    }

    #[test]
    fn answers_of_the_other_node() {
        let text = b"node ha2\nfile ha.cf 5 644 0 0\nend\n\nnone haresources\nnone authkeys\n\
            file hb.toml 0 1600 3 4\nend\n";
        let (node, side) = parse(text).unwrap();
        assert_eq!(node, "ha2");
        assert_eq!(side[&FileId::HaCf], copy("end\n\n"));
        assert_eq!((side[&FileId::Native].mode, side[&FileId::Native].owner), (0o1600, 3));
        for bad in [
            &b""[..],
            b"node ha2\n",
            b"file ha.cf 5 644 0 0\nabc\nend\n",
            b"file x 1 644 0 0\na\nend\n",
            b"file ha.cf 99999999999 644 0 0\n",
            b"Welcome to this machine\nend\n",
        ] {
            assert!(parse(bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
    }
}
