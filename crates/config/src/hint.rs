//! "Did you mean": the nearest of some names. It knows no file.

/// Longer words get no hint; the distance of arbitrarily long words would cost time for nothing.
const MAX_WORD_CHARS: usize = 64;

/// The candidate that `word` was probably meant to be: equal without regard to case and
/// separators, or within a third of its length in single-character edits.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters: Vec<char> = word.chars().take(MAX_WORD_CHARS + 1).collect();
    if letters.is_empty() || letters.len() > MAX_WORD_CHARS {
        return None;
    }
    let plain = squeeze(word);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let limit = (candidate.chars().count().max(letters.len()) / 3).clamp(1, 3);
        let distance = if squeeze(candidate) == plain {
            0
        } else {
            let other: Vec<char> = candidate.chars().take(MAX_WORD_CHARS).collect();
            edits(&letters, &other)
        };
        // A name of two letters is one edit away from too many words.
        let too_short = distance > 0 && letters.len() < 3;
        if distance <= limit && !too_short && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

fn squeeze(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
}

/// Edits (insert, delete, replace, swap neighbours) from `a` to `b`: optimal string alignment.
fn edits(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (row, letter) in a.iter().enumerate() {
        let mut line = vec![row + 1];
        for (column, other) in b.iter().enumerate() {
            let replace = last[column] + usize::from(letter != other);
            let mut cost = replace.min(last[column + 1] + 1).min(line[column] + 1);
            if row > 0 && column > 0 && *letter == b[column - 1] && a[row - 1] == *other {
                cost = cost.min(before[column - 1] + 1);
            }
            line.push(cost);
        }
        before = std::mem::replace(&mut last, line);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_count_swaps_as_one() {
        let check = |a: &str, b: &str, expect| {
            let letters = |text: &str| text.chars().collect::<Vec<_>>();
            assert_eq!(edits(&letters(a), &letters(b)), expect, "{a} {b}");
        };
        check("", "", 0);
        check("ogfile", "logfile", 1);
        check("deadtiem", "deadtime", 1);
        check("abc", "xyz", 3);
    }

    #[test]
    fn only_near_names_are_offered() {
        let names = ["node1", "node2", "zhaijunming"];
        assert_eq!(nearest("node3", names), Some("node1"));
        assert_eq!(nearest("NODE2", names), Some("node2"));
        assert_eq!(nearest("zhaijunmin", names), Some("zhaijunming"));
        assert_eq!(nearest("server", names), None);
        assert_eq!(nearest("n", names), None);
    }

    proptest::proptest! {
        #[test]
        fn no_words_panic(word in ".*", other in ".*") {
            let _ = nearest(&word, [other.as_str()]);
        }
    }
}
