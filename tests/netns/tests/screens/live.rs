//! `hb ui` in a real terminal.

use hb_cli::lab;
use hb_netns::pair::active_on;
use hb_netns::runner::Case;

use crate::states::{served, settled};
use crate::terminal::Terminal;

pub(crate) const CASES: &[Case] = &[
    Case { name: "live_screen_moves_a_group", run: moves_a_group },
    Case { name: "live_screen_outlives_its_daemon", run: outlives_its_daemon },
    Case { name: "live_screen_gives_the_terminal_back", run: gives_the_terminal_back },
    Case { name: "live_screen_refuses_what_is_not_permitted", run: refuses },
];

/// What the terminal is before and shall be afterwards.
const BEFORE: &str = "this was here before";

/// The plan, the question, the move, the outcome.
fn moves_a_group() {
    let pair = served();
    let terminal = Terminal::open(&pair, "node1", 104, 45);
    terminal.line("hb ui");
    // Each part is drawn when its answer has come.
    let is_whole =
        |screen: &str| ["HEALTHY", "events", "s standby"].iter().all(|part| screen.contains(part));
    terminal.wait_for("the whole screen", is_whole);
    terminal.press("s");
    let screen = terminal.wait("do it? y/n");
    assert!(screen.contains("node1 → node2"), "the plan:\n{screen}");
    keep_picture(&terminal);
    terminal.press("n");
    terminal.wait("s standby");
    assert_eq!(active_on(&pair.status("node1")), Some("node1"), "nobody agreed");
    terminal.press("s");
    terminal.wait("do it? y/n");
    terminal.press("y");
    terminal.wait("done after");
    pair.wait("node1", "it has moved", |status| active_on(status) == Some("node2"));
    terminal.press("Enter");
    let moved = |screen: &str| screen.contains("active on node2") && screen.contains("node1→node2");
    terminal.wait_for("status and event tell of the move", moved);
    // Reasons, by the menu.
    terminal.press("w Down Enter");
    terminal.wait("why here");
    terminal.press("q");
    // What would happen.
    terminal.press("p");
    terminal.wait("node1 loses power");
    terminal.press("Down Down Enter");
    terminal.wait("served all the time");
    terminal.press("q");
    // Maintenance on and off.
    terminal.press("m Enter");
    terminal.wait("do it? y/n");
    terminal.press("y");
    terminal.wait("done after");
    terminal.press("Enter");
    terminal.wait("MAINTENANCE");
    pair.expect("node1", &["hb", "maintenance", "off"], 0);
    terminal.wait_for("it is over", |screen| !screen.contains("MAINTENANCE"));
    settled(&pair);
    terminal.press("q");
    terminal.wait_for("the shell", |screen| screen.trim_end().ends_with("shell>"));
}

/// Where pictures for the guide are kept, when somebody wants them: `HB_PICTURES=DIR`.
fn keep_picture(terminal: &Terminal<'_>) {
    if let Some(folder) = std::env::var_os("HB_PICTURES") {
        let path = std::path::PathBuf::from(folder).join("ui.ansi");
        std::fs::write(path, terminal.coloured()).expect("a picture");
    }
}

/// The last status with its age while the daemon is down; as before when it is back.
fn outlives_its_daemon() {
    let pair = served();
    let terminal = Terminal::open(&pair, "node1", 110, 45);
    terminal.line("hb ui");
    terminal.wait("HEALTHY");
    pair.signal("node1", "KILL");
    let screen = terminal.wait("UNKNOWN: heartbeat does not run here");
    assert!(screen.contains("Below is the last state"), "{screen}");
    assert!(screen.contains("group IPaddr"), "{screen}");
    terminal.press("s");
    terminal.wait("refused");
    terminal.press("q");
    pair.shell("node1", "heartbeat");
    terminal.wait_for("the daemon is back", |screen| {
        screen.contains("HEALTHY") && !screen.contains("UNKNOWN")
    });
    // Stopped by a debugger, it neither answers nor is gone.
    pair.signal("node1", "STOP");
    terminal.wait("NO ANSWER for");
    pair.signal("node1", "CONT");
    terminal.wait_for("it answers again", |screen| !screen.contains("NO ANSWER"));
    terminal.press("C-c");
    terminal.wait_for("the shell", |screen| screen.trim_end().ends_with("shell>"));
}

/// However it ends: by q, a signal, or for a while by ^Z. And whatever its size.
fn gives_the_terminal_back() {
    let pair = served();
    let terminal = Terminal::open(&pair, "node1", 100, 40);
    let is_back = |screen: &str| screen.contains(BEFORE) && screen.trim_end().ends_with("shell>");
    let settings = |terminal: &Terminal<'_>| {
        terminal.line("stty -a > /run/stty.new; mv /run/stty.new /run/stty");
        pair.until("settings", || {
            pair.run("node1", &["/usr/bin/test", "-e", "/run/stty"]).code == 0
        });
        let settings = pair.shell("node1", "cat /run/stty && rm /run/stty");
        // The size is what it was made.
        settings.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    terminal.line(&format!("clear; echo {BEFORE}"));
    terminal.wait_for("the words before", is_back);
    let before = settings(&terminal);
    for signal in ["TERM", "INT", "HUP"] {
        terminal.line("hb ui");
        terminal.wait("HEALTHY");
        pair.shell("node1", &format!("kill -s {signal} $({PID_OF_UI})"));
        terminal.wait_for(&format!("the shell after SIG{signal}"), is_back);
        assert_eq!(settings(&terminal), before, "after SIG{signal}");
    }
    terminal.line("hb ui");
    terminal.wait("HEALTHY");
    terminal.press("C-z");
    terminal.wait_for("the shell after ^Z", is_back);
    terminal.line("fg");
    terminal.wait("HEALTHY");
    terminal.resize(60, 20);
    terminal.wait("more lines of status below: Tab");
    terminal.resize(40, 10);
    terminal.wait("This terminal has 40x10");
    terminal.resize(100, 40);
    terminal.wait("HEALTHY");
    terminal.press("q");
    terminal.wait_for("the shell after q", is_back);
    assert_eq!(settings(&terminal), before, "after q");
    // The programs beside this test are built as it is.
    if cfg!(debug_assertions) {
        terminal.line(r"HB_TEST_PANIC=1 hb ui 2>/run/panic; echo code \$?");
        terminal.wait_for("the shell after a fault", |screen| {
            // SIGABRT: the profiles end a process that panics.
            is_back(screen) && screen.contains("code 134")
        });
        assert!(pair.shell("node1", "cat /run/panic").contains("asked for by HB_TEST_PANIC"));
        assert_eq!(settings(&terminal), before, "after a fault");
    }
    terminal.line("hb ui < /dev/null");
    terminal.wait("hb ui needs a terminal");
}

/// The process of `hb ui` and not that of the shell which asks.
const PID_OF_UI: &str = "grep -alx 'hb' /proc/[0-9]*/comm | cut -d/ -f3";

/// Another user sees everything and may do nothing.
fn refuses() {
    let pair = served();
    if !lab::is_machines_root() {
        // There is no other user here; permissions are asked of in the other case.
        return;
    }
    let terminal = Terminal::open(&pair, "node1", 110, 45);
    terminal.line("setpriv --reuid=65534 --regid=65534 --clear-groups hb ui");
    terminal.wait("HEALTHY");
    terminal.press("s");
    let screen = terminal.wait("refused");
    assert!(screen.contains("commands need root or membership of the group haclient"), "{screen}");
    terminal.press("Enter");
    terminal.press("y");
    terminal.press("q");
    terminal.wait_for("the shell", |screen| screen.trim_end().ends_with("shell>"));
    assert_eq!(active_on(&pair.status("node1")), Some("node1"));
}
