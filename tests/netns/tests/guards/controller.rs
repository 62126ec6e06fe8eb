//! Fencing by a program of Debian's fence-agents as people use it: `fence_redfish` switches a node off
//! through a management controller, which this test plays beside the pair. No other device is needed for
//! it, and what it speaks is a public standard (Redfish, DSP0266).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use hb_cli::lab::{self, CLIENT};
use hb_netns::files::NODES;
use hb_netns::pair::Pair;
use hb_netns::runner::{Case, skip};
use hb_netns::traffic::Meter;
use hb_resource::input::GroupClaim;
use tempfile::TempDir;

use crate::support::{IP, with_agent};

pub(crate) const CASES: &[Case] =
    &[Case { name: "fenced_by_a_management_controller", run: fenced_by_a_management_controller }];

/// The other end of the program under test.
const PLAYED: &str = include_str!("redfish.py");
const PORT: u16 = 8443;
/// What it is reached with. Nobody else may ever see it.
const PASSWORD: &str = "hush-hush";

/// The controller, beside the client.
struct Controller {
    folder: TempDir,
    server: Child,
}

impl Controller {
    fn start() -> Self {
        for (program, package) in
            [("fence_redfish", "fence-agents"), ("python3", "python3"), ("openssl", "openssl")]
        {
            if lab::find_program(program).is_none() {
                skip(&format!("{program} is not installed (package {package})"));
            }
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        make_certificate(&path("key.pem"), &path("certificate.pem"));
        fs::write(path("redfish.py"), PLAYED).expect("a file");
        let server = Command::new("python3")
            .args([path("redfish.py").as_path(), folder.path()])
            .args([CLIENT.to_string(), PORT.to_string()])
            .stdin(Stdio::null())
            .spawn()
            .expect("python3");
        Self { folder, server }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The lines of what it was asked.
    fn requests(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("requests")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Of its own, as a controller has it when nobody has given it another.
fn make_certificate(key: &Path, certificate: &Path) {
    let words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=bmc"];
    let mut tool = Command::new("openssl");
    tool.args(words).arg("-keyout").arg(key).arg("-out").arg(certificate);
    let ran = tool.output().expect("openssl");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let both = [fs::read(certificate), fs::read(key)].map(|file| file.expect("a file")).concat();
    fs::write(certificate, both).expect("a file");
}

/// A device for each node.
fn devices() -> String {
    let device = |node: &str| {
        format!(
            "[[fencing.device]]\nname = \"controller of {node}\"\ntarget = \"{node}\"\n\
             agent = \"fence_redfish\"\ntimeout = \"50s\"\nretries = 0\n[fencing.device.parameters]\n\
             ip = \"{CLIENT}\"\nipport = \"{PORT}\"\nusername = \"operator\"\npassword = \"{PASSWORD}\"\n\
             ssl_insecure = \"1\"\naction = \"off\"\nsystems_uri = \"/redfish/v1/Systems/{node}\"\n"
        )
    };
    format!("[fencing]\ndelay = \"0ms\"\n{}", NODES.map(device).concat())
}

/// A node that stands still and still has its address is switched off before the other takes it.
fn fenced_by_a_management_controller() {
    let controller = Controller::start();
    let mut setup = with_agent();
    setup.native.push_str(&devices());
    let native = setup.native.clone();
    let mut pair = Pair::new(setup);
    for node in NODES {
        // It holds a password.
        pair.write(node, "/etc/ha.d/hb.toml", &native, 0o600);
        pair.start(node);
    }
    pair.wait_well();
    pair.until("the controller answers", || {
        pair.run("node2", &["hb", "fence", "test"]).code == 0 && !controller.requests().is_empty()
    });
    assert!(controller.requests().iter().all(|line| line.starts_with("GET ")), "a test fences");
    let mut meter = Meter::start("node1");
    meter.begin();
    pair.signal("node1", "STOP");
    pair.until("node1 is to be switched off", || controller.path("node1.wanted").exists());
    assert_eq!(pair.status("node2").groups[0].here, GroupClaim::Released, "not before it is off");
    pair.crash("node1");
    fs::write(controller.path("node1.off"), "").expect("a file");
    meter.tell_outage("frozen, and switched off through its controller", "node2");
    pair.wait("node2", "it is held", |s| s.groups[0].here == GroupClaim::Held);
    assert_eq!(pair.status("node2").fencing.expect("fencing").state, "fenced");
    assert_eq!(pair.owners_of(&["node2"], IP), ["node2"]);
    let requests = controller.requests();
    let reset = "POST /redfish/v1/Systems/node1/Actions/ComputerSystem.Reset";
    let resets: Vec<_> = requests.iter().filter(|line| line.starts_with("POST ")).collect();
    assert!(matches!(resets[..], [one] if one.starts_with(reset)), "{requests:#?}");
    assert!(resets[0].contains("ForceOff"), "{requests:#?}");
    assert!(!pair.log("node2").contains(PASSWORD), "the log tells the password");
}
