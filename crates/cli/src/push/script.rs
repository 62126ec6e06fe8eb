//! The lines of shell that read and replace the files of the other node (POSIX sh, coreutils). Values
//! in, text out.
//!
//! Replacing is all or nothing: every file is written beside its place, complete, on the disk and with
//! its mode and owner, before the first takes its place; when one cannot, those before it go back.

use std::fmt::Write as _;

use hb_config::span::FileId;
use hb_messaging::auth::cksum;

use super::files::{Change, Copy};
use crate::ssh::quote;

/// What the former file is called.
pub(super) const BEFORE: &str = "before-push";

/// Prints name, files, sizes, modes and owners.
pub(super) fn read(dir: &str) -> String {
    let names = FileId::ALL.map(FileId::file_name).join(" ");
    let dir = quote(dir);
    format!(
        "set -e; cd -- {dir}; name=$(sed -n 1p nodeinfo 2>/dev/null || :); \
         echo \"node ${{name:-$(uname -n)}}\"; for f in {names}; do \
         if [ -e \"$f\" ]; then echo \"file $f $(stat -L -c '%s %a %u %g' -- \"$f\")\"; \
         cat -- \"$f\"; else echo \"none $f\"; fi; done; echo end"
    )
}

/// Replaces files; the contents of the new ones come on the standard input, one after the other.
pub(super) fn replace(dir: &str, changes: &[Change]) -> (String, Vec<u8>) {
    let mut input = Vec::new();
    let mut out = format!("set -e\numask 077\ncd -- {}\n", quote(dir));
    out.push_str("die() { echo \"$1\" >&2; exit 1; }\n");
    // What is staged goes away however this ends.
    let staged: Vec<String> =
        changes.iter().map(|change| format!(".{}.push", change.file.file_name())).collect();
    let _ = writeln!(out, "trap 'rm -f -- {}' EXIT", staged.join(" "));
    for change in changes {
        unchanged(change, &mut out);
        if let Some(new) = &change.new {
            stage(change.file.file_name(), new, &mut out);
            input.extend_from_slice(&new.bytes);
        }
    }
    // From here on a failure, a hang-up or a lost connection puts back what was replaced.
    out.push_str("done=''\n");
    let _ = writeln!(
        out,
        "back() {{ trap - EXIT HUP INT TERM PIPE; for f in $done; do \
         if [ -e \"$f.{BEFORE}\" ]; then cp -p -- \"$f.{BEFORE}\" \".$f.push\" && \
         mv -f -- \".$f.push\" \"$f\"; else rm -f -- \"$f\"; fi; done; rm -f -- {}; \
         echo 'nothing was changed' >&2; exit 1; }}",
        staged.join(" ")
    );
    out.push_str("trap back EXIT HUP INT TERM PIPE\n");
    for change in changes {
        let name = change.file.file_name();
        match change.old {
            Some(_) => drop(writeln!(out, "cp -p -- {name} {name}.{BEFORE}; sync {name}.{BEFORE}")),
            None => drop(writeln!(out, "rm -f -- {name}.{BEFORE}")),
        }
        let _ = writeln!(out, "done=\"$done {name}\"");
        match change.new {
            Some(_) => drop(writeln!(out, "mv -f -- .{name}.push {name}")),
            None => drop(writeln!(out, "rm -f -- {name}")),
        }
    }
    out.push_str("sync .\ntrap - EXIT HUP INT TERM PIPE\necho pushed\n");
    (out, input)
}

/// The file is still the one whose difference was shown.
fn unchanged(change: &Change, out: &mut String) {
    let name = change.file.file_name();
    let _ = match &change.old {
        Some(old) => writeln!(
            out,
            "[ \"$(cksum < {name})\" = '{}' ] || die '{name} has changed there meanwhile'",
            sum(&old.bytes)
        ),
        None => writeln!(out, "[ ! -e {name} ] || die '{name} has appeared there meanwhile'"),
    };
}

fn stage(name: &str, new: &Copy, out: &mut String) {
    let Copy { bytes, mode, owner, group } = new;
    let size = bytes.len();
    let _ = writeln!(
        out,
        "rm -f -- .{name}.push\n\
         head -c {size} > .{name}.push\n\
         [ \"$(cksum < .{name}.push)\" = '{}' ] || die '{name} did not arrive'\n\
         [ \"$(stat -c '%u %g' .{name}.push)\" = '{owner} {group}' ] || \
         chown {owner}:{group} .{name}.push\n\
         chmod {mode:o} .{name}.push\n\
         sync .{name}.push",
        sum(bytes)
    );
}

/// What `cksum` prints of a file on its standard input (POSIX: the length counts, too).
fn sum(bytes: &[u8]) -> String {
    let mut with_length = bytes.to_vec();
    let mut length = bytes.len();
    while length > 0 {
        with_length.push((length & 0xff) as u8);
        length >>= 8;
    }
    format!("{} {}", cksum(&with_length), bytes.len())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "runs the scripts in a shell")]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::path::Path;
    use std::process::{Command, Output, Stdio};

    use super::super::files::parse;
    use super::*;

    fn sh(script: &str, input: &[u8]) -> Output {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    }

    fn look(dir: &Path) -> super::super::files::Side {
        let output = sh(&read(dir.to_str().unwrap()), b"");
        parse(&output.stdout).unwrap().1
    }

    fn change(dir: &Path, file: FileId, new: Option<&str>) -> Change {
        let old = look(dir).remove(&file);
        let meta = fs::metadata(dir).unwrap();
        let new = new.map(|text| Copy {
            bytes: text.as_bytes().to_vec(),
            mode: if file == FileId::AuthKeys { 0o600 } else { 0o644 },
            owner: meta.uid(),
            group: meta.gid(),
        });
        Change { file, old, new }
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let mut names: Vec<String> =
            entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn sums_are_those_of_the_command() {
        let output = sh("cksum", b"123456789");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), sum(b"123456789"));
        assert_eq!(sum(b""), "4294967295 0");
    }

    #[test]
    fn files_are_replaced_with_modes_and_the_former_ones_kept() {
        let dir = tempfile::Builder::new().prefix("it's ").tempdir().unwrap();
        let path = dir.path();
        fs::write(path.join("ha.cf"), "old\n").unwrap();
        fs::write(path.join("hb.toml"), "x = 1\n").unwrap();
        let changes = [
            change(path, FileId::HaCf, Some("new\nlines\n")),
            change(path, FileId::AuthKeys, Some("keys")),
            change(path, FileId::Native, None),
        ];
        let (script, input) = replace(path.to_str().unwrap(), &changes);
        let output = sh(&script, &input);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "pushed\n", "{output:?}");
        assert_eq!(fs::read_to_string(path.join("ha.cf")).unwrap(), "new\nlines\n");
        assert_eq!(fs::read_to_string(path.join("ha.cf.before-push")).unwrap(), "old\n");
        let mode = fs::metadata(path.join("authkeys")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let expect = ["authkeys", "ha.cf", "ha.cf.before-push", "hb.toml.before-push"];
        assert_eq!(names(path), expect);
    }

    #[test]
    fn nothing_changes_when_one_file_cannot() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        fs::write(path.join("ha.cf"), "old\n").unwrap();
        let check = |changes: &[Change], cut: usize, says: &str| {
            let (script, input) = replace(path.to_str().unwrap(), changes);
            let output = sh(&script, input.get(..input.len() - cut).unwrap());
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success() && said.contains(says), "{says}: {output:?}");
            assert_eq!(fs::read_to_string(path.join("ha.cf")).unwrap(), "old\n", "{says}");
        };
        let good = change(path, FileId::HaCf, Some("new\n"));
        // The connection broke.
        let second = change(path, FileId::Native, Some("x = 1\n"));
        check(&[good.clone(), second.clone()], 2, "hb.toml did not arrive");
        // Somebody has edited it since the difference was shown.
        let mut stale = good.clone();
        stale.old.as_mut().unwrap().bytes = b"older\n".to_vec();
        check(&[stale], 0, "has changed there meanwhile");
        // The second cannot take its place: a directory is in the way.
        let mut blocked = second;
        blocked.old = None;
        fs::create_dir(path.join("hb.toml.before-push")).unwrap();
        check(&[good, blocked], 0, "nothing was changed");
        assert_eq!(names(path), ["ha.cf", "ha.cf.before-push", "hb.toml.before-push"]);
    }
}
