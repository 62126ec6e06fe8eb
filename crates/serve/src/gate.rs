//! Who may look: whoever shows the token, or a session that was begun with it. Nothing is stored of a
//! session; it is a time, signed with the token. Comparisons take the same time whatever is wrong.

use ring::hmac;
use ring::rand::SystemRandom;

use crate::Refused;

/// Least length of a token; 16 random letters cannot be guessed over a network.
const TOKEN_MIN: usize = 16;
/// Greatest length of a token, far more than anybody makes.
pub(crate) const TOKEN_MAX: usize = 1_024;
/// How long a browser stays signed on, in seconds: a shift.
pub(crate) const SESSION_S: u64 = 12 * 3_600;
/// Name of the cookie.
pub(crate) const COOKIE: &str = "hb_session";

/// The token.
pub(crate) struct Gate {
    /// Signs sessions: they end with the token.
    sessions: hmac::Key,
    /// Random, of this process: what is compared is a digest that no client can aim at.
    compare: hmac::Key,
    /// Digest of the token.
    token: hmac::Tag,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gate")
    }
}

impl Gate {
    /// From the bytes of a token file: one line.
    ///
    /// # Errors
    /// When it is too short, too long, has blanks or several lines, or the system has no randomness.
    pub(crate) fn new(file: &[u8]) -> Result<Self, Refused> {
        let token = file.strip_suffix(b"\n").unwrap_or(file);
        let token = token.strip_suffix(b"\r").unwrap_or(token);
        if !token.iter().all(u8::is_ascii_graphic) {
            return Err(Refused::because("a token is one line of visible ASCII without blanks"));
        }
        if !(TOKEN_MIN..=TOKEN_MAX).contains(&token.len()) {
            let length = token.len();
            return Err(Refused(format!(
                "a token has from {TOKEN_MIN} to {TOKEN_MAX} characters, this one has {length}; make \
                 one: head -c 24 /dev/urandom | base64"
            )));
        }
        let compare = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        let compare = compare.map_err(|_| Refused::because("the system has no random numbers"))?;
        let tag = hmac::sign(&compare, token);
        Ok(Self { sessions: hmac::Key::new(hmac::HMAC_SHA256, token), compare, token: tag })
    }

    /// Whether `candidate` is the token.
    pub(crate) fn is_token(&self, candidate: &[u8]) -> bool {
        hmac::verify(&self.compare, candidate, self.token.as_ref()).is_ok()
    }

    /// Whether a value of the header `Authorization` shows the token (RFC 6750).
    pub(crate) fn admits_header(&self, value: &[u8]) -> bool {
        let Some((scheme, token)) = value.split_at_checked(7) else { return false };
        scheme.eq_ignore_ascii_case(b"bearer ") && self.is_token(token)
    }

    /// The value of a cookie for who has shown the token; `now_s` is Unix time.
    pub(crate) fn session(&self, now_s: u64) -> String {
        let end = now_s.saturating_add(SESSION_S);
        let tag = hmac::sign(&self.sessions, message(end).as_bytes());
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{end}.{hex}")
    }

    /// Whether one of the cookies in a header `Cookie` is a session that has not ended.
    pub(crate) fn admits_cookies(&self, header: &str, now_s: u64) -> bool {
        let values = header.split(';').filter_map(|pair| pair.trim().split_once('='));
        values.filter(|(name, _)| *name == COOKIE).any(|(_, value)| self.admits(value, now_s))
    }

    fn admits(&self, session: &str, now_s: u64) -> bool {
        let Some((end, hex)) = session.split_once('.') else { return false };
        let (Ok(end), Some(tag)) = (end.parse::<u64>(), bytes(hex)) else { return false };
        now_s < end && hmac::verify(&self.sessions, message(end).as_bytes(), &tag).is_ok()
    }
}

fn message(end: u64) -> String {
    format!("hb-serve session until {end}")
}

/// Bytes of a SHA-256 in hex.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    (0..32).map(|at| u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "a-token-of-the-tests";

    fn gate() -> Gate {
        Gate::new(TOKEN.as_bytes()).unwrap()
    }

    #[test]
    fn a_token_is_one_line_long_enough() {
        let fits = |file: &str| Gate::new(file.as_bytes()).is_ok();
        assert!(fits(TOKEN) && fits("a-token-of-the-tests\n") && fits("a-token-of-the-tests\r\n"));
        let long = "x".repeat(TOKEN_MAX + 1);
        for wrong in
            ["", "\n", "123456789012345", "two words in a token", "two\nlines of a token", &long]
        {
            assert!(!fits(wrong), "{wrong}");
        }
    }

    #[test]
    fn only_the_whole_token_opens() {
        let gate = gate();
        let check = |value: &str, expect: bool| {
            assert_eq!(gate.admits_header(value.as_bytes()), expect, "{value}");
        };
        check("Bearer a-token-of-the-tests", true);
        check("bearer a-token-of-the-tests", true);
        check("Bearer a-token-of-the-test", false);
        check("Bearer a-token-of-the-tests\0", false);
        check("Bearer  a-token-of-the-tests", false);
        check("Basic a-token-of-the-tests", false);
        check("Bearer", false);
        check("", false);
        check("Beärer a", false);
    }

    #[test]
    fn a_session_ends_and_cannot_be_forged() {
        let gate = gate();
        let session = gate.session(1_000);
        let check = |header: &str, now_s: u64, expect: bool| {
            assert_eq!(gate.admits_cookies(header, now_s), expect, "{header} at {now_s}");
        };
        let header = format!("other=1; {COOKIE}={session}");
        check(&header, 1_000, true);
        check(&header, 1_000 + SESSION_S - 1, true);
        check(&header, 1_000 + SESSION_S, false);
        let (end, tag) = session.split_once('.').unwrap();
        let later = end.parse::<u64>().unwrap() + 1;
        check(&format!("{COOKIE}={later}.{tag}"), 1_000, false);
        check(&format!("x{COOKIE}={session}"), 1_000, false);
        for wrong in ["", ".", "1.", "x.y", &format!("{end}.{}", "ä".repeat(32))] {
            check(&format!("{COOKIE}={wrong}"), 1_000, false);
        }
        let other = Gate::new(b"another-token-of-the-tests").unwrap();
        assert!(!other.admits_cookies(&header, 1_000), "a new token ends all sessions");
    }
}
