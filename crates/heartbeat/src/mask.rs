//! Cuts secrets out of what programs say before it is logged, recorded or shown. It knows no program and
//! no file.

use hb_resource::operation::Outcome;

/// Values shorter than this are not cut out of messages: they would cut `a` out of every word.
const SECRET_MIN: usize = 3;
/// What stands for a value that was cut out.
const MASK: &str = "***";

/// The outcome without these values.
pub(crate) fn cut(outcome: Outcome, mut values: Vec<String>) -> Outcome {
    values.retain(|value| value.len() >= SECRET_MIN);
    // The longest first: what is part of another would leave its rest behind.
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    let mask = |reason: String| {
        values.iter().fold(reason, |reason, value| reason.replace(value.as_str(), MASK))
    };
    match outcome {
        Outcome::Failed { code, reason } => Outcome::Failed { code, reason: mask(reason) },
        Outcome::CouldNotRun { reason } => Outcome::CouldNotRun { reason: mask(reason) },
        Outcome::Ok | Outcome::NotRunning | Outcome::TimedOut => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_cut_out_of_reasons() {
        let check = |values: &[&str], reason: &str, expect: &str| {
            let values = || values.iter().map(|value| (*value).to_owned()).collect();
            let failed = |reason: &str| Outcome::Failed { code: Some(1), reason: reason.into() };
            assert_eq!(cut(failed(reason), values()), failed(expect));
            let could_not = |reason: &str| Outcome::CouldNotRun { reason: reason.into() };
            assert_eq!(cut(could_not(reason), values()), could_not(expect));
        };
        check(&["hunter2"], "login web:hunter2 refused", "login web:*** refused");
        check(&["hunt", "hunter2"], "hunter2 hunt", "*** ***");
        check(&["a"], "a database", "a database");
        check(&[], "nothing", "nothing");
    }
}
