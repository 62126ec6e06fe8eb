//! Asks the witness: `hb witness …` as a child, because the daemon links no HTTP. One question at a
//! time, so that a right is never given back before it was asked for (I/O). When to ask and what an
//! answer means is decided by the core.

use std::path::PathBuf;
use std::time::Duration;

use hb_config::settings::{NodeName, Settings, Witness as Config, WitnessKind};
use hb_node::input::WitnessAnswer;
use hb_resource::exec::Runner;
use hb_resource::operation::Outcome;
use tokio::sync::mpsc;

use crate::tool;

/// Where packages put `hb`.
const PATH: &str = "/usr/bin:/usr/local/bin:/usr/sbin";
/// How much longer than its own limit the program may take to start and to end.
const SLACK: Duration = Duration::from_secs(2);
/// Questions and answers that may wait. The core asks one after the other, and gives back once.
const QUEUE_MAX: usize = 16;
/// Exit code of `hb witness` for a right that the other node has.
const REFUSED: i32 = 1;

/// The way to the witness.
pub(crate) struct Witness {
    questions: mpsc::Sender<(u64, bool)>,
    answers: mpsc::Receiver<(u64, WitnessAnswer)>,
}

impl Witness {
    pub(crate) fn open(settings: &Settings, runner: Runner) -> Self {
        let (questions, queue) = mpsc::channel(QUEUE_MAX);
        let (answer, answers) = mpsc::channel(QUEUE_MAX);
        if let Some(config) = settings.native.witness.clone() {
            let asker =
                Asker { runner, program: tool::find(PATH), node: settings.node.clone(), config };
            tokio::spawn(asker.serve(queue, answer));
        }
        Self { questions, answers }
    }

    /// Asks; the answer comes from [`Self::recv`]. The core asks again when none comes.
    pub(crate) fn ask(&self, question: u64, acquire: bool) {
        // Full only when the program hangs beyond its limit again and again.
        let _ = self.questions.try_send((question, acquire));
    }

    /// Waits for the next answer. Cancel-safe.
    pub(crate) async fn recv(&mut self) -> (u64, WitnessAnswer) {
        match self.answers.recv().await {
            Some(answer) => answer,
            // No witness is configured.
            None => std::future::pending().await,
        }
    }
}

struct Asker {
    runner: Runner,
    /// Or why there is none.
    program: Result<PathBuf, String>,
    node: NodeName,
    config: Config,
}

impl Asker {
    async fn serve(
        self,
        mut queue: mpsc::Receiver<(u64, bool)>,
        answer: mpsc::Sender<(u64, WitnessAnswer)>,
    ) {
        while let Some((question, acquire)) = queue.recv().await {
            let args = arguments(&self.config, &self.node, acquire);
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let limit = Duration::from_millis(self.config.timeout_ms) + SLACK;
            let outcome = match &self.program {
                Ok(program) => self.runner.run_program(program, &args, &[], limit).await,
                Err(reason) => Outcome::CouldNotRun { reason: reason.clone() },
            };
            if answer.send((question, meaning(outcome))).await.is_err() {
                return;
            }
        }
    }
}

fn arguments(config: &Config, node: &NodeName, acquire: bool) -> Vec<String> {
    let mut args = vec!["witness".to_owned()];
    match &config.kind {
        WitnessKind::Etcd { endpoints, key } => {
            args.push("etcd".to_owned());
            for endpoint in endpoints {
                args.extend(["--endpoint".to_owned(), endpoint.clone()]);
            }
            args.extend(["--key".to_owned(), key.clone()]);
        }
        WitnessKind::File { path } => {
            args.extend(["file".to_owned(), "--path".to_owned(), path.clone()]);
        }
    }
    args.extend(["--node".to_owned(), node.to_string()]);
    args.extend(["--lease-ms".to_owned(), config.lease_ms.to_string()]);
    if !acquire {
        args.push("--release".to_owned());
    }
    args.extend(["--timeout".to_owned(), config.timeout_ms.to_string()]);
    args
}

fn meaning(outcome: Outcome) -> WitnessAnswer {
    match outcome {
        Outcome::Ok => WitnessAnswer::Granted,
        Outcome::Failed { code: Some(REFUSED), .. } => WitnessAnswer::Refused,
        Outcome::Failed { reason, .. } if !reason.is_empty() => {
            WitnessAnswer::Unreachable { reason }
        }
        other @ (Outcome::Failed { .. }
        | Outcome::NotRunning
        | Outcome::TimedOut
        | Outcome::CouldNotRun { .. }) => WitnessAnswer::Unreachable { reason: other.describe() },
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use hb_resource::exec::RunnerConfig;

    use super::*;

    fn config(kind: WitnessKind) -> Config {
        Config { kind, lease_ms: 3_000, timeout_ms: 700 }
    }

    #[test]
    fn the_command_line_for_each_kind() {
        let check = |kind, acquire, expect: &str| {
            let args = arguments(&config(kind), &NodeName::new("node1"), acquire);
            assert_eq!(args.join(" "), expect);
        };
        check(
            WitnessKind::File { path: "/shared/lease".to_owned() },
            true,
            "witness file --path /shared/lease --node node1 --lease-ms 3000 --timeout 700",
        );
        let endpoints = vec!["http://a:2379".to_owned(), "http://b:2379".to_owned()];
        check(
            WitnessKind::Etcd { endpoints, key: "/hb".to_owned() },
            false,
            "witness etcd --endpoint http://a:2379 --endpoint http://b:2379 --key /hb --node node1 \
             --lease-ms 3000 --release --timeout 700",
        );
    }

    /// The exit codes of `hb witness`, from a program that ends with the one that its file names.
    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "writes the program")]
    async fn answers_come_in_the_order_of_the_questions() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("hb");
        let count = dir.path().join("count");
        let script = format!(
            "#!/bin/sh\nn=$(cat {0} 2>/dev/null || echo 0); echo $((n + 1)) >{0}\n\
             case $n in 0) exit 0;; 1) exit 1;; *) echo 'no route to etcd'; exit 4;; esac\n",
            count.display()
        );
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let environment = vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())];
        let runner = Runner::new(RunnerConfig { environment, ..RunnerConfig::default() });
        let (questions, queue) = mpsc::channel(QUEUE_MAX);
        let (answer, answers) = mpsc::channel(QUEUE_MAX);
        let kind = WitnessKind::File { path: String::new() };
        let config = Config { timeout_ms: 20_000, ..config(kind) };
        let asker = Asker { runner, program: Ok(program), node: NodeName::new("node1"), config };
        tokio::spawn(asker.serve(queue, answer));
        let mut witness = Witness { questions, answers };
        (1..=3).for_each(|question| witness.ask(question, question != 3));
        assert_eq!(witness.recv().await, (1, WitnessAnswer::Granted));
        assert_eq!(witness.recv().await, (2, WitnessAnswer::Refused));
        let (question, answer) = witness.recv().await;
        let WitnessAnswer::Unreachable { reason } = answer else { panic!("{answer:?}") };
        assert!(question == 3 && reason.contains("no route to etcd"), "{reason}");
    }
}
