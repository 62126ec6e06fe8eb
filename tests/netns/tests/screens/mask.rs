//! What differs from run to run is masked, and columns stay where they are. Values in, values out.

use hb_netns::runner::Case;
use regex_lite::Regex;

pub(crate) const CASES: &[Case] = &[Case { name: "what_is_masked", run: what_is_masked }];

/// What is masked, in this order, and what stands there afterwards.
const MASKS: [(&str, &str); 9] = [
    // Of `--plain`.
    (r"(?m)^(\S+(_s|_ms|_permille|\.number)) \d+$", "$1 N"),
    (r"\b\d\d [A-Z][a-z]{2} (\d{4} )?\d\d:\d\d:\d\d\.\d{3}\b", "DATE"),
    (r"\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b", "MAC"),
    (r"\b[0-9a-f]{8,64}\b", "DIGEST"),
    (r"\b\d+ d \d+ h\b|\b\d+ h \d+ min\b|\b\d+ min \d+ s\b|\b\d+(\.\d+)? (ms|s|min|h|d)\b", "N s"),
    (r"\b\d+\.\d % lost", "N % lost"),
    // Of `--nagios`.
    (r"='?\d+(\.\d+)?(ms|%)", "=N"),
    (r"#\d+ DATE", "#N DATE"),
    (r"(?m)\b(pid|process) \d+", "$1 N"),
];

/// The text with everything masked. Where a column of the nodes begins, or a frame ends, it does so
/// still.
pub(crate) fn masked(text: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let masks: Vec<(Regex, &str)> =
        MASKS.iter().map(|(find, put)| (Regex::new(find).expect("an expression"), *put)).collect();
    let column = text.lines().find_map(second_column);
    let line = |line: &str| {
        let mask = |part: &str| {
            let start = part.replace(version, "VERSION");
            masks.iter().fold(start, |text, (find, put)| find.replace_all(&text, *put).into_owned())
        };
        match column.and_then(|column| cells(line, column)) {
            Some((left, right, column)) => {
                let left = mask(left.trim_end());
                format!("{left:<column$}{}", mask(right))
            }
            None => mask(line),
        }
    };
    text.lines().map(|text| format!("{}\n", line(text).trim_end())).collect()
}

/// Where the other node's column begins, if this line names both.
fn second_column(line: &str) -> Option<usize> {
    let (_, right) = line.split_once("(this node)")?;
    let gap = right.len() - right.trim_start().len();
    (gap > 1).then(|| line.chars().count() - right.chars().count() + gap)
}

/// The two parts of a line that has one in each column.
fn cells(line: &str, column: usize) -> Option<(&str, &str, usize)> {
    let (at, _) = line.char_indices().nth(column)?;
    let (left, right) = line.split_at(at);
    (left.ends_with("  ") && !right.starts_with(' ')).then_some((left, right, column))
}

fn what_is_masked() {
    let check = |text: &str, expect: &str| assert_eq!(masked(text), expect, "{text}");
    check("since 4 min 11 s", "since N s\n");
    check("up 12 d 4 h, 0.3 s ago, 812 ms, 42 s", "up N s, N s ago, N s, N s\n");
    check("hears, 0.1 % lost", "hears, N % lost\n");
    check("moved 08 Nov 17:20:03.412 to", "moved DATE to\n");
    check("in use by 02:77:00:00:00:ff on eth0", "in use by MAC on eth0\n");
    check("192.0.2.100/24 on eth1, #1 sha256", "192.0.2.100/24 on eth1, #1 sha256\n");
    check("heard=90ms;;;0 'loss_eth0'=2.5%;;;0;100", "heard=N;;;0 'loss_eth0'=N;;;0;100\n");
    check("this_node.uptime_s 12\npeer node2", "this_node.uptime_s N\npeer node2\n");
    // Columns stay, whatever was masked before them.
    let table = |up: &str| {
        format!("          node1 (this node)   node2\n node     {up:<20}active, 0.1 s ago\n")
    };
    let expect = "          node1 (this node)   node2\n node     up N s              active, N s \
                  ago\n";
    check(&table("up 9.9 s"), expect);
    check(&table("up 10 min 01 s"), expect);
}
