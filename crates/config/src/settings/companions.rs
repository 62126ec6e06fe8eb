//! What hb.toml says to the programs beside the daemon. It is no part of [`super::Settings`]: the daemon
//! never sees it, nodes do not compare it, and a change of it is no change of the cluster.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::notify::{ChannelKind, Mail, MailBy, Notify, Webhook};

/// Where `hb serve` listens when nothing else is said. Not a registered port.
pub const SERVE_PORT: u16 = 9694;

/// The sections of all companions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Companions {
    /// `[serve]`
    pub serve: Serve,
    /// `[notify]`
    pub notify: Notify,
}

impl Companions {
    /// Files with secrets that the sections name: tokens, passwords, private keys.
    pub fn secret_files(&self) -> Vec<&str> {
        let serve = [&self.serve.token_file, &self.serve.key_file];
        let channels = self.notify.channels.iter().flat_map(|channel| match &channel.kind {
            ChannelKind::Mail(Mail { by: MailBy::Smtp(smtp), .. }) => {
                vec![smtp.login.as_ref().map(|login| login.password_file.as_str())]
            }
            ChannelKind::Webhook(Webhook { token_file, header_file, .. }) => {
                vec![token_file.as_deref(), header_file.as_deref()]
            }
            ChannelKind::Mail(Mail { by: MailBy::Sendmail { .. }, .. })
            | ChannelKind::Exec { .. } => Vec::new(),
        });
        serve.into_iter().map(Option::as_deref).chain(channels).flatten().collect()
    }
}

/// `[serve]`: the status page, metrics and checks over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serve {
    /// Where it listens; never empty.
    pub listen: Vec<SocketAddr>,
    /// A file whose only line is what clients must show; absolute.
    pub token_file: Option<String>,
    /// Certificate chain, PEM; absolute. Together with `key_file`.
    pub cert_file: Option<String>,
    /// Private key, PEM; absolute.
    pub key_file: Option<String>,
    /// Other addresses than loopback may do without a token and without TLS.
    pub insecure: bool,
}

impl Default for Serve {
    fn default() -> Self {
        let listen = vec![
            (Ipv4Addr::LOCALHOST, SERVE_PORT).into(),
            (Ipv6Addr::LOCALHOST, SERVE_PORT).into(),
        ];
        Self { listen, token_file: None, cert_file: None, key_file: None, insecure: false }
    }
}

impl Serve {
    /// Whether everything that it listens on is this machine itself.
    pub fn is_local(&self) -> bool {
        self.listen.iter().all(|address| address.ip().to_canonical().is_loopback())
    }

    /// Why this would show the pair to others, or cannot work; `None` when it is fine.
    pub fn refusal(&self) -> Option<String> {
        match (&self.cert_file, &self.key_file) {
            (Some(_), None) => return Some("cert_file needs key_file".to_owned()),
            (None, Some(_)) => return Some("key_file needs cert_file".to_owned()),
            (Some(_), Some(_)) | (None, None) => {}
        }
        if self.is_local() || self.insecure {
            return None;
        }
        let missing = match (&self.token_file, &self.cert_file) {
            (Some(_), Some(_)) => return None,
            (None, Some(_)) => "a token (token_file)",
            (Some(_), None) => "TLS (cert_file and key_file)",
            (None, None) => "a token (token_file) and TLS (cert_file and key_file)",
        };
        let open = self.listen.iter().find(|address| !address.ip().to_canonical().is_loopback());
        let open = open.map(ToString::to_string).unwrap_or_default();
        Some(format!("{open} is open to the network: that needs {missing}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_reach_needs_a_token_and_tls() {
        let check = |listen: &str, has: [bool; 3], insecure: bool, expect: Option<&str>| {
            let file = |has: bool| has.then(|| "/x".to_owned());
            let [token_file, cert_file, key_file] = has.map(file);
            let listen = vec![listen.parse().unwrap()];
            let serve = Serve { listen, token_file, cert_file, key_file, insecure };
            let refusal = serve.refusal();
            match expect {
                None => assert_eq!(refusal, None, "{serve:?}"),
                Some(part) => {
                    assert!(refusal.as_ref().is_some_and(|it| it.contains(part)), "{refusal:?}")
                }
            }
        };
        let (none, token, tls, both) =
            ([false; 3], [true, false, false], [false, true, true], [true; 3]);
        for local in ["127.0.0.1:80", "127.9.9.9:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
            check(local, none, false, None);
            check(local, token, false, None);
        }
        for open in ["0.0.0.0:80", "[::]:80", "10.0.0.1:80"] {
            check(open, none, false, Some("a token (token_file) and TLS"));
            check(open, token, false, Some("needs TLS"));
            check(open, tls, false, Some("needs a token"));
            check(open, both, false, None);
            check(open, none, true, None);
        }
        check("[::1]:80", [false, true, false], true, Some("cert_file needs key_file"));
        check("[::1]:80", [false, false, true], true, Some("key_file needs cert_file"));
    }

    #[test]
    fn nothing_said_is_loopback_of_both_families() {
        let serve = Serve::default();
        assert!(serve.is_local() && serve.listen.len() == 2);
    }
}
