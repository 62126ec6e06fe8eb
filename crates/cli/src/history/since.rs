//! The word after `--since`: a length of time, an hour of today, or a date. Values in, values out.

use jiff::civil::{Date, DateTime, Time};
use jiff::{ToSpan, Zoned};

/// Unix time in milliseconds.
///
/// # Errors
/// What cannot be read, with examples of what can.
pub(crate) fn parse(text: &str, now: &Zoned) -> Result<u64, String> {
    let wrong =
        || format!("{text:?} is no time: write 30m, 2h, 7d, 17:20, 2026-11-08 or 2026-11-08 17:20");
    let text = text.trim();
    let at = match length(text) {
        Some(seconds) => now.checked_sub(seconds.seconds()).map_err(|_| wrong())?,
        None => {
            let civil = moment(text, now).ok_or_else(wrong)?;
            civil.to_zoned(now.time_zone().clone()).map_err(|_| wrong())?
        }
    };
    Ok(u64::try_from(at.timestamp().as_millisecond()).unwrap_or(0))
}

/// `30m`, `2h`, `7d`, `90s`, in seconds.
fn length(text: &str) -> Option<i64> {
    let unit = match text.chars().next_back()? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let count: u32 = text[..text.len() - 1].trim().parse().ok()?;
    i64::from(count).checked_mul(unit)
}

fn moment(text: &str, now: &Zoned) -> Option<DateTime> {
    let time: Option<Time> = text.parse().ok().filter(|_| text.contains(':'));
    match (text.parse::<DateTime>(), text.parse::<Date>(), time) {
        (Ok(moment), _, _) => Some(moment),
        (_, Ok(date), _) => Some(date.at(0, 0, 0, 0)),
        (_, _, Some(time)) => Some(now.date().to_datetime(time)),
        (Err(_), Err(_), None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_people_write_them() {
        let now: Zoned = "2026-11-08T17:20:00+01:00[+01:00]".parse().expect("a moment");
        let at = |text: &str| {
            let moment: Zoned = format!("{text}+01:00[+01:00]").parse().expect("a moment");
            u64::try_from(moment.timestamp().as_millisecond()).expect("after 1970")
        };
        let check =
            |text: &str, expect: &str| assert_eq!(parse(text, &now), Ok(at(expect)), "{text}");
        check("2h", "2026-11-08T15:20:00");
        check("90s", "2026-11-08T17:18:30");
        check("30m", "2026-11-08T16:50:00");
        check("7d", "2026-11-01T17:20:00");
        check("16:05", "2026-11-08T16:05:00");
        check("2026-11-07", "2026-11-07T00:00:00");
        check("2026-11-07 16:05", "2026-11-07T16:05:00");
        check("2026-11-07T16:05:30", "2026-11-07T16:05:30");
        for text in ["", "h", "2x", "yesterday", "-3h", "25:00", "2026-13-01", "99999999999d"] {
            assert!(parse(text, &now).is_err(), "{text}");
        }
    }
}
