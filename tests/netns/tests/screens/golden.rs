//! What a command shows, compared with the file that says what it shall show.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use hb_netns::pair::Pair;

use crate::mask::masked;

/// How long a node may need until it shows what it shall: what a loaded machine leaves behind for a
/// while, such as late heartbeats, is gone by then.
const LIMIT: Duration = Duration::from_secs(90);
/// Between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(300);

/// A line of shell of `node` that shows something, its file, and its exit code.
#[track_caller]
pub(crate) fn check(pair: &Pair, node: &str, line: &str, code: i32, name: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let path = path.join("tests/screens/golden").join(format!("{name}.txt"));
    let expect = fs::read_to_string(&path).unwrap_or_default();
    let renew = std::env::var_os("HB_RENEW_GOLDEN").is_some();
    let begin = Instant::now();
    let mut before = String::new();
    loop {
        let ran = pair.run(node, &["/bin/sh", "-c", line]);
        let shown = masked(&format!("{}{}", ran.out, ran.err).replace('\r', ""));
        if ran.code == code && shown == expect {
            return;
        }
        if renew && ran.code == code && shown == before {
            fs::write(&path, shown).expect("the file");
            return;
        }
        if begin.elapsed() > LIMIT {
            let differs = expect.lines().zip(shown.lines()).find(|(left, right)| left != right);
            panic!(
                "`{line}` on {node}, exit code {} and not {code}, is not as in {name}.txt: first \
                 {differs:?}\n--- expected\n{expect}--- shown\n{shown}",
                ran.code
            );
        }
        before = shown;
        std::thread::sleep(LOOK_INTERVAL);
    }
}

/// As [`check`] of a command that a person runs on a terminal with symbols and without colour.
#[track_caller]
pub(crate) fn check_screen(pair: &Pair, node: &str, words: &str, code: i32, name: &str) {
    let line = format!("NO_COLOR=1 script -qec '{words}' /dev/null");
    check(pair, node, &line, code, name);
}
