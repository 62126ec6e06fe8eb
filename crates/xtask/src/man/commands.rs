//! Man pages of commands: synopsis and options from the tree of clap by clap_mangen, the rest from
//! the prose beside this file.

use clap::Command;
use clap_mangen::Man;

use super::page;
use super::roff::{literal, mend, text};
use super::tables::{fill, sentence};
use crate::commands::{LEGACY, hb, heartbeat, legacy};
use crate::generated::Page;

/// Prose below the options of a page. A command without has none.
const PROSE: &[(&str, &str)] = &[
    ("heartbeat", include_str!("heartbeat.roff")),
    ("hb", include_str!("hb.roff")),
    ("hb-status", include_str!("hb-status.roff")),
    ("hb-standby", include_str!("hb-standby.roff")),
    ("hb-takeover", include_str!("hb-takeover.roff")),
    ("hb-reload", include_str!("hb-reload.roff")),
    ("hb-check", include_str!("hb-check.roff")),
    ("hb-maintenance", include_str!("hb-maintenance.roff")),
    ("hb-cleanup", include_str!("hb-cleanup.roff")),
    ("hb-fence", include_str!("hb-fence.roff")),
    ("hb-key", include_str!("hb-key.roff")),
    ("hb-migrate", include_str!("hb-migrate.roff")),
    ("hb-notify", include_str!("hb-notify.roff")),
    ("hb-serve", include_str!("hb-serve.roff")),
    ("hb-demo", include_str!("hb-demo.roff")),
    ("hb_standby", include_str!("hb_standby.roff")),
    ("hb_takeover", include_str!("hb_takeover.roff")),
];
/// Verbs that are known by their legacy name and have their page there.
const ELSEWHERE: [&str; 1] = ["cl_status"];
/// Options that every verb takes.
const EVERYWHERE: [&str; 3] = ["help", "version", "run_dir"];
/// Section of all of them.
const SECTION: u8 = 8;

/// All pages of commands.
pub(super) fn pages() -> Vec<Page> {
    let mut tree = hb();
    tree.build();
    let mut pages = vec![command(&heartbeat()), overview(&tree)];
    pages.extend(verbs(&tree).map(command));
    pages.extend(LEGACY.iter().map(|(name, verb)| command(&legacy(name, verb))));
    pages
}

/// Verbs with a page of their own.
fn verbs(tree: &Command) -> impl Iterator<Item = &Command> {
    let shown = tree.get_subcommands().filter(|verb| !verb.is_hide_set());
    shown.filter(|verb| verb.get_name() != "help" && !ELSEWHERE.contains(&verb.get_name()))
}

fn name_of(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn prose(name: &str) -> String {
    let found = PROSE.iter().find(|(own, _)| *own == name);
    found.map(|(_, text)| fill(text)).unwrap_or_default()
}

/// hb(8): what there is, and where more is said.
fn overview(tree: &Command) -> Page {
    let mut verb_list = ".SH VERBS\n".to_owned();
    for verb in verbs(tree) {
        let (name, about) = (literal(verb.get_name()), text(&sentence(&about(verb))));
        verb_list += &format!(".TP\n\\fBhb\\-{name}\\fR(8)\n{about}\n");
    }
    verb_list += ".TP\n\\fBcl_status\\fR(1)\nWhat monitoring scripts of Heartbeat ask, also as \
                  \\fBhb cl_status\\fR.\n";
    let own = tree.clone().mut_args(|arg| arg.hide(false));
    let options = part(|out| Man::new(own.clone()).render_options_section(out));
    page("hb", SECTION, &around(tree, &(verb_list + &options)))
}

/// One command with what it takes, and the verbs below it.
fn command(command: &Command) -> Page {
    let name = name_of(command);
    let mut middle = String::new();
    if has_options(command) {
        middle += &part(|out| man(command).render_options_section(out));
    }
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        if verb.get_name() != "help" {
            middle += &nested(verb);
        }
    }
    let mut body = around(command, &middle);
    if name.starts_with("hb-") && !body.contains("\n.SH SEE ALSO\n") {
        body += ".SH SEE ALSO\n.BR hb (8),\n.BR heartbeat (8)\n";
    }
    page(name, SECTION, &body)
}

/// Name, synopsis, description, then `middle`, then the rest of the prose. What stands above the line
/// `@@options@@` of the prose is the description; without it clap's is.
fn around(command: &Command, middle: &str) -> String {
    let name = literal(name_of(command));
    let about = about(command);
    let mut out = format!(".SH NAME\n{name} \\- {}\n", text(about.trim_end_matches('.')));
    out += &part(|out| man(command).render_synopsis_section(out));
    let prose = prose(name_of(command));
    let (description, rest) = match prose.split_once("@@options@@\n") {
        Some((description, rest)) => (description.to_owned(), rest),
        None => (part(|out| man(command).render_description_section(out)), prose.as_str()),
    };
    out + &description + middle + rest
}

/// A verb of a verb, as a section of its page.
fn nested(verb: &Command) -> String {
    let usage = verb.get_bin_name().unwrap_or_else(|| verb.get_name());
    let man = man(verb);
    let mut out = format!(".SH {}\n", literal(&usage.to_uppercase()));
    out += body(&part(|out| man.render_synopsis_section(out)));
    out += ".PP\n";
    out += body(&part(|out| man.render_description_section(out)));
    if has_options(verb) {
        out += body(&part(|out| man.render_options_section(out)));
    }
    out
}

fn has_options(command: &Command) -> bool {
    let everywhere = |arg: &clap::Arg| EVERYWHERE.contains(&arg.get_id().as_str());
    command.get_arguments().any(|arg| !arg.is_hide_set() && !everywhere(arg))
}

/// Without what every verb takes, which hb(8) tells.
fn man(command: &Command) -> Man {
    let own = command.clone().subcommand_value_name("verb").mut_args(|arg| {
        let hidden = arg.is_hide_set() || EVERYWHERE.contains(&arg.get_id().as_str());
        arg.hide(hidden)
    });
    Man::new(own)
}

/// What clap says of a command in one line.
fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

/// A section as clap_mangen writes it.
fn part(render: impl Fn(&mut dyn std::io::Write) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    // Writing into memory does not fail.
    let _ = render(&mut out);
    mend(&String::from_utf8_lossy(&out))
}

/// A section without its heading.
fn body(section: &str) -> &str {
    section.split_once('\n').map_or("", |(_, rest)| rest)
}
