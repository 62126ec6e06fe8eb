//! The last thing that a node wants is to leave.

use std::time::Duration;

use hb_messaging::time::Instant;
use hb_node::effect::Effect;
use hb_node::input::Input;
use hb_node::{Identity, Node};
use hb_resource::operation::{Action, Outcome};
use hb_sim::setup;

/// A node and its own time; whatever it asks for succeeds at once.
struct Alone {
    node: Node,
    now: Instant,
    effects: Vec<Effect>,
}

impl Alone {
    fn feed(&mut self, input: Input) {
        let from = self.effects.len();
        self.node.handle(self.now, input, &mut self.effects);
        let ended = |effect: &Effect| {
            let Effect::Run(operation) = effect else { return None };
            let asks = operation.action == Action::Status;
            let outcome = if asks { Outcome::NotRunning } else { Outcome::Ok };
            Some(Input::Done { op: operation.id, outcome })
        };
        let ended: Vec<Input> = self.effects[from..].iter().filter_map(ended).collect();
        ended.into_iter().for_each(|input| self.feed(input));
    }

    fn wait(&mut self, duration: Duration) {
        let until = self.now + duration;
        while let Some(due) = self.node.next_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.feed(Input::Timeout);
            if self.has_left() {
                return;
            }
        }
        self.now = until;
    }

    fn has_left(&self) -> bool {
        self.effects.iter().any(|effect| matches!(effect, Effect::Exit { .. }))
    }
}

/// It woke from a sleep in which its last wait had ended: what was held back while it woke made it
/// leave in the midst of an input.
#[test]
fn a_node_that_slept_before_it_left_wants_nothing_after_the_exit() {
    let [settings, _] = setup::pair(setup::timing(100), &[setup::group("node1", &["web"])]);
    let identity = Identity { uuid: [1; 16], generation: 1, seed: 1 };
    let node = Node::new(&settings, identity);
    let mut alone = Alone { node, now: Instant::ZERO, effects: Vec::new() };
    alone.feed(Input::Environment { unix_s: 1, load: "0.00 0.00 0.00 1/1 1".into() });
    alone.feed(Input::Start);
    alone.wait(Duration::from_secs(30));
    assert_eq!(alone.node.status(alone.now).this_node.rscstatus, "all");
    alone.feed(Input::Shutdown);
    alone.now = alone.now + Duration::from_secs(3_600);
    alone.wait(Duration::from_secs(30));
    assert!(alone.has_left());
    let last = alone.effects.last();
    assert!(matches!(last, Some(Effect::Exit { code: 0 })), "{last:?}");
    alone.effects.clear();
    alone.feed(Input::Start);
    alone.feed(Input::Timeout);
    assert_eq!(alone.effects, []);
}
