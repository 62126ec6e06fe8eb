//! Finds the file of an agent and says exactly what is wrong when there is none that can run. It
//! reads the file system and changes nothing.
#![expect(clippy::disallowed_methods, reason = "edge: looks at agents' files")]

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use hb_config::settings::AgentSpec;
use nix::errno::Errno;

use crate::agent::{self, Candidate, Class, Places};
use crate::operation::Action;

/// How much of a script is searched for the word of a stock wrapper; those are far smaller.
const SCRIPT_MAX: u64 = 64 * 1024;
/// Longest first line that is read to name an interpreter (the kernel's own limit).
const FIRST_LINE_MAX: u64 = 256;
/// A script says in a comment of its first [`HEADER_MAX`] bytes which actions it understands besides
/// `start`, `stop` and `status`: `# heartbeat-actions: validate`.
const ACTIONS_WORD: &str = "heartbeat-actions:";
/// See [`ACTIONS_WORD`].
const HEADER_MAX: u64 = 2 * 1024;
/// Sourced by the wrappers of Heartbeat and resource-agents, and by nothing else.
const STOCK_WORD: &str = "hto-mapfuncs";

/// The scripts that only call the daemon's own code, as shipped.
const SHIPPED: [(&str, &str); 4] = [
    ("IPaddr", include_str!("../../../../resource.d/IPaddr")),
    ("IPaddr2", include_str!("../../../../resource.d/IPaddr2")),
    ("IPv6addr", include_str!("../../../../resource.d/IPv6addr")),
    ("SendArp", include_str!("../../../../resource.d/SendArp")),
];

/// The first candidate that is a regular executable file, as Heartbeat 3.0.6 searches.
///
/// # Errors
/// A sentence that names each file looked at, what is wrong with it, and what to do.
pub(super) fn find(spec: &AgentSpec, places: &Places) -> Result<Candidate, String> {
    let candidates = agent::candidates(spec, places).map_err(|error| error.to_string())?;
    let mut problems = Vec::new();
    for candidate in candidates {
        match problem(&candidate.path) {
            None => return Ok(candidate),
            Some(problem) => problems.push(problem),
        }
    }
    Err(format!("no agent that can run: {}", problems.join("; ")))
}

/// What keeps `path` from being executed, as far as its file says.
fn problem(path: &Path) -> Option<String> {
    let shown = path.display();
    match fs::metadata(path) {
        Err(error) => Some(explain_missing(path, &error)),
        Ok(meta) if !meta.is_file() => Some(format!("{shown} is not a regular file")),
        Ok(meta) if meta.permissions().mode() & 0o111 == 0 => {
            let mode = meta.permissions().mode() & 0o7777;
            Some(format!("{shown} is not executable (mode {mode:04o}): chmod 0755 it"))
        }
        Ok(_) => None,
    }
}

/// Names the first component of `path` that cannot be passed.
fn explain_missing(path: &Path, error: &io::Error) -> String {
    let mut parents: Vec<&Path> = path.ancestors().skip(1).collect();
    parents.reverse();
    for parent in parents {
        match fs::metadata(parent) {
            Err(error) => return explain_one(parent, &error),
            Ok(meta) if !meta.is_dir() => {
                return format!("{} is not a directory", parent.display());
            }
            Ok(_) => {}
        }
    }
    explain_one(path, error)
}

fn explain_one(path: &Path, error: &io::Error) -> String {
    let shown = path.display();
    if error.kind() != io::ErrorKind::NotFound {
        return format!("{shown}: {error}");
    }
    match fs::read_link(path) {
        Ok(target) => format!("{shown} is a link to {}, which does not exist", target.display()),
        Err(_) => format!("{shown} does not exist"),
    }
}

/// Why the kernel refused to execute `path`, and what to do.
pub(super) fn explain_spawn(path: &Path, error: &io::Error) -> String {
    let shown = path.display();
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT | Errno::ENOTDIR) => problem(path).unwrap_or_else(|| {
            let line = first_line(path);
            format!("{shown}: the interpreter in its first line does not exist: `{line}`")
        }),
        Some(Errno::EACCES) => problem(path).unwrap_or_else(|| {
            format!(
                "{shown}: permission denied though its mode allows it: look for a `noexec` mount, \
                 for an interpreter that is not executable (`{}`), and for denials of SELinux or \
                 AppArmor",
                first_line(path)
            )
        }),
        Some(Errno::ENOEXEC) => format!(
            "{shown} is neither a program of this machine nor a script that names its \
             interpreter: begin it with `#!/bin/sh`"
        ),
        Some(Errno::EAGAIN) => format!(
            "{shown}: no process left ({error}): raise the limit of processes (TasksMax of the \
             unit, `ulimit -u`, kernel.pid_max)"
        ),
        Some(Errno::ENOMEM) => format!("{shown}: no memory to start it ({error})"),
        Some(Errno::E2BIG) => {
            format!("{shown}: its arguments and variables are too long ({error}): shorten them")
        }
        Some(Errno::EMFILE | Errno::ENFILE) => {
            format!("{shown}: no file descriptor left ({error}): raise LimitNOFILE of the unit")
        }
        Some(_) | None => format!("{shown}: {error}"),
    }
}

fn first_line(path: &Path) -> String {
    let bytes = read_start(path, FIRST_LINE_MAX).unwrap_or_default();
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    String::from_utf8_lossy(line).chars().filter(|c| !c.is_control()).collect()
}

fn read_start(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether a script of somebody's own stands in for built-in work of that name: one that is neither
/// ours nor a stock wrapper. Of stock wrappers only that word is looked for.
///
/// A script that cannot be read is taken as somebody's own: ignoring it would be the silent choice.
pub(super) fn overridden(name: &str, places: &Places) -> bool {
    let Some((_, shipped)) = SHIPPED.iter().find(|(one, _)| *one == name) else { return false };
    let spec = AgentSpec::Script { name: name.to_owned(), args: Vec::new() };
    match find(&spec, places) {
        Ok(Candidate { class: Class::Heartbeat, path }) => match read_start(&path, SCRIPT_MAX) {
            Ok(bytes) => {
                let word = STOCK_WORD.as_bytes();
                let is_stock = bytes.windows(word.len()).any(|window| window == word);
                !is_stock && bytes != shipped.as_bytes()
            }
            Err(_) => true,
        },
        Ok(_) | Err(_) => false,
    }
}

/// Whether the agent knows what `action` means. OCF has a word for each action, and systemd is asked
/// for the unit's state; a script is only ever told to validate when it says that it can.
pub(super) fn understands(found: &Candidate, action: Action) -> bool {
    match (found.class, action) {
        (Class::Ocf | Class::Systemd, _)
        | (_, Action::Status | Action::Start | Action::Stop | Action::Announce) => true,
        (Class::Heartbeat | Class::Lsb, Action::Validate) => {
            let header = read_start(&found.path, HEADER_MAX).unwrap_or_default();
            declares(&String::from_utf8_lossy(&header), action.word())
        }
    }
}

fn declares(header: &str, word: &str) -> bool {
    let actions = |line: &'_ str| -> Option<bool> {
        let list = line.strip_prefix('#')?.trim_start().strip_prefix(ACTIONS_WORD)?;
        Some(list.split_ascii_whitespace().any(|one| one == word))
    };
    header.lines().any(|line| actions(line) == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_the_kernel_name_the_file_and_the_cure() {
        let check = |errno: Errno, word: &str| {
            let error = io::Error::from_raw_os_error(errno as i32);
            let said = explain_spawn(Path::new("/bin/sh"), &error);
            assert!(said.starts_with("/bin/sh: ") || said.starts_with("/bin/sh is "), "{said}");
            assert!(said.contains(word), "{word:?} in {said}");
        };
        check(Errno::EAGAIN, "TasksMax");
        check(Errno::ENOMEM, "no memory");
        check(Errno::E2BIG, "too long");
        check(Errno::ENOEXEC, "#!/bin/sh");
        check(Errno::EACCES, "noexec");
        check(Errno::ENOENT, "interpreter");
        check(Errno::EMFILE, "LimitNOFILE");
        check(Errno::EIO, "");
    }

    #[test]
    fn scripts_declare_what_they_understand_in_a_comment() {
        let check =
            |header: &str, expect| assert_eq!(declares(header, "validate"), expect, "{header}");
        check("#!/bin/sh\n# heartbeat-actions: validate\n", true);
        check("#!/bin/sh\r\n#heartbeat-actions: reload validate\r\n", true);
        check("# heartbeat-actions: validate-all", false);
        check("# heartbeat-actions:", false);
        check("echo heartbeat-actions: validate", false);
        check("# see heartbeat-actions: validate", false);
        check("", false);
    }

    #[test]
    fn the_first_component_that_is_missing_is_named() {
        let check = |path: &str, expect: &str| {
            assert_eq!(problem(Path::new(path)).as_deref(), Some(expect));
        };
        check("/no/such/dir/script", "/no does not exist");
        check("/dev/null/script", "/dev/null is not a directory");
        check("/dev/null", "/dev/null is not a regular file");
        check("/dev/nothing-here", "/dev/nothing-here does not exist");
    }
}
