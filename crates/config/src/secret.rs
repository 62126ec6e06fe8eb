//! Which parameters of a resource are secrets, and the resource without them. A resource is named by its
//! text in status, logs, history and metrics, which everybody on the machine may read, so the text is
//! covered where it is read and never again uncovered.

use std::ops::Range;

use crate::settings::AgentSpec;

/// What stands in the place of a secret. Always as long as this: the length of a key helps to
/// guess it.
pub(crate) const COVER: &str = "********";

/// Parameter names whose values are covered, as parts of the name in lower case.
pub(crate) const SECRET_NAMES: [&str; 8] =
    ["passw", "passphrase", "secret", "token", "community", "credential", "api_key", "apikey"];

/// Whether a parameter of this name holds a secret.
fn is_secret(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|part| lower.contains(part))
}

/// The values of one resource that are covered; `word` begins at `start`.
pub(crate) fn secret_values(word: &str, mut start: usize) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for piece in word.split("::") {
        if let Some((name, value)) = piece.split_once('=')
            && is_secret(name)
            && !value.is_empty()
        {
            found.push(start + name.len() + 1..start + piece.len());
        }
        start += piece.len() + 2;
    }
    found
}

/// One resource of haresources with the values of parameters named like passwords covered.
pub fn cover_resource(word: &str) -> String {
    let mut text = String::new();
    let mut at = 0;
    for secret in secret_values(word, 0) {
        text.push_str(word.get(at..secret.start).unwrap_or_default());
        text.push_str(COVER);
        at = secret.end;
    }
    text + word.get(at..).unwrap_or_default()
}

/// The secrets among the parameters of an agent: what must not be shown when it repeats them.
pub fn secrets_of(agent: &AgentSpec) -> Vec<&str> {
    let values: Vec<&str> = match agent {
        AgentSpec::Script { args, .. } => {
            let named = args.iter().filter_map(|arg| arg.split_once('='));
            named.filter(|(name, _)| is_secret(name)).map(|(_, value)| value).collect()
        }
        AgentSpec::Ocf { parameters, .. } => {
            let secret = parameters.iter().filter(|(name, _)| is_secret(name));
            secret.map(|(_, value)| value.as_str()).collect()
        }
        AgentSpec::Systemd { .. } => Vec::new(),
    };
    values.into_iter().filter(|value| !value.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::haresources::parse_resource;

    #[test]
    fn one_resource_is_covered_by_itself() {
        let check = |word: &str, expect: &str| assert_eq!(cover_resource(word), expect);
        check("nginx", "nginx");
        check("10.0.0.50/24/eth0", "10.0.0.50/24/eth0");
        check("ocf::h:db::user=u::passwd=pw::x=1", "ocf::h:db::user=u::passwd=********::x=1");
        check("ocf::h:db::api_token=t", "ocf::h:db::api_token=********");
        check("ocf::h:db::SSL_Passphrase=t", "ocf::h:db::SSL_Passphrase=********");
        check("mount::credentials=/root/c::/srv", "mount::credentials=********::/srv");
        check("db::password=", "db::password=");
    }

    #[test]
    fn the_agent_gets_what_its_name_does_not_show() {
        let check = |word: &str, text: &str, expect: &[&str]| {
            let spec = parse_resource(word).expect("a resource");
            assert_eq!(spec.text, text);
            assert_eq!(secrets_of(&spec.agent), expect);
        };
        check("ocf::h:db::user=u::passwd=p=w", "ocf::h:db::user=u::passwd=********", &["p=w"]);
        check("db::u::token=t", "db::u::token=********", &["t"]);
        check("systemd::nginx", "systemd::nginx", &[]);
    }
}
