//! A terminal on a node, with somebody who types and looks: tmux. What is typed is the cases' business.

use std::time::{Duration, Instant};

use hb_cli::lab;
use hb_netns::pair::Pair;
use hb_netns::runner::skip;

/// How long something may need until it is on the screen.
const LIMIT: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Gives `node` terminals of its own, which those of the machine need not be open to.
pub(crate) fn terminals(pair: &Pair, node: &str) {
    for program in ["script", "tmux"] {
        if lab::find_program(program).is_none() {
            skip(&format!("{program} is not installed"));
        }
    }
    pair.shell(node, "mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts /dev/pts");
}

/// A shell in a terminal.
pub(crate) struct Terminal<'a> {
    pair: &'a Pair,
    node: &'a str,
}

impl<'a> Terminal<'a> {
    /// Opens one of `columns` by `lines`. Closed, everything in it ends with the node.
    pub(crate) fn open(pair: &'a Pair, node: &'a str, columns: u16, lines: u16) -> Self {
        let terminal = Self { pair, node };
        let shell = "env PS1='shell> ' LC_ALL=C.UTF-8 sh";
        terminal.tmux(&format!("new-session -d -x {columns} -y {lines} \"{shell}\""));
        terminal.wait("shell>");
        terminal
    }

    fn tmux(&self, words: &str) -> String {
        self.pair.shell(self.node, &format!("LC_ALL=C.UTF-8 tmux -u -f /dev/null {words}"))
    }

    /// Presses keys by tmux's names for them: `s`, `Enter`, `C-z`.
    pub(crate) fn press(&self, keys: &str) {
        self.tmux(&format!("send-keys {keys}"));
    }

    /// Types a line of shell and Enter.
    pub(crate) fn line(&self, text: &str) {
        self.tmux(&format!("send-keys -l -- \"{text}\""));
        self.press("Enter");
    }

    /// What is on the screen.
    pub(crate) fn screen(&self) -> String {
        self.tmux("capture-pane -p")
    }

    /// The same with its colours, for a picture.
    pub(crate) fn coloured(&self) -> String {
        self.tmux("capture-pane -e -p")
    }

    /// Another size.
    pub(crate) fn resize(&self, columns: u16, lines: u16) {
        self.tmux(&format!("resize-window -x {columns} -y {lines}"));
    }

    /// Waits until the screen says `text`; returns it.
    #[track_caller]
    pub(crate) fn wait(&self, text: &str) -> String {
        self.wait_for(&format!("{text:?} on the screen"), |screen| screen.contains(text))
    }

    /// Waits until the screen `fits`; returns it.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        let begin = Instant::now();
        loop {
            let screen = self.screen();
            if fits(&screen) {
                return screen;
            }
            assert!(begin.elapsed() < LIMIT, "{what} within {LIMIT:?}:\n{screen}");
            std::thread::sleep(LOOK_INTERVAL);
        }
    }
}
