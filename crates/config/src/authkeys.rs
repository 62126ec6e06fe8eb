//! authkeys → [`AuthKeys`]. A key never enters a message: findings show key numbers and method
//! names only, and mark keys by their place, which `render` covers.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Sink};
use crate::hint;
use crate::lexer;
use crate::settings::{AuthKey, AuthKeys, AuthMethod, Secret};
use crate::source::SourceFile;
use crate::span::{FileId, Span, Spanned};

/// Keys are numbered 0 to 15.
const MAX_INDEX: u8 = 15;

/// Shorter keys can be guessed from recorded packets.
const MIN_KEY_BYTES: usize = 16;

/// Group and others may neither read nor write.
const FORBIDDEN_MODE: u32 = 0o066;

const METHODS: [AuthMethod; 4] =
    [AuthMethod::Crc, AuthMethod::Md5, AuthMethod::Sha1, AuthMethod::Sha256];

/// Words that people write for a method. They are no keys and may be shown.
const OTHER_METHODS: [&str; 12] = [
    "sha", "sha-1", "sha-256", "sha2", "sha224", "sha384", "sha512", "md4", "hmac", "none",
    "crc32", "aes",
];

/// Keys that stand in guides and samples, and digests of nothing.
const WELL_KNOWN: [(&str, &str); 7] = [
    ("d41d8cd98f00b204e9800998ecf8427e", "the MD5 of the empty string, everybody's key"),
    ("68b329da9893e34099c7d8ad5cb9c940", "the MD5 of an empty line, everybody's key"),
    ("da39a3ee5e6b4b0d3255bfef95601890afd80709", "the SHA-1 of the empty string, everybody's key"),
    (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "the SHA-256 of the empty string, everybody's key",
    ),
    ("replace-this-sample-by-a-key-of-your-own", "the key of the sample file, everybody's key"),
    ("HI!", "the key of a sample file, everybody's key"),
    ("Hello!", "the key of a sample file, everybody's key"),
];

/// How to make a key, for help lines.
const MAKE_A_KEY: &str =
    "make one and copy it to both nodes: head -c 32 /dev/urandom | base64 -w 0";

/// Reads authkeys. `None` when no key could sign, which is reported.
pub fn parse(source: &SourceFile) -> (Option<AuthKeys>, Vec<Diagnostic>) {
    let mut parser = Parser {
        source,
        active: None,
        auth_below: None,
        bad_auth: false,
        keys: BTreeMap::new(),
        broken: BTreeMap::new(),
        sink: Sink::new(FileId::AuthKeys),
    };
    lexer::check_characters(source, FileId::AuthKeys, &mut parser.sink);
    parser.check_mode();
    for line in source.lines() {
        parser.line(&line);
    }
    let keys = parser.finish();
    (keys, parser.sink.finish())
}

/// A word of a line that may be shown: an index or a method, or an attempt at one.
#[cfg(feature = "render")]
pub(crate) fn may_be_shown(position: usize, words: &[&str]) -> bool {
    let number = |text: &str| text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    match (position, words) {
        (0, [first, ..]) => *first == "auth" || number(first) || is_method_like(first),
        (1, ["auth", second, ..]) => number(second),
        (1, [first, second, ..]) => number(first) && is_method_like(second),
        // Left over from md5sum; no key, because that is the third word.
        (3.., _) => words.get(position) == Some(&"-"),
        (_, _) => false,
    }
}

/// The words of a line with their ranges. Heartbeat: blank, tab, carriage return and form feed
/// separate; nothing else does, so that a key may hold any other bytes.
pub(crate) fn words(source: &SourceFile, line: &Range<usize>) -> Vec<Range<usize>> {
    let text = source.text().get(line.clone()).unwrap_or_default();
    let mut found = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        let blank = matches!(c, ' ' | '\t' | '\r' | '\x0c') || (c == '\u{feff}' && line.start == 0);
        match (start, blank) {
            (None, false) => start = Some(at),
            (Some(from), true) => {
                found.push(line.start + from..line.start + at);
                start = None;
            }
            (None, true) | (Some(_), false) => {}
        }
    }
    found
}

fn is_method_like(word: &str) -> bool {
    let names = METHODS.iter().map(|method| method.word());
    OTHER_METHODS.iter().any(|name| name.eq_ignore_ascii_case(word))
        || (word.len() <= 8 && hint::nearest(word, names).is_some())
}

struct Parser<'a> {
    source: &'a SourceFile,
    active: Option<Spanned<u8>>,
    /// The key line above the `auth` line that names it.
    auth_below: Option<Span>,
    /// An `auth` line that could not be understood.
    bad_auth: bool,
    keys: BTreeMap<u8, Spanned<AuthKey>>,
    /// Lines whose number was understood and the rest not, which was reported.
    broken: BTreeMap<u8, Span>,
    sink: Sink,
}

impl Parser<'_> {
    fn check_mode(&mut self) {
        let Some(mode) = self.source.mode().filter(|mode| mode & FORBIDDEN_MODE != 0) else {
            return;
        };
        let who = match (mode & 0o060 != 0, mode & 0o006 != 0) {
            (true, true) => "its group and all others",
            (true, false) => "its group",
            (false, _) => "all others",
        };
        let what = match (mode & 0o044 != 0, mode & 0o022 != 0) {
            (true, true) => "read and write",
            (true, false) => "read",
            (false, _) => "write",
        };
        self.sink.push(
            Diagnostic::new(
                Code::KeysReadable,
                format!("authkeys has mode {:04o}: {who} may {what} the keys", mode & 0o7777),
            )
            .in_file(FileId::AuthKeys)
            .help(format!("chmod 600 {}", self.source.name()))
            .help("change the key on both nodes if somebody may have read it"),
        );
    }

    fn line(&mut self, line: &Range<usize>) {
        let ranges = words(self.source, line);
        let words: Vec<&str> =
            ranges.iter().filter_map(|range| self.source.text().get(range.clone())).collect();
        match words.first() {
            None => {}
            Some(first) if first.starts_with('#') => {}
            Some(first) if first.starts_with('a') => self.auth(&words, &ranges),
            Some(_) => self.key(&words, &ranges),
        }
    }

    fn auth(&mut self, words: &[&str], ranges: &[Range<usize>]) {
        let index = match words {
            ["auth", number, ..] => number.parse::<u8>().ok().filter(|n| *n <= MAX_INDEX),
            _ => None,
        };
        let (Some(index), Some(range)) = (index, ranges.get(1)) else {
            self.bad_auth = true;
            let second = ranges.get(1).filter(|_| words.first() == Some(&"auth"));
            let place = span(second.or(ranges.first()));
            self.sink.push(
                Diagnostic::new(Code::InvalidAuthLine, "this is not a line `auth N`")
                    .at(place, "expected `auth` and a number from 0 to 15")
                    .help("write `auth 1`, with the number of the key that signs"),
            );
            return;
        };
        let place = Span::new(FileId::AuthKeys, range.start, range.end);
        if let Some(before) = &self.active {
            self.sink.push(
                Diagnostic::new(Code::RepeatedIndex, "there are two `auth` lines")
                    .at(place, "this one is used")
                    .see(before.span, "this one has no effect")
                    .help("remove the line that is not meant"),
            );
        }
        self.auth_below = self.keys.get(&index).map(|key| key.span);
        self.active = Some(Spanned::new(index, place));
    }

    fn key(&mut self, words: &[&str], ranges: &[Range<usize>]) {
        let first = span(ranges.first());
        let number = words.first().and_then(|word| word.parse::<u8>().ok());
        let Some(index) = number.filter(|index| *index <= MAX_INDEX) else {
            self.sink.push(bad_key_line(words, first));
            return;
        };
        let place = first.to(span(ranges.get(1).or(ranges.first())));
        let Some(method) = self.method(words, ranges) else {
            self.broken.insert(index, first);
            return;
        };
        let bytes = ranges.get(2).map(|range| self.source.raw_bytes(range.clone()));
        let key_span = span(ranges.get(2).or(ranges.get(1)));
        if !self.check_presence(index, method, bytes.is_some(), words, key_span) {
            self.broken.insert(index, first);
            return;
        }
        let bytes = bytes.unwrap_or_default();
        self.check_strength(index, method, &bytes, key_span);
        self.check_rest(words, ranges);
        if let Some(before) = self.keys.get(&index) {
            self.sink.push(
                Diagnostic::new(Code::RepeatedIndex, format!("key {index} is given twice"))
                    .at(place, "this one is used")
                    .see(before.span, "this one has no effect")
                    .help("give each key its own number, or remove the line that is not meant"),
            );
        }
        let key = AuthKey { method, secret: Secret::new(bytes) };
        self.keys.insert(index, Spanned::new(key, place));
    }

    fn method(&mut self, words: &[&str], ranges: &[Range<usize>]) -> Option<AuthMethod> {
        let Some(word) = words.get(1) else {
            self.sink.push(
                Diagnostic::new(Code::InvalidKeyLine, "the line has a number and no method")
                    .at(span(ranges.first()), "expected `N METHOD KEY`")
                    .help("write for instance `1 sha1 KEY`"),
            );
            return None;
        };
        let found = METHODS.into_iter().find(|method| method.word() == *word);
        if found.is_none() {
            let names = METHODS.iter().map(|method| method.word());
            let near = hint::nearest(word, names);
            // A word that is no attempt at a method may be the key itself.
            let message = match is_method_like(word) {
                true => format!("`{word}` is no signing method"),
                false => "the second word of the line is no signing method".into(),
            };
            let label = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => "expected crc, md5, sha1 or sha256".into(),
            };
            self.sink.push(
                Diagnostic::new(Code::UnknownMethod, message)
                    .at(span(ranges.get(1)), label)
                    .help("use sha256 when both nodes run Twinbeat, sha1 with a 3.0.6 peer"),
            );
        }
        found
    }

    /// Whether a key stands exactly where the method needs one.
    fn check_presence(
        &mut self,
        index: u8,
        method: AuthMethod,
        present: bool,
        words: &[&str],
        place: Span,
    ) -> bool {
        let word = method.word();
        match (method == AuthMethod::Crc, present) {
            (true, true) => {
                let comment = words.get(2).is_some_and(|word| word.starts_with('#'));
                let found = Diagnostic::new(
                    Code::KeyForCrc,
                    format!("key {index} is crc, which has no key"),
                )
                .at(place, "nothing may stand here");
                self.sink.push(match comment {
                    true => found.help("in authkeys a comment stands on a line of its own"),
                    false => found.help("use sha1 with this key, or remove what stands here"),
                });
                false
            }
            (false, false) => {
                self.sink.push(
                    Diagnostic::new(
                        Code::KeyMissing,
                        format!("key {index} has the method {word} and no key"),
                    )
                    .at(place, "expected a key behind it")
                    .help(MAKE_A_KEY),
                );
                false
            }
            (true, false) | (false, true) => true,
        }
    }

    fn check_strength(&mut self, index: u8, method: AuthMethod, key: &[u8], place: Span) {
        if method == AuthMethod::Crc {
            self.sink.push(
                Diagnostic::new(Code::NoProtection, "crc is a checksum: it protects nothing")
                    .at(place, "who can send a packet here can command the cluster")
                    .help("use sha1 (sha256 when both nodes run Twinbeat) with a secret key")
                    .help(MAKE_A_KEY),
            );
        } else if let Some((_, what)) = WELL_KNOWN.iter().find(|it| it.0.as_bytes() == key) {
            self.sink.push(
                Diagnostic::new(Code::WellKnownKey, format!("key {index} is {what}"))
                    .at(place, "this key is no secret")
                    .help(MAKE_A_KEY),
            );
        } else if key.len() < MIN_KEY_BYTES {
            self.sink.push(
                Diagnostic::new(Code::ShortKey, format!("key {index} is short"))
                    .at(place, format!("less than {MIN_KEY_BYTES} bytes"))
                    .help(MAKE_A_KEY),
            );
        }
    }

    fn check_rest(&mut self, words: &[&str], ranges: &[Range<usize>]) {
        let (Some(first), Some(last)) = (ranges.get(3), ranges.last()) else { return };
        let place = Span::new(FileId::AuthKeys, first.start, last.end);
        let found = Diagnostic::new(Code::TextAfterKey, "the text behind the key is ignored");
        let rest = words.get(3..).unwrap_or_default();
        let finding = match rest {
            ["-"] => found
                .as_note()
                .at(place, "left over from md5sum or sha1sum")
                .help("it does no harm; the key ends before it"),
            [first, ..] if first.starts_with('#') => found
                .as_note()
                .at(place, "not a comment, but ignored all the same")
                .help("put comments on lines of their own"),
            _ => found
                .at(place, "not part of the key")
                .help("a key cannot hold blanks: make one without"),
        };
        self.sink.push(finding);
    }

    fn finish(&mut self) -> Option<AuthKeys> {
        let Some(active) = self.active.clone() else {
            let found = Diagnostic::new(Code::MissingAuth, "authkeys has no line `auth N`")
                .in_file(FileId::AuthKeys);
            match self.keys.keys().next() {
                _ if self.bad_auth => {}
                Some(number) => self.sink.push(
                    found.help(format!("write `auth {number}` above the line of key {number}")),
                ),
                None => self.sink.push(
                    found.help("write two lines: `auth 1` and `1 sha1 KEY`").help(MAKE_A_KEY),
                ),
            }
            return None;
        };
        if let Some(key) = self.keys.get(&active.value) {
            if key.value.method == AuthMethod::Sha256 {
                self.sink.push(
                    Diagnostic::new(
                        Code::OnlyTwinbeatMethod,
                        "sha256 is understood by Twinbeat only",
                    )
                    .at(key.span, "Heartbeat 3.0.6 does not start with this line")
                    .help("this is right when both nodes run Twinbeat; otherwise use sha1"),
                );
            }
            self.check_order(&active);
            let keys = self.keys.iter().map(|(index, key)| (*index, key.value.clone())).collect();
            return Some(AuthKeys { active: active.value, keys });
        }
        if !self.broken.contains_key(&active.value) {
            let have: Vec<String> = self.keys.keys().map(u8::to_string).collect();
            let help = match have.is_empty() {
                true => format!("add a line `{} sha1 KEY`", active.value),
                false => format!("the file has key {}", have.join(", ")),
            };
            let text = format!("there is no key {}", active.value);
            self.sink.push(
                Diagnostic::new(Code::AuthKeyMissing, text)
                    .at(active.span, "named here")
                    .help(help),
            );
        }
        None
    }

    fn check_order(&mut self, active: &Spanned<u8>) {
        let Some(key) = self.auth_below else { return };
        self.sink.push(
            Diagnostic::new(
                Code::AuthAfterKey,
                format!("`auth {}` stands below key {}", active.value, active.value),
            )
            .at(active.span, "too late: Heartbeat 3.0.6 says that the key is not found")
            .see(key, "the key")
            .help("move the `auth` line to the top of the file"),
        );
    }
}

fn bad_key_line(words: &[&str], place: Span) -> Diagnostic {
    let found = Diagnostic::new(Code::InvalidKeyLine, "this is not a line `N METHOD KEY`");
    let first = words.first().copied().unwrap_or_default();
    if first.bytes().all(|byte| byte.is_ascii_digit()) {
        return found.at(place, "a key number is 0 to 15").help("number the keys from 1");
    }
    if METHODS.iter().any(|method| method.word() == first) {
        return found
            .at(place, "the key's number is missing before it")
            .help(format!("write `1 {first} …`"));
    }
    found.at(place, "expected `auth N` or a key number").help("a comment begins with `#`")
}

fn span(range: Option<&Range<usize>>) -> Span {
    range.map_or(Span::new(FileId::AuthKeys, 0, 0), |range| {
        Span::new(FileId::AuthKeys, range.start, range.end)
    })
}

#[cfg(test)]
mod tests;
