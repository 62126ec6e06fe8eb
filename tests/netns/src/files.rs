//! The files of a pair: ha.cf, haresources, authkeys, hb.toml, agents. Text only; nothing is
//! written here.

use hb_cli::lab;

/// Names of the two nodes.
pub const NODES: [&str; 2] = ["node1", "node2"];
/// A floating address as haresources has it, on the public network.
pub const ADDRESS: &str = "IPaddr::192.0.2.100/24/eth0";
/// Another one.
pub const ADDRESS2: &str = "IPaddr::192.0.2.101/24/eth0";
/// Where the test agents write what they do, and find what they shall do otherwise.
pub const AGENT_DIR: &str = "/var/log/agents";
/// What the test agents have done on a node, one action per line.
pub const JOURNAL: &str = "/var/log/agents/journal";
/// Resource scripts of a node.
pub const SCRIPT_DIR: &str = "/etc/ha.d/resource.d";
/// The key of both nodes.
pub const KEY: &str = "a-key-of-the-tests-with-32-bytes";
/// authkeys of both nodes.
pub const KEYS: &str = "auth 1\n1 sha256 a-key-of-the-tests-with-32-bytes\n";
/// Where nginx is configured.
pub const NGINX_CONF: &str = "/etc/nginx/nginx.conf";

/// Resource scripts of the project: name, text, mode.
pub const SHIPPED: [(&str, &str, u32); 5] = [
    (".functions", include_str!("../../../resource.d/.functions"), 0o644),
    ("nginx", include_str!("../../../resource.d/nginx"), 0o755),
    ("haproxy", include_str!("../../../resource.d/haproxy"), 0o755),
    ("Dummy", include_str!("../../../resource.d/Dummy"), 0o755),
    ("Delay", include_str!("../../../resource.d/Delay"), 0o755),
];

/// The body of every test agent: it notes what it is asked, does what a file in [`AGENT_DIR`]
/// says in its stead, and is otherwise nothing but a state file. `name` and `action` are set.
const AGENT: &str = r#"
echo "$name $action" >> /var/log/agents/journal
if [ -e "/var/log/agents/$name.$action" ]; then . "/var/log/agents/$name.$action"; fi
state="/run/agent-$name"
"#;

/// `resource.d/agent::NAME`: judged by the text of `status`.
pub const SCRIPT_AGENT: &str = r#"case $action in
    start) : > "$state" ;;
    stop) rm -f "$state" ;;
    status) if [ -e "$state" ]; then echo running; else echo stopped; fi ;;
    *) exit 2 ;;
esac
"#;

/// As an init script and as an OCF agent: judged by exit codes, and silent.
const CODE_AGENT: &str = r#"case $action in
    start) : > "$state" ;;
    stop) rm -f "$state" ;;
    status | monitor) [ -e "$state" ] || exit $stopped ;;
    *) exit 2 ;;
esac
"#;

/// A script of resource.d that is called `agent::NAME`.
pub fn script_agent() -> String {
    format!("#!/bin/sh\nname=$1 action=$2\n{AGENT}{SCRIPT_AGENT}")
}

/// An init script called `name`.
pub fn lsb_agent(name: &str) -> String {
    format!("#!/bin/sh\nname={name} action=$1 stopped=3\n{AGENT}{CODE_AGENT}")
}

/// An OCF agent, named by its parameter `name`.
pub fn ocf_agent() -> String {
    format!("#!/bin/sh\nname=$OCF_RESKEY_name action=$1 stopped=7\n{AGENT}{CODE_AGENT}")
}

/// What makes up a pair. The same on both nodes but for the keys.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Milliseconds.
    pub deadtime_ms: u32,
    /// Milliseconds; upstream calls less than 10 s unwise, and a test cannot wait for it.
    pub initdead_ms: u32,
    /// The lines that name the links.
    pub media: String,
    /// Further lines of ha.cf.
    pub further: String,
    /// `auto_failback`.
    pub failback: &'static str,
    /// haresources.
    pub haresources: String,
    /// hb.toml.
    pub native: String,
    /// authkeys of the two nodes.
    pub keys: [String; 2],
    /// Folders besides the lab's own that keep their content and are the node's own.
    pub kept: Vec<String>,
    /// Whether the web server of the lab runs on both nodes at all times, so that whoever has the
    /// address serves.
    pub web: bool,
}

/// hb.toml: what failed counts for a moment only, so that a test need not wait for ten minutes.
pub const FORGIVING: &str = "[recovery]\nwindow = \"2s\"\nretry = \"1s\"\n";

impl Setup {
    /// Unicast on both networks, failback on, dead after a second: no shorter than what a loaded
    /// machine bears.
    pub fn new(haresources: &str) -> Self {
        Self {
            deadtime_ms: 1_000,
            initdead_ms: 2_000,
            media: [ucast(lab::HEARTBEAT), ucast(lab::PUBLIC)].concat(),
            further: String::new(),
            failback: "on",
            haresources: haresources.to_owned(),
            native: "[failure]\noffer_delay = \"200ms\"\nstop_retries = 1\n\
                     stop_retry_delay = \"100ms\"\n[operations]\nkill_grace = \"200ms\"\n"
                .to_owned(),
            keys: [KEYS.to_owned(), KEYS.to_owned()],
            kept: Vec::new(),
            web: false,
        }
    }

    /// Slower to find anything wrong, for cases in which all must be well.
    #[must_use]
    pub fn calm(self) -> Self {
        Self { deadtime_ms: 3_000, initdead_ms: 3_000, ..self }
    }

    /// One address that prefers node1, and whoever has it serves.
    pub fn web() -> Self {
        Self { web: true, ..Self::new(&format!("node1 {ADDRESS}\n")) }
    }

    /// Adds addresses without asking whether another host has them: both nodes get one when no
    /// heartbeat passes, though the network between their clients and them works.
    #[must_use]
    pub fn unasked(mut self) -> Self {
        self.native.push_str("[address]\nprobe = \"0ms\"\n");
        self
    }

    /// The files of node number `index`: path, text, mode.
    pub fn files(&self, index: usize) -> Vec<(String, String, u32)> {
        let mut files = vec![
            ("/etc/ha.d/ha.cf".to_owned(), self.ha_cf(), 0o644),
            ("/etc/ha.d/haresources".to_owned(), self.haresources.clone(), 0o644),
            ("/etc/ha.d/authkeys".to_owned(), self.keys[index].clone(), 0o600),
            ("/etc/ha.d/hb.toml".to_owned(), self.native.clone(), 0o644),
            (format!("{SCRIPT_DIR}/agent"), script_agent(), 0o755),
            (JOURNAL.to_owned(), String::new(), 0o644),
        ];
        for (name, text, mode) in SHIPPED {
            files.push((format!("{SCRIPT_DIR}/{name}"), text.to_owned(), mode));
        }
        files
    }

    fn ha_cf(&self) -> String {
        format!(
            "logfile /var/log/ha-log\nlogfacility none\nkeepalive 100ms\ndeadtime {}ms\n\
             warntime {}ms\ninitdead {}ms\nudpport 694\n{}auto_failback {}\nnode {}\n{}",
            self.deadtime_ms,
            // Late enough for a loaded machine.
            self.deadtime_ms / 10 * 9,
            self.initdead_ms,
            self.media,
            self.failback,
            NODES.join(" "),
            self.further,
        )
    }
}

/// Unicast to both nodes on one network; a node ignores its own packets.
pub fn ucast(interface: &str) -> String {
    let address =
        if interface == lab::PUBLIC { lab::public_address } else { lab::heartbeat_address };
    format!("ucast {interface} {}\nucast {interface} {}\n", address(1), address(2))
}

/// nginx with one page that names the node. In a user namespace there is only one user, to whom
/// nginx need not and cannot change; a master process would insist on it.
pub fn nginx_conf(node: &str, listen: &str) -> String {
    let processes = if lab::is_machines_root() {
        "worker_processes 1;"
    } else {
        "user root; master_process off;"
    };
    format!(
        "{processes}\npid /run/nginx.pid;\nerror_log /var/log/nginx-error.log;\n\
         events {{ worker_connections 512; }}\n\
         http {{\n  access_log off;\n  server {{\n    listen {listen};\n    location / {{\n      \
         add_header X-Served-By {node};\n      return 200 '{node}';\n    }}\n  }}\n}}\n"
    )
}
