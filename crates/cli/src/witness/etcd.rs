//! A lease in etcd, by the JSON gateway of its v3 API. etcd keeps the time: the key vanishes with its
//! lease. The endpoints are asked in turn until one answers.
#![expect(clippy::disallowed_methods, reason = "edge: shares a limit among endpoints")]

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use ureq::Agent;

use super::{Answer, Common};

/// Asks for the lease, renews it, or gives it back.
pub(super) fn ask(endpoints: &[String], key: &str, common: &Common) -> Result<Answer, String> {
    let end = Instant::now() + common.limit();
    let mut last = "no endpoint".to_owned();
    for (index, endpoint) in endpoints.iter().enumerate() {
        let left = end.saturating_duration_since(Instant::now());
        // What is left is shared among those that were not asked yet.
        let others = u32::try_from(endpoints.len() - index).unwrap_or(1);
        if left.is_zero() {
            break;
        }
        let etcd = Etcd::new(endpoint, left / others);
        match etcd.ask(key, common) {
            Ok(answer) => return Ok(answer),
            Err(reason) => last = format!("etcd {endpoint}: {reason}"),
        }
    }
    Err(last)
}

struct Etcd {
    agent: Agent,
    endpoint: String,
}

impl Etcd {
    fn new(endpoint: &str, limit: Duration) -> Self {
        let config = Agent::config_builder().timeout_global(Some(limit)).max_redirects(0);
        let agent = config.http_status_as_error(true).proxy(None).build().into();
        let endpoint = endpoint.trim_end_matches('/');
        let scheme = if endpoint.contains("://") { "" } else { "http://" };
        Self { agent, endpoint: format!("{scheme}{endpoint}") }
    }

    fn ask(&self, key: &str, common: &Common) -> Result<Answer, String> {
        let found = self.get(key)?;
        match (&found, common.release) {
            (Some(held), true) if held.node == common.node => self.revoke(&held.lease)?,
            (Some(_) | None, true) => {}
            (Some(held), false) if held.node == common.node => {
                if !self.renew(&held.lease)? {
                    return self.acquire(key, common);
                }
            }
            (Some(held), false) => {
                return Ok(Answer::Refused(format!("{} has the lease", held.node)));
            }
            (None, false) => return self.acquire(key, common),
        }
        Ok(Answer::Granted)
    }

    /// Puts the key when it is not there, under a lease of its own.
    fn acquire(&self, key: &str, common: &Common) -> Result<Answer, String> {
        // etcd counts whole seconds.
        let ttl = common.lease_ms.div_ceil(1_000).to_string();
        let granted = self.post("lease/grant", &json!({ "TTL": ttl }))?;
        let lease = text(&granted["ID"]).ok_or("no lease was granted")?;
        let key = BASE64.encode(key);
        let put = json!({ "key": key, "value": BASE64.encode(&common.node), "lease": lease });
        let body = json!({
            "compare": [{ "key": key, "target": "CREATE", "create_revision": "0", "result": "EQUAL" }],
            "success": [{ "request_put": put }],
        });
        let done = self.post("kv/txn", &body)?;
        if done["succeeded"] == json!(true) {
            return Ok(Answer::Granted);
        }
        // Nobody else needs it; it ends by itself when this fails.
        let _ = self.revoke(&lease);
        Ok(Answer::Refused("the other node was faster".to_owned()))
    }

    fn get(&self, key: &str) -> Result<Option<Held>, String> {
        let found = self.post("kv/range", &json!({ "key": BASE64.encode(key) }))?;
        let Some(entry) = found["kvs"].get(0) else { return Ok(None) };
        let value = text(&entry["value"]).unwrap_or_default();
        let node = BASE64.decode(value).map_err(|_| "a value that is not base64".to_owned())?;
        let node = String::from_utf8_lossy(&node).into_owned();
        Ok(Some(Held { node, lease: text(&entry["lease"]).unwrap_or_default() }))
    }

    /// Whether the lease was still there.
    fn renew(&self, lease: &str) -> Result<bool, String> {
        let answer = self.post("lease/keepalive", &json!({ "ID": lease }))?;
        let ttl = text(&answer["result"]["TTL"]).and_then(|ttl| ttl.parse::<u64>().ok());
        Ok(ttl.is_some_and(|seconds| seconds > 0))
    }

    fn revoke(&self, lease: &str) -> Result<(), String> {
        self.post("lease/revoke", &json!({ "ID": lease })).map(|_| ())
    }

    fn post(&self, what: &str, body: &Value) -> Result<Value, String> {
        let url = format!("{}/v3/{what}", self.endpoint);
        let mut answer = self
            .agent
            .post(&url)
            .content_type("application/json")
            .send(body.to_string())
            .map_err(|error| error.to_string())?;
        let text = answer.body_mut().read_to_string().map_err(|error| error.to_string())?;
        serde_json::from_str(&text).map_err(|_| "an answer that is not etcd's".to_owned())
    }
}

struct Held {
    node: String,
    lease: String,
}

/// Numbers of 64 bits are texts in etcd's JSON.
fn text(value: &Value) -> Option<String> {
    match (value.as_str(), value.as_u64()) {
        (Some(text), _) => Some(text.to_owned()),
        (None, Some(number)) => Some(number.to_string()),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A real etcd of one member, ended with the test.
    struct Server {
        child: Child,
        endpoint: String,
        _dir: tempfile::TempDir,
    }

    impl Server {
        /// `None` when there is no etcd on this machine.
        fn start() -> Option<Self> {
            let port = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let dir = tempfile::tempdir().unwrap();
            let client = format!("http://127.0.0.1:{}", port());
            let peer = format!("http://127.0.0.1:{}", port());
            let mut command = Command::new("etcd");
            command.arg("--data-dir").arg(dir.path());
            command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
            command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
            command.args(["--initial-cluster", &format!("default={peer}")]);
            let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
            let server = Self { child, endpoint: client, _dir: dir };
            let end = Instant::now() + Duration::from_secs(60);
            let etcd = Etcd::new(&server.endpoint, Duration::from_secs(5));
            while etcd.get("ready").is_err() {
                assert!(Instant::now() < end, "etcd does not answer");
                std::thread::sleep(Duration::from_millis(50));
            }
            Some(server)
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    fn common(node: &str, release: bool) -> Common {
        Common { node: node.into(), lease_ms: 30_000, release, timeout: 10_000 }
    }

    #[test]
    fn one_of_two_nodes_has_it() {
        let Some(server) = Server::start() else {
            assert!(std::env::var_os("HB_FORBID_SKIPS").is_none(), "no etcd to test with");
            crate::print::err("SKIPPED: no etcd to test with\n");
            return;
        };
        let endpoints = ["http://127.0.0.1:1".to_owned(), server.endpoint.clone()];
        let ask = |node: &str, release| ask(&endpoints, "/twinbeat/web", &common(node, release));
        assert_eq!(ask("node1", false), Ok(Answer::Granted));
        assert_eq!(ask("node1", false), Ok(Answer::Granted), "renewed");
        assert!(matches!(ask("node2", false), Ok(Answer::Refused(who)) if who.contains("node1")));
        // Who does not have it gives nothing back.
        assert_eq!(ask("node2", true), Ok(Answer::Granted));
        assert!(matches!(ask("node2", false), Ok(Answer::Refused(_))));
        assert_eq!(ask("node1", true), Ok(Answer::Granted));
        assert_eq!(ask("node2", false), Ok(Answer::Granted));
        // The lease ran out: etcd removes the key with it.
        let etcd = Etcd::new(&server.endpoint, Duration::from_secs(5));
        let held = etcd.get("/twinbeat/web").unwrap().unwrap();
        etcd.revoke(&held.lease).unwrap();
        assert_eq!(ask("node1", false), Ok(Answer::Granted));
    }

    #[test]
    fn nobody_answers() {
        let endpoints = ["127.0.0.1:1".to_owned()];
        let error = ask(&endpoints, "/x", &common("node1", false)).unwrap_err();
        assert!(error.starts_with("etcd 127.0.0.1:1: "), "{error}");
    }
}
