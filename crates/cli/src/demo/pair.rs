//! The files of the demo's pair, from its options. Pure text.

use std::path::PathBuf;

use crate::lab;

/// Who serves the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Web {
    /// nginx, started and stopped with the address.
    Nginx(PathBuf),
    /// The built-in server, started and stopped with the address.
    BuiltIn,
    /// The built-in server, running on both nodes; only the address moves.
    Warm,
}

/// What the pair is configured to.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    /// `keepalive`
    pub(super) keepalive_ms: u64,
    /// `deadtime`
    pub(super) deadtime_ms: u64,
    /// `auto_failback`
    pub(super) auto_failback: bool,
    /// Who serves the page.
    pub(super) web: Web,
}

/// The nodes; the first is the one that the group prefers.
pub(super) const NODES: [&str; 2] = ["node1", "node2"];
/// Interface label of the floating address in haresources.
const INTERFACE: &str = lab::PUBLIC;
/// Where a node looks for resource scripts first.
const SCRIPT_DIR: &str = "/etc/ha.d/resource.d";
/// Where nginx' configuration is in a node.
const NGINX_CONF: &str = "/etc/nginx/nginx.conf";
/// Upstream calls a shorter `initdead` than 10 s unwise; both nodes start together here, so it
/// never runs out.
const INITDEAD_MIN_MS: u64 = 10_000;
/// Allowed beyond deadtime after a power loss: the address alone, and with a web server to start.
const ADDRESS_ALLOWANCE_MS: u64 = 10;
const WEB_ALLOWANCE_MS: u64 = 60;
/// Allowed for a planned move: the address alone, and with a web server to stop and start.
const ADDRESS_MOVE_MS: u64 = 10;
const WEB_MOVE_MS: u64 = 100;

/// A file of a node: path, text, mode.
pub(super) type File = (String, String, u32);

impl Pair {
    /// Longest outage that a power loss may cause, in ms.
    pub(super) fn crash_target_ms(&self) -> u64 {
        let allowance = match self.web {
            Web::Warm => ADDRESS_ALLOWANCE_MS,
            Web::Nginx(_) | Web::BuiltIn => WEB_ALLOWANCE_MS,
        };
        self.deadtime_ms + allowance
    }

    /// Longest outage that a planned move may cause, in ms.
    pub(super) fn move_target_ms(&self) -> u64 {
        match self.web {
            Web::Warm => ADDRESS_MOVE_MS,
            Web::Nginx(_) | Web::BuiltIn => WEB_MOVE_MS,
        }
    }

    /// What moves, in words.
    pub(super) fn service(&self) -> &'static str {
        match self.web {
            Web::Nginx(_) => "IPaddr + nginx",
            Web::BuiltIn => "IPaddr + built-in web server",
            Web::Warm => "IPaddr alone",
        }
    }

    /// The files of node `name`. `key` signs the heartbeats. `is_root`: whether the lab has all of
    /// root's rights, or only its own user.
    pub(super) fn files(&self, name: &str, key: &str, is_root: bool) -> Vec<File> {
        let mut files = vec![
            ("/etc/ha.d/ha.cf".to_owned(), self.ha_cf(), 0o644),
            ("/etc/ha.d/haresources".to_owned(), self.haresources(), 0o644),
            ("/etc/ha.d/authkeys".to_owned(), format!("auth 1\n1 sha256 {key}\n"), 0o600),
        ];
        match &self.web {
            Web::Nginx(_) => {
                files.push((NGINX_CONF.to_owned(), nginx_conf(name, is_root), 0o644));
                for (script, text, mode) in SCRIPTS {
                    files.push((format!("{SCRIPT_DIR}/{script}"), text.to_owned(), mode));
                }
            }
            Web::BuiltIn => files.push((
                format!("{SCRIPT_DIR}/demo-httpd"),
                format!("#!{}/{} {}\n", lab::PROGRAMS, lab::SELF, lab::RESOURCE_FLAG),
                0o755,
            )),
            Web::Warm => {}
        }
        files
    }

    fn ha_cf(&self) -> String {
        let failback = if self.auto_failback { "on" } else { "off" };
        let mut text = format!(
            "logfile /var/log/ha-log\nlogfacility none\nkeepalive {}ms\ndeadtime {}ms\n\
             initdead {}ms\nudpport 694\n",
            self.keepalive_ms,
            self.deadtime_ms,
            INITDEAD_MIN_MS.max(self.deadtime_ms),
        );
        for (number, _) in (1..).zip(NODES) {
            text += &format!("ucast {} {}\n", lab::HEARTBEAT, lab::heartbeat_address(number));
        }
        for (number, _) in (1..).zip(NODES) {
            text += &format!("ucast {} {}\n", lab::PUBLIC, lab::public_address(number));
        }
        text + &format!("auto_failback {failback}\nnode {}\n", NODES.join(" "))
    }

    fn haresources(&self) -> String {
        let [preferred, _] = NODES;
        let web = match self.web {
            Web::Nginx(_) => " nginx",
            Web::BuiltIn => " demo-httpd",
            Web::Warm => "",
        };
        format!("{preferred} IPaddr::{}/{}/{INTERFACE}{web}\n", lab::FLOATING, lab::PREFIX)
    }
}

/// Resource scripts of the project that the demo needs, as files of this program, so that it runs
/// wherever the two binaries are: name, text, mode.
const SCRIPTS: [(&str, &str, u32); 2] = [
    (".functions", include_str!("../../../../resource.d/.functions"), 0o644),
    ("nginx", include_str!("../../../../resource.d/nginx"), 0o755),
];

/// One page that names the node. In a user namespace there is only one user, to whom nginx need not
/// and cannot change; a master process would insist on it.
fn nginx_conf(name: &str, is_root: bool) -> String {
    let processes = if is_root { "worker_processes 1;" } else { "user root; master_process off;" };
    format!(
        "{processes}\npid /run/nginx.pid;\nerror_log /var/log/nginx-error.log;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n  access_log off;\n  default_type text/html;\n  server {{\n    \
         listen 80 backlog=511;\n    location / {{\n      add_header {header} {name};\n      \
         return 200 '{page}';\n    }}\n  }}\n}}\n",
        header = lab::SERVED_BY,
        page = lab::page_html(name).trim_end(),
    )
}
