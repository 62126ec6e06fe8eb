//! Heartbeat's time grammar: `digits[.digits]` and an optional unit, in one word. Plain numbers
//! are seconds. It knows no directive and no default.

use thiserror::Error;

/// Longest accepted time, about 24 days: no node waits longer, and it fits every field of the
/// wire that carries milliseconds.
pub const MAX_MS: u64 = i32::MAX as u64;

/// Why a word is no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DurationError {
    /// Does not begin with a digit.
    #[error("is not a number")]
    NotANumber,
    /// Begins with a minus sign.
    #[error("is negative")]
    Negative,
    /// A number with a unit that Heartbeat does not know.
    #[error("has a unit that Heartbeat does not know")]
    Unit,
    /// Longer than [`MAX_MS`].
    #[error("is longer than 24 days")]
    TooLong,
}

/// Which units a file may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Units {
    /// ha.cf: none (seconds), `ms`, `msec…`, `us`, `usec…`.
    Heartbeat,
    /// hb.toml: these, and `s` and `m`.
    Native,
}

/// Milliseconds of `word`, rounded to the nearest (a half rounds up).
///
/// Heartbeat 3.0.6: `10s`, `1m`, `2 sec`, negative and non-numeric words are invalid.
pub fn parse(word: &str, units: Units) -> Result<u64, DurationError> {
    let (whole, rest) = split_digits(word);
    if whole.is_empty() {
        let negative = word.starts_with('-');
        return Err(if negative { DurationError::Negative } else { DurationError::NotANumber });
    }
    let (fraction, unit) = match rest.strip_prefix('.').map(split_digits) {
        Some((digits, unit)) if !digits.is_empty() => (digits, unit),
        Some(_) => return Err(DurationError::NotANumber),
        None => ("", rest),
    };
    let microseconds = unit_us(unit, units).ok_or(DurationError::Unit)?;
    to_ms(whole, fraction, microseconds).filter(|ms| *ms <= MAX_MS).ok_or(DurationError::TooLong)
}

/// What to write for a word such as `10s`, `1m` or `2sec`, whose meaning is plain although
/// Heartbeat refuses it: the two spellings that ha.cf takes.
pub fn suggestion(word: &str) -> Option<(String, String)> {
    let digits = word.trim_start_matches('-');
    let end = digits.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = digits.split_at(end);
    let seconds = match unit.trim().to_ascii_lowercase().as_str() {
        "s" | "sec" | "secs" | "second" | "seconds" | "秒" => 1,
        "m" | "min" | "mins" | "minute" | "minutes" => 60,
        "h" | "hour" | "hours" => 3600,
        // In capitals and with plural forms Heartbeat does not know them.
        "ms" | "msec" | "millis" | "milliseconds" => {
            let ms = parse(number, Units::Heartbeat).ok()? / 1000;
            return Some((format_seconds(ms), format!("{ms}ms")));
        }
        _ => return None,
    };
    let ms = parse(number, Units::Heartbeat).ok()?.checked_mul(seconds)?;
    Some((format_seconds(ms), format!("{ms}ms")))
}

/// `ms` for people: `250ms`, `2s`, `1.5s`.
pub fn display(ms: u64) -> String {
    if ms < 1000 { format!("{ms}ms") } else { format!("{}s", format_seconds(ms)) }
}

/// `ms` as plain seconds, as ha.cf takes them.
pub fn format_seconds(ms: u64) -> String {
    let text = format!("{}.{:03}", ms / 1000, ms % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn split_digits(word: &str) -> (&str, &str) {
    word.split_at(word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len()))
}

fn unit_us(unit: &str, units: Units) -> Option<u128> {
    match unit {
        "" => Some(1_000_000),
        "ms" => Some(1_000),
        "us" => Some(1),
        "s" if units == Units::Native => Some(1_000_000),
        "m" if units == Units::Native => Some(60_000_000),
        _ if unit.starts_with("msec") => Some(1_000),
        _ if unit.starts_with("usec") => Some(1),
        _ => None,
    }
}

/// `whole.fraction` units of `microseconds` each, in ms. Digits of the fraction after the ninth
/// cannot change the millisecond of a unit up to a minute and are left out.
fn to_ms(whole: &str, fraction: &str, microseconds: u128) -> Option<u64> {
    const SCALE: u128 = 1_000_000_000;
    let mut parts: u128 = 0;
    for index in 0..9 {
        let digit = fraction.as_bytes().get(index).map_or(0, |byte| byte - b'0');
        parts = parts * 10 + u128::from(digit);
    }
    let whole: u64 = whole.parse().ok()?;
    let scaled = (u128::from(whole) * SCALE + parts) * microseconds;
    u64::try_from((scaled + 500 * SCALE) / (1_000 * SCALE)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeats_grammar() {
        let check = |word, expect| assert_eq!(parse(word, Units::Heartbeat), expect, "{word}");
        check("2", Ok(2_000));
        check("0", Ok(0));
        check("1.5", Ok(1_500));
        check("0.0004", Ok(0));
        check("0.0005", Ok(1));
        check("0.25", Ok(250));
        check("250ms", Ok(250));
        check("250msec", Ok(250));
        check("250msecs", Ok(250));
        check("1500us", Ok(2));
        check("1499us", Ok(1));
        check("1500usec", Ok(2));
        check("2.5ms", Ok(3));
        check("0.1234567890123", Ok(123));
        for word in ["10s", "1m", "2sec", "1h", "5MS", "5 ms", "1.5.2", "3x"] {
            check(word, Err(DurationError::Unit));
        }
        for word in ["", "abc", ".5", "1.", "1.s", "+3", "٣"] {
            check(word, Err(DurationError::NotANumber));
        }
        check("-1", Err(DurationError::Negative));
        check("99999999999999999999999", Err(DurationError::TooLong));
        check("2147484", Err(DurationError::TooLong));
        check("2147483", Ok(2_147_483_000));
    }

    #[test]
    fn hb_toml_also_takes_s_and_m() {
        assert_eq!(parse("10s", Units::Native), Ok(10_000));
        assert_eq!(parse("1.5m", Units::Native), Ok(90_000));
        assert_eq!(parse("200ms", Units::Native), Ok(200));
        assert_eq!(parse("1h", Units::Native), Err(DurationError::Unit));
    }

    #[test]
    fn plain_meanings_get_both_spellings() {
        let check = |word, seconds: &str, ms: &str| {
            assert_eq!(suggestion(word), Some((seconds.into(), ms.into())), "{word}");
        };
        check("10s", "10", "10000ms");
        check("1m", "60", "60000ms");
        check("1.5sec", "1.5", "1500ms");
        check("250MS", "0.25", "250ms");
        assert_eq!(suggestion("abc"), None);
        assert_eq!(suggestion("10"), None);
        assert_eq!(suggestion("10x"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_word_panics(word in ".*") {
            let _ = (parse(&word, Units::Heartbeat), parse(&word, Units::Native), suggestion(&word));
        }

        #[test]
        fn milliseconds_round_trip(ms in 0..=MAX_MS) {
            proptest::prop_assert_eq!(parse(&format!("{ms}ms"), Units::Heartbeat), Ok(ms));
            proptest::prop_assert_eq!(parse(&format_seconds(ms), Units::Heartbeat), Ok(ms));
        }
    }
}
