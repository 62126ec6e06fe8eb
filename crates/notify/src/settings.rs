//! Settings with the secrets that they name: from hb.toml, or as `prepare` has laid them down for a
//! process that may not read either. A channel whose secrets cannot be had is left out and told.
#![expect(clippy::disallowed_methods, reason = "edge: reads hb.toml and the files that it names")]

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use hb_config::native;
use hb_config::render::{self, Style};
use hb_config::settings::notify::{Channel, ChannelKind, Mail, MailBy, Notify, Smtp, Webhook};
use hb_config::{Code, Diagnostic, FileState, Severity, dir};
use serde::{Deserialize, Serialize};

/// Longest secret; certificates are longer.
const SECRET_MAX: u64 = 64 * 1024;
/// Longest file of certificates.
const CERTIFICATES_MAX: u64 = 4 << 20;
/// What is said when there is nothing to do.
pub(crate) const NOBODY: &str =
    "[notify] of hb.toml has no channel that can be used: nobody is told";
/// Permissions for others that a secret must not have.
const OTHERS: u32 = 0o007;

/// Contents of files by their path. Not shown.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Contents(BTreeMap<String, String>);

impl Contents {
    /// What the file holds, without the end of its last line.
    pub fn get(&self, path: &str) -> &str {
        self.0.get(path).map_or("", |text| text.trim_end_matches(['\r', '\n']))
    }
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Everything that is needed to send.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// `[notify]`, with the channels that can be used.
    pub notify: Notify,
    /// Secrets and certificates.
    pub contents: Contents,
    /// What is wrong, for people, one text each.
    pub complaints: Vec<String>,
    /// How many channels of hb.toml cannot be used.
    #[serde(default)]
    pub left_out: usize,
}

impl Settings {
    /// Reads hb.toml of `dir`.
    ///
    /// # Errors
    /// In words, when there is nothing to go by.
    pub fn read(dir: &Path) -> Result<Self, String> {
        let files = dir::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let source = match &files.native {
            FileState::Present(source) => source,
            FileState::Missing { name } => return Err(format!("{name} does not exist")),
            FileState::Unreadable { name, reason } => {
                return Err(format!("{name} cannot be read: {reason}"));
            }
        };
        let (parsed, found) = native::parse(source);
        let ours: Vec<Diagnostic> = found.into_iter().filter(is_ours).collect();
        let drawn = render::human(&files, &ours, Style { color: false, width: 100 });
        if ours.iter().any(|it| it.severity == Severity::Error) {
            return Err(drawn);
        }
        let notify = parsed.companions.notify;
        let mut settings = Self { notify, ..Self::default() };
        if !ours.is_empty() {
            settings.complaints.push(drawn);
        }
        settings.take_files();
        Ok(settings)
    }

    /// Reads what `prepare` has written.
    ///
    /// # Errors
    /// In words.
    pub fn prepared(path: &Path) -> Result<Self, String> {
        let text = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// These settings, when nothing of them had to be left out.
    ///
    /// # Errors
    /// What is in the way, in words.
    pub fn whole(self) -> Result<Self, String> {
        if self.left_out == 0 && !self.notify.channels.is_empty() {
            return Ok(self);
        }
        let nobody = self.notify.channels.is_empty().then_some(NOBODY.to_owned());
        Err(self.complaints.into_iter().chain(nobody).collect::<Vec<_>>().join("\n"))
    }

    fn take_files(&mut self) {
        let channels = std::mem::take(&mut self.notify.channels);
        for channel in channels {
            match self.take_files_of(&channel) {
                Ok(()) => self.notify.channels.push(channel),
                Err(why) => {
                    self.left_out += 1;
                    self.complaints.push(format!("channel {} is not used: {why}", channel.name));
                }
            }
        }
    }

    fn take_files_of(&mut self, channel: &Channel) -> Result<(), String> {
        for (path, is_secret) in files_of(channel) {
            let text = if is_secret { secret(path) } else { text(path, CERTIFICATES_MAX) };
            self.contents.0.insert(path.to_owned(), text?);
        }
        Ok(())
    }
}

/// Files that a channel names, and whether they are secret.
fn files_of<'a>(channel: &'a Channel) -> Vec<(&'a str, bool)> {
    let mut files = Vec::new();
    let mut add = |path: Option<&'a String>, is_secret| {
        files.extend(path.map(|path| (path.as_str(), is_secret)));
    };
    match &channel.kind {
        ChannelKind::Mail(Mail { by: MailBy::Smtp(Smtp { login, ca_file, .. }), .. }) => {
            add(login.as_ref().map(|it| &it.password_file), true);
            add(ca_file.as_ref(), false);
        }
        ChannelKind::Webhook(Webhook { token_file, header_file, ca_file, .. }) => {
            add(token_file.as_ref(), true);
            add(header_file.as_ref(), true);
            add(ca_file.as_ref(), false);
        }
        ChannelKind::Mail(Mail { by: MailBy::Sendmail { .. }, .. }) | ChannelKind::Exec { .. } => {}
    }
    files
}

/// What concerns this section, or makes the whole file unreadable.
fn is_ours(found: &Diagnostic) -> bool {
    matches!(
        found.code,
        Code::TomlSyntax
            | Code::NotifyKey
            | Code::NotifyValue
            | Code::NotifyChannel
            | Code::NotifyNobody
            | Code::NotifyClear
    )
}

fn secret(path: &str) -> Result<String, String> {
    let mode = fs::metadata(path).map_err(in_words(path))?.permissions().mode();
    if mode & OTHERS != 0 {
        return Err(format!(
            "{path} holds a secret and has mode {:04o}: others can read it; chmod 600 {path}",
            mode & 0o7777
        ));
    }
    match text(path, SECRET_MAX)? {
        blank if blank.trim().is_empty() => Err(format!("{path} is empty")),
        text => Ok(text),
    }
}

fn text(path: &str, max: u64) -> Result<String, String> {
    let meta = fs::metadata(path).map_err(in_words(path))?;
    if !meta.is_file() || meta.len() > max {
        return Err(format!("{path} is no regular file of at most {max} bytes"));
    }
    fs::read_to_string(path).map_err(in_words(path))
}

fn in_words(path: &str) -> impl Fn(io::Error) -> String {
    move |error| format!("{path}: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_mode(dir: &Path, name: &str, text: &str, mode: u32) -> String {
        let path = dir.join(name);
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
        path.display().to_string()
    }

    #[test]
    fn a_channel_whose_secret_others_can_read_is_left_out_and_told() {
        let check = |text: &str, mode: u32, complaint: Option<&str>| {
            let dir = tempfile::tempdir().expect("a directory");
            let token = with_mode(dir.path(), "token", text, mode);
            let toml = format!(
                "[[notify.webhook]]\nurl = \"https://x.example\"\ntoken_file = \"{token}\"\n\
                 [[notify.exec]]\ncommand = \"/bin/true\"\n"
            );
            with_mode(dir.path(), "hb.toml", &toml, 0o644);
            let settings = Settings::read(dir.path()).expect("settings");
            let names: Vec<&str> =
                settings.notify.channels.iter().map(|it| it.name.as_str()).collect();
            match complaint {
                None => {
                    assert_eq!(names, ["webhook-1", "exec-1"]);
                    assert_eq!(settings.contents.get(&token), "geheim");
                    assert!(!format!("{settings:?}").contains("geheim"));
                }
                Some(words) => {
                    assert_eq!(names, ["exec-1"]);
                    assert!(settings.complaints[0].contains(words), "{settings:?}");
                }
            }
        };
        check("geheim\n", 0o600, None);
        check("geheim\n", 0o640, None);
        check("geheim\n", 0o644, Some("others can read it; chmod 600"));
        check("\n", 0o600, Some("is empty"));
    }

    #[test]
    fn settings_are_taken_over_as_a_whole_or_not_at_all() {
        let check = |toml: &str, refused: Option<&str>| {
            let dir = tempfile::tempdir().expect("a directory");
            with_mode(dir.path(), "hb.toml", toml, 0o644);
            match (Settings::read(dir.path()).and_then(Settings::whole), refused) {
                (Ok(settings), None) => assert_eq!(settings.notify.channels.len(), 1, "{toml}"),
                (Err(error), Some(part)) => assert!(error.contains(part), "{error}"),
                (found, _) => panic!("{toml}: {found:?}"),
            }
        };
        let exec = "[[notify.exec]]\ncommand = \"/bin/true\"\n";
        check(exec, None);
        check(&format!("{exec}unknown = 1\n"), None);
        check("", Some("has no channel that can be used"));
        check("[notify\n", Some("HB0"));
        let hook = "[[notify.webhook]]\nurl = \"https://x.example\"\ntoken_file = \"/nowhere\"\n";
        check(&format!("{exec}{hook}"), Some("channel webhook-1 is not used"));
    }

    #[test]
    fn without_settings_there_is_one_clear_error() {
        let dir = tempfile::tempdir().expect("a directory");
        let error = Settings::read(dir.path()).expect_err("no file");
        assert!(error.contains("hb.toml does not exist"), "{error}");
        with_mode(dir.path(), "hb.toml", "[notify\n", 0o644);
        assert!(Settings::read(dir.path()).expect_err("no TOML").contains("HB0"));
        with_mode(dir.path(), "hb.toml", "[announce]\ncount = 0\n[notify]\nx = 1\n", 0o644);
        let settings = Settings::read(dir.path()).expect("faults of others are not ours");
        assert!(settings.complaints[0].contains("unknown key `x` in [notify]"), "{settings:?}");
    }
}
