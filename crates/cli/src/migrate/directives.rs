//! Directives of ha.cf that Twinbeat does not perform: what each means for the migration and what
//! takes its place. Which they are is found by `hb_config`. Pure.

use hb_config::diagnostic::Diagnostic;
use hb_config::directives::{self, Directive, DirectiveId as Id, Support};
use hb_config::source::SourceFile;

use super::finding::{Finding, Weight};

/// The finding for the line that `diagnostic` marks; `None` when it marks no directive.
pub(super) fn not_performed(diagnostic: &Diagnostic, source: &SourceFile) -> Option<Finding> {
    let label = diagnostic.labels.iter().find(|label| label.primary)?;
    let rest = source.text().get(label.span.start..)?;
    let line = rest.lines().next().unwrap_or_default();
    let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
    let row = directives::find(words.next()?)?;
    let words: Vec<&str> = words.collect();
    let (number, _) = source.position(label.span.start);
    Some(finding(row, &words).at(format!("{}:{number}", source.name())))
}

fn finding(row: &Directive, words: &[&str]) -> Finding {
    let is_one_of = |ids: &[Id]| ids.contains(&row.id);
    if is_one_of(&[Id::Respawn, Id::Failfast]) {
        client(row, words)
    } else if is_one_of(&[Id::Serial, Id::Baud]) {
        let text = "heartbeats over a serial line are not sent or heard by this version";
        Finding::new(Weight::Remark, row.name, text).cure(
            "make sure before that two network links connect the nodes (ucast or bcast on both \
             nodes): otherwise one fault is enough for a split brain",
        )
    } else {
        other(row)
    }
}

/// A program that Heartbeat starts beside itself. Only its path is shown: its arguments may hold
/// passwords.
fn client(row: &Directive, words: &[&str]) -> Finding {
    let user = words.first().copied().unwrap_or("root");
    let program = words.get(1).copied().unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or_default();
    if name == "ipfail" {
        return Finding::new(
            Weight::Remark,
            "ipfail",
            "the daemon makes ipfail's decision itself and does not start the program",
        )
        .cure("keep the line; it needs a `ping` line, and `auto_failback on` or `off`");
    }
    let text = format!("{program} is not started by this version");
    let finding = Finding::new(Weight::Remark, row.name, text).cure(format!(
        "make it a unit of systemd: User={user}, ExecStart={program} …, Restart=always, \
         PartOf=heartbeat.service"
    ));
    let finding = finding.cure("if it talks to Heartbeat's client library, it cannot run here");
    if row.id == Id::Failfast {
        return finding.cure("FailureAction=reboot-force does what failfast did");
    }
    finding
}

fn other(row: &Directive) -> Finding {
    let why = match row.support {
        Support::AcceptedWithWarning { why, .. } | Support::Refused { why, .. } => why,
        Support::Implemented => "",
    };
    let text = format!("{} is read and not performed", row.name);
    Finding::new(Weight::Note, row.name, text).cure(format!("{why}; the line may stay"))
}
