//! The shipped scripts of `resource.d`, run by the runner: against fakes, and nginx and HAProxy
//! themselves in a network namespace of the test's own.
#![cfg(feature = "exec")]
#![expect(clippy::disallowed_methods, reason = "these tests write agents and start programs")]

mod bench;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use hb_resource::exec::watch::{Search, Ticks, Watched};
use hb_resource::operation::{Action, Outcome};

use bench::{Bench, LONG, PATH, is_alive, operation, reason, script, short, skip, until};

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../resource.d").canonicalize().unwrap()
}

/// A bench over the shipped scripts, with a directory of fakes before the programs of the system.
fn bench() -> Bench {
    let mut bench = Bench::new();
    fs::create_dir(bench.path("bin")).unwrap();
    bench.config.resource_dirs = vec![shipped()];
    let path = format!("{}:{PATH}", bench.path("bin").display());
    for (name, value) in &mut bench.config.environment {
        if name == "PATH" {
            value.clone_from(&path);
        }
    }
    bench
}

#[test]
fn every_script_is_executable_and_plain_posix_shell() {
    let mut names = Vec::new();
    for entry in fs::read_dir(shipped()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let parsed = Command::new("sh").arg("-n").arg(&path).status().unwrap();
        assert!(parsed.success(), "{name}");
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        // A resource is a regular executable file; what is sourced must not be one.
        assert_eq!(mode & 0o111 == 0, name.starts_with('.'), "{name} {mode:o}");
        names.push(name);
    }
    names.sort();
    let expect = [
        ".functions",
        "Delay",
        "Dummy",
        "Filesystem",
        "IPaddr",
        "IPaddr2",
        "IPsrcaddr",
        "IPv6addr",
        "MailTo",
        "SendArp",
        "apache",
        "haproxy",
        "nginx",
    ];
    assert_eq!(names, expect);
    let paths = names.iter().map(|name| shipped().join(name));
    match Command::new("shellcheck").arg("-x").args(paths).output() {
        Ok(found) => assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stdout)),
        Err(_) => skip("shellcheck is not installed"),
    }
}

#[tokio::test]
async fn address_scripts_call_hb() {
    let bench = bench();
    bench.script("bin/hb", r#"echo "$*" >$D/call; echo running"#);
    let check = async |name: &str, argument: &str, action, expect: &str| {
        let outcome = bench.run(script(name, &[argument]), action).await;
        assert_eq!(outcome, Outcome::Ok, "{name} {argument}");
        assert_eq!(bench.read("call"), format!("{expect}\n"));
    };
    check("IPaddr", "10.0.0.9", Action::Start, "address start 10.0.0.9").await;
    let long = "10.0.0.9/24/eth0:0/10.0.0.255";
    check("IPaddr2", long, Action::Stop, &format!("address stop {long}")).await;
    check("IPv6addr", "fd00::9/64/eth0", Action::Status, "address status fd00::9/64/eth0").await;
    let arp = "address announce 10.0.0.9/32/eth0";
    check("SendArp", "10.0.0.9/eth0", Action::Start, arp).await;
    check("SendArp", "10.0.0.9/eth0", Action::Status, arp).await;
    check("SendArp", "fd00::9/eth0", Action::Start, "address announce fd00::9/128/eth0").await;
    check("SendArp", "10.0.0.9/eth0", Action::Stop, "address announce fd00::9/128/eth0").await;
    let outcome = bench.run(script("SendArp", &["10.0.0.9/eth0"]), Action::Status).await;
    assert_eq!(outcome, Outcome::NotRunning);
    let outcome = bench.run(script("IPaddr", &[]), Action::Start).await;
    assert!(reason(&outcome).starts_with("usage: IPaddr ADDRESS"), "{outcome:?}");
}

/// Arguments become parameters as in the wrappers of Heartbeat 3.0.6.
#[tokio::test]
async fn an_installed_ocf_agent_does_the_work() {
    let bench = bench();
    let body = r#"{ echo "$*"; env | grep -E '^OCF_RES(KEY|OURCE_INSTANCE)' | sort; } >$D/seen
        [ ! -e $D/code ] || . $D/code
        exit ${code:-0}"#;
    for kind in ["Filesystem", "IPsrcaddr", "MailTo", "apache"] {
        bench.script(&format!("ocf/resource.d/heartbeat/{kind}"), body);
    }
    let check = async |name: &str, args: &[&str], action, expect: &[&str]| {
        assert_eq!(bench.run(script(name, args), action).await, Outcome::Ok, "{name} {args:?}");
        assert_eq!(bench.read("seen").lines().collect::<Vec<_>>(), expect);
    };
    check(
        "Filesystem",
        &["/dev/sda1", "/mnt", "ext4", "noatime,ro"],
        Action::Start,
        &[
            "start",
            "OCF_RESKEY_device=/dev/sda1",
            "OCF_RESKEY_directory=/mnt",
            "OCF_RESKEY_fstype=ext4",
            "OCF_RESKEY_options=noatime,ro",
            "OCF_RESOURCE_INSTANCE=Filesystem_/dev/sda1",
        ],
    )
    .await;
    check(
        "IPsrcaddr",
        &["10.0.0.9"],
        Action::Status,
        &["monitor", "OCF_RESKEY_ipaddress=10.0.0.9", "OCF_RESOURCE_INSTANCE=IPsrcaddr"],
    )
    .await;
    check(
        "MailTo",
        &["root@example.org", "Web"],
        Action::Stop,
        &[
            "stop",
            "OCF_RESKEY_email=root@example.org",
            "OCF_RESKEY_subject=Web",
            "OCF_RESOURCE_INSTANCE=MailTo",
        ],
    )
    .await;
    check(
        "apache",
        &["/etc/a.conf"],
        Action::Start,
        &["start", "OCF_RESKEY_configfile=/etc/a.conf", "OCF_RESOURCE_INSTANCE=apache_/etc/a.conf"],
    )
    .await;
    for (code, expect) in [(0, "ok"), (3, "ok"), (1, "failed 1"), (6, "failed 6")] {
        bench.file("code", &format!("code={code}\n"), 0o644);
        let outcome = bench.run(script("apache", &[]), Action::Validate).await;
        assert_eq!(short(&outcome), expect, "{code}");
        assert!(bench.read("seen").starts_with("validate-all\n"));
    }
    for (code, expect) in [(0, "ok"), (7, "not running"), (1, "not running"), (5, "could not run")]
    {
        bench.file("code", &format!("code={code}\n"), 0o644);
        let outcome = bench.run(script("apache", &[]), Action::Status).await;
        assert_eq!(short(&outcome), expect, "{code}");
    }
}

#[tokio::test]
async fn resources_that_are_a_fact_start_and_stop() {
    let bench = bench();
    bench.script("bin/mail", r#"cat >/dev/null; echo "$2 for $3" >>$D/mails"#);
    for (name, args) in [
        ("Dummy", &[][..]),
        ("Dummy", &["a/../b", "c"]),
        ("Delay", &["0.01"]),
        ("Delay", &["0", "0.01"]),
        ("MailTo", &["root@example.org", "Web pair"]),
    ] {
        let run = async |action| bench.run(script(name, args), action).await;
        for _ in 0..2 {
            assert_eq!(run(Action::Status).await, Outcome::NotRunning, "{name} {args:?}");
            assert_eq!(run(Action::Stop).await, Outcome::Ok);
            assert_eq!(run(Action::Start).await, Outcome::Ok);
            assert_eq!(run(Action::Start).await, Outcome::Ok);
            assert_eq!(run(Action::Status).await, Outcome::Ok);
            assert_eq!(run(Action::Stop).await, Outcome::Ok);
        }
    }
    let mails = || bench.read("mails");
    until("one mail per change", || mails().lines().count() == 4).await;
    assert!(mails().contains("Web pair: taken over on ") && mails().contains("Web pair: given up"));
    assert_eq!(fs::read_dir(bench.path("rsctmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn what_a_start_needs_is_missed_before() {
    let bench = bench();
    bench.script("bin/ip", "[ ! -e $D/route ] || echo default via 10.0.0.1 dev eth0");
    fs::create_dir(bench.path("mnt")).unwrap();
    let (here, gone) =
        (bench.path("mnt").display().to_string(), bench.path("no").display().to_string());
    let check = async |name: &str, args: &[&str], word: &str| {
        let outcome = bench.run(script(name, args), Action::Validate).await;
        if word.is_empty() {
            assert_eq!(outcome, Outcome::Ok, "{name} {args:?}");
        } else {
            assert_eq!(short(&outcome), "failed 1", "{name} {args:?}");
            assert!(reason(&outcome).contains(word), "{word:?} in {outcome:?}");
        }
    };
    check("Filesystem", &["/dev/null", &here], "").await;
    check("Filesystem", &["/dev/null", &here, "ext4", "ro"], "").await;
    check("Filesystem", &["/dev/null", &gone], "is not a directory").await;
    check("Filesystem", &["/dev/no-such-disk", &here], "/dev/no-such-disk does not exist").await;
    // May appear when what stands to its left has started.
    for device in ["/dev/mapper/no", "/dev/no-such-vg/lv", "LABEL=no", "server:/export", "tmpfs"] {
        check("Filesystem", &[device, &here], "").await;
    }
    check("IPsrcaddr", &["10.0.0.9"], "no default route").await;
    bench.file("route", "", 0o644);
    check("IPsrcaddr", &["10.0.0.9"], "").await;
    // These cannot tell, and are not asked.
    check("Dummy", &[], "").await;
    check("MailTo", &["root@example.org"], "").await;
    assert_eq!(bench.run(script("Dummy", &[]), Action::Status).await, Outcome::NotRunning);
}

/// An httpd as far as the script can tell: it goes into the background, writes its pid file, and
/// ends at TERM unless it is told not to.
const HTTPD: &str = r#"case $* in
    -V) echo " -D HTTPD_ROOT=\"$D\""; echo ' -D DEFAULT_PIDLOG="httpd.pid"'
        echo ' -D SERVER_CONFIG_FILE="httpd.conf"' ;;
    *-t) [ ! -e $D/broken ] || { echo 'Syntax error on line 1' >&2; exit 1; } ;;
    *"-k start") [ ! -e $D/broken ] || { echo 'Syntax error on line 1' >&2; exit 1; }
        setsid "$0" serve </dev/null >/dev/null 2>&1 & ;;
    serve) [ ! -e $D/stubborn ] || trap '' TERM
        echo $$ >$D/httpd.pid; while :; do sleep 0.01; done ;;
esac"#;

#[tokio::test]
async fn apache_starts_stops_and_is_killed_when_it_must_be() {
    let bench = bench();
    bench.script("bin/httpd", HTTPD);
    if Path::new("/usr/sbin/apache2").exists() {
        return skip("a real apache2 would be found first");
    }
    let run = async |action| bench.run(script("apache", &[]), action).await;
    bench.file("broken", "", 0o644);
    assert_eq!(reason(&run(Action::Start).await), "Syntax error on line 1");
    assert_eq!(reason(&run(Action::Validate).await), "Syntax error on line 1");
    fs::remove_file(bench.path("broken")).unwrap();
    assert_eq!(run(Action::Validate).await, Outcome::Ok);
    for stubborn in [false, true] {
        if stubborn {
            bench.file("stubborn", "", 0o644);
        }
        assert_eq!(run(Action::Status).await, Outcome::NotRunning);
        assert_eq!(run(Action::Start).await, Outcome::Ok);
        assert_eq!(run(Action::Status).await, Outcome::Ok);
        let pid = bench.read("httpd.pid");
        assert!(is_alive(&pid));
        assert_eq!(run(Action::Stop).await, Outcome::Ok);
        assert!(!is_alive(&pid));
    }
}

/// A network namespace with loopback, held by a process of its own.
struct Namespace(Child);

impl Namespace {
    /// `None` where namespaces are not permitted.
    async fn new() -> Option<Self> {
        let script = "ip link set lo up && echo up && exec sleep 1000";
        let mut holder = Command::new("unshare")
            .args(["--net", "sh", "-c", script])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut line = String::new();
        let mut stdout = std::io::BufReader::new(holder.stdout.take()?);
        std::io::BufRead::read_line(&mut stdout, &mut line).ok()?;
        let this = Self(holder);
        (line == "up\n").then_some(this)
    }

    /// Whether somebody listens on `port`.
    fn listens(&self, port: u16) -> bool {
        let table = fs::read_to_string(format!("/proc/{}/net/tcp", self.0.id())).unwrap();
        // Local address, remote address, state 0A (listening).
        let local = format!(":{port:04X} 00000000:0000 0A");
        table.contains(&local)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Ends the service at the end of a test, however it ends.
struct Service<'a> {
    bench: &'a Bench,
    pid_file: PathBuf,
}

impl Service<'_> {
    fn pid(&self) -> String {
        fs::read_to_string(&self.pid_file).unwrap_or_default().trim().to_owned()
    }

    async fn run(&self, action: Action) -> Outcome {
        self.bench.run(script("web", &[]), action).await
    }
}

impl Drop for Service<'_> {
    fn drop(&mut self) {
        let pid = self.pid();
        if !pid.is_empty() {
            let _ = Command::new("kill").args(["-KILL", "--", &format!("-{pid}")]).status();
        }
    }
}

/// A bench whose resource `web` is the shipped script `name` inside the namespace, with a
/// configuration of its own.
async fn web(name: &str, config: &str) -> Option<(Bench, Namespace)> {
    if !["/usr/sbin", "/usr/bin"].iter().any(|dir| Path::new(dir).join(name).exists()) {
        skip(&format!("{name} is not installed"));
        return None;
    }
    let Some(namespace) = Namespace::new().await else {
        skip(&format!("no network namespace permitted: the script {name} is not tested"));
        return None;
    };
    let bench = Bench::new();
    bench.file("conf", &config.replace("$D", &bench.dir.display().to_string()), 0o644);
    let script = shipped().join(name);
    let holder = namespace.0.id();
    let call = format!(
        r#"# heartbeat-actions: validate
        exec nsenter -t {holder} -n '{}' "$D/conf" "$@""#,
        script.display()
    );
    bench.script("resource.d/web", &call);
    Some((bench, namespace))
}

const NGINX: &str = "pid $D/web.pid;\nerror_log $D/error.log;\nworker_processes 2;\nevents {}\n\
    http { access_log off; server { listen 127.0.0.1:8099; return 200 hi; } }\n";

const HAPROXY: &str = "global\n  pidfile $D/web.pid\ndefaults\n  mode http\n  timeout client 5s\n  \
    timeout server 5s\n  timeout connect 5s\nfrontend web\n  bind 127.0.0.1:8099\n  \
    http-request return status 200\n";

/// Started when it listens, stopped when its port is free; twice, and each step twice.
async fn starts_and_stops(name: &str, config: &str) {
    let Some((bench, namespace)) = web(name, config).await else { return };
    let service = Service { bench: &bench, pid_file: bench.path("web.pid") };
    for _ in 0..2 {
        assert_eq!(service.run(Action::Status).await, Outcome::NotRunning);
        assert_eq!(service.run(Action::Validate).await, Outcome::Ok);
        assert!(!namespace.listens(8099));
        assert_eq!(service.run(Action::Start).await, Outcome::Ok);
        assert!(namespace.listens(8099));
        let pid = service.pid();
        assert_eq!(service.run(Action::Start).await, Outcome::Ok);
        assert_eq!(service.pid(), pid);
        assert_eq!(service.run(Action::Status).await, Outcome::Ok);
        assert_eq!(service.run(Action::Stop).await, Outcome::Ok);
        assert!(!namespace.listens(8099) && !is_alive(&pid));
        assert_eq!(service.run(Action::Stop).await, Outcome::Ok);
    }
}

#[tokio::test]
async fn nginx_starts_and_stops() {
    starts_and_stops("nginx", NGINX).await;
}

#[tokio::test]
async fn haproxy_starts_and_stops() {
    starts_and_stops("haproxy", HAPROXY).await;
}

#[tokio::test]
async fn haproxy_without_a_pid_file_gets_one() {
    let config = HAPROXY.replace("  pidfile $D/web.pid\n", "");
    let Some((bench, namespace)) = web("haproxy", &config).await else { return };
    let name = bench.path("conf").display().to_string().replace('/', "_");
    let pid_file = bench.path("rsctmp").join(format!("haproxy-{name}.state"));
    let service = Service { bench: &bench, pid_file };
    assert_eq!(service.run(Action::Start).await, Outcome::Ok);
    assert!(namespace.listens(8099) && is_alive(&service.pid()));
    assert_eq!(service.run(Action::Stop).await, Outcome::Ok);
    assert!(!namespace.listens(8099));
}

#[tokio::test]
async fn a_faulty_configuration_fails_the_start_and_says_why() {
    let faults = [
        ("nginx", NGINX.replace("listen 127", "lisen 127"), "lisen"),
        ("haproxy", HAPROXY.replace("bind 127", "bnd 127"), "bnd"),
    ];
    for (name, config, word) in faults {
        let Some((bench, _namespace)) = web(name, &config).await else { continue };
        for action in [Action::Validate, Action::Start] {
            let outcome = bench.run(script("web", &[]), action).await;
            assert_eq!(short(&outcome), "failed 1", "{outcome:?}");
            assert!(reason(&outcome).contains(word), "{}", reason(&outcome));
        }
        assert_eq!(bench.run(script("web", &[]), Action::Stop).await, Outcome::Ok);
    }
}

/// On the standby node the floating address is not there, and only that may be missing.
#[tokio::test]
async fn nginx_is_valid_without_the_address_that_moves() {
    for (config, expect) in [
        (NGINX.replace("listen 127.0.0.1", "listen 192.0.2.9"), "ok"),
        (NGINX.replace("listen 127.0.0.1", "lisen 192.0.2.9"), "failed 1"),
    ] {
        let Some((bench, _namespace)) = web("nginx", &config).await else { return };
        let outcome = bench.run(script("web", &[]), Action::Validate).await;
        assert_eq!(short(&outcome), expect, "{outcome:?}");
    }
}

/// The number of a dead master can be given out again.
#[tokio::test]
async fn a_worker_is_not_taken_for_the_master() {
    let Some((bench, _namespace)) = web("nginx", NGINX).await else { return };
    let service = Service { bench: &bench, pid_file: bench.path("web.pid") };
    assert_eq!(service.run(Action::Start).await, Outcome::Ok);
    let master = service.pid();
    let workers = || fs::read_to_string(format!("/proc/{master}/task/{master}/children")).unwrap();
    let named = |pid: &str| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    until("a worker has its title", || {
        let first = workers().split_ascii_whitespace().next().map(str::to_owned);
        first.is_some_and(|pid| named(&pid).starts_with("nginx: worker"))
    })
    .await;
    let worker = workers().split_ascii_whitespace().next().unwrap().to_owned();
    bench.file("web.pid", &format!("{worker}\n"), 0o644);
    assert_eq!(service.run(Action::Status).await, Outcome::NotRunning);
    bench.file("web.pid", &format!("{master}\n"), 0o644);
    assert_eq!(service.run(Action::Status).await, Outcome::Ok);
    assert_eq!(service.run(Action::Stop).await, Outcome::Ok);
}

/// Workers whose master was killed hold the port (ClusterLabs/resource-agents#1553).
#[tokio::test]
async fn nginx_recovers_from_a_killed_master() {
    let Some((bench, namespace)) = web("nginx", NGINX).await else { return };
    let service = Service { bench: &bench, pid_file: bench.path("web.pid") };
    for next in [Action::Start, Action::Stop] {
        assert_eq!(service.run(Action::Start).await, Outcome::Ok);
        let pid = service.pid();
        let workers = || fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        until("both workers are there", || {
            workers().is_ok_and(|pids| pids.split_ascii_whitespace().count() == 2)
        })
        .await;
        assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
        until("the master is dead", || !is_alive(&pid)).await;
        assert!(namespace.listens(8099));
        assert_eq!(service.run(Action::Status).await, Outcome::NotRunning);
        assert_eq!(service.run(next).await, Outcome::Ok);
        assert_eq!(namespace.listens(8099), next == Action::Start);
        assert_eq!(service.run(Action::Stop).await, Outcome::Ok);
        assert!(!namespace.listens(8099));
    }
}

/// All of nginx is killed: its end is seen, the check agrees, and a stop and a start bring it back.
#[tokio::test]
async fn nginx_that_is_killed_is_noticed_and_back() {
    let Some((bench, namespace)) = web("nginx", NGINX).await else { return };
    let service = Service { bench: &bench, pid_file: bench.path("web.pid") };
    let runner = bench.runner();
    for _ in 0..3 {
        let since = Ticks::now();
        assert_eq!(service.run(Action::Start).await, Outcome::Ok);
        let pid = service.pid();
        // It lives in a namespace of its own here, so it is not looked for but known.
        let resource = operation(script("web", &[]), Action::Status).resource;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let start = stat.rsplit_once(") ").unwrap().1.split(' ').nth(19).unwrap();
        let known = Watched {
            pid: pid.parse().unwrap(),
            start: start.parse().unwrap(),
            name: "nginx".into(),
        };
        let search = Search {
            group: "the group".into(),
            resource,
            known: vec![known.clone()],
            since: Some(since),
            names: vec!["nginx".into()],
            sessions: Vec::new(),
        };
        let found = runner.find(search, LONG).await.top;
        assert_eq!(found, [known]);
        let grip = found[0].grip().unwrap();
        let workers = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let all = workers.split_ascii_whitespace().chain([pid.as_str()]);
        assert!(Command::new("kill").arg("-KILL").args(all).status().unwrap().success());
        grip.ended().await;
        assert_eq!(service.run(Action::Status).await, Outcome::NotRunning);
        assert_eq!(service.run(Action::Stop).await, Outcome::Ok);
        assert!(!namespace.listens(8099));
    }
}

#[tokio::test]
async fn nginx_that_stays_in_the_foreground_is_put_into_the_background() {
    let config = format!("daemon off;\n{NGINX}");
    let Some((bench, namespace)) = web("nginx", &config).await else { return };
    let service = Service { bench: &bench, pid_file: bench.path("web.pid") };
    assert_eq!(service.run(Action::Start).await, Outcome::Ok);
    let pid = service.pid();
    until("it listens", || namespace.listens(8099)).await;
    assert_eq!(service.run(Action::Stop).await, Outcome::Ok);
    assert!(!namespace.listens(8099) && !is_alive(&pid));
}
