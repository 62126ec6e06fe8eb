//! `hb completions`: what a shell needs to complete the words of `hb`, made from its command line.
//! The same text is in `etc/completions` for packages.

use std::process::ExitCode;

use clap::{Arg, Args, Command, ValueEnum};
use clap_complete::{Generator, shells};

use crate::{command, exit, print};

/// Print what a shell needs to complete the words of hb
///
/// Packages install it. By hand, in bash: `source <(hb completions bash)`; in zsh, below a folder of
/// `$fpath`: `hb completions zsh >_hb`; in fish: `hb completions fish | source`.
#[derive(Clone, Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Shells that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// bash, with or without the package bash-completion
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}

/// Runs `hb completions`.
pub(crate) fn run(args: &CompletionsArgs) -> ExitCode {
    print::out(&script(args.shell, command::tree(), "hb"));
    exit::code(exit::OK)
}

/// The completions of the program `name` for `shell`. Hidden verbs are left out.
pub fn script(shell: Shell, tree: Command, name: &str) -> String {
    let mut tree = without_hidden(&tree);
    match shell {
        Shell::Bash => generate(shells::Bash, &mut tree, name),
        Shell::Zsh => generate(shells::Zsh, &mut tree, name),
        Shell::Fish => generate(shells::Fish, &mut tree, name),
    }
}

fn generate(shell: impl Generator, tree: &mut Command, name: &str) -> String {
    let mut out = Vec::new();
    clap_complete::generate(shell, tree, name, &mut out);
    // Command lines are text, and so is what is made of them.
    String::from_utf8_lossy(&out).into_owned()
}

/// The same command line without what is hidden and without the verb `help`.
fn without_hidden(command: &Command) -> Command {
    // A command that was built has these already, and this one gets its own.
    let own = |arg: &&Arg| matches!(arg.get_id().as_str(), "help" | "version");
    let args = command.get_arguments().filter(|arg| !arg.is_hide_set() && !own(arg)).cloned();
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set()).map(without_hidden);
    let mut shown = Command::new(command.get_name().to_owned())
        .disable_help_subcommand(true)
        .disable_help_flag(command.is_disable_help_flag_set())
        .args(args)
        .subcommands(verbs);
    if let Some(about) = command.get_about() {
        shown = shown.about(about.clone());
    }
    if let Some(version) = command.get_version() {
        shown = shown.version(version.to_owned());
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

    #[test]
    fn every_shell_is_told_of_every_visible_verb() {
        for shell in ALL {
            let script = script(shell, command::tree(), "hb");
            for verb in command::tree().get_subcommands().filter(|verb| !verb.is_hide_set()) {
                assert!(script.contains(verb.get_name()), "{shell:?}: {}", verb.get_name());
            }
        }
    }

    #[test]
    fn hidden_verbs_are_no_suggestion() {
        for shell in ALL {
            let script = script(shell, command::tree(), "hb");
            for word in ["witness", "hb,probe)", "hb__subcmd__probe"] {
                assert!(!script.contains(word), "{shell:?}: {word}");
            }
        }
    }
}
