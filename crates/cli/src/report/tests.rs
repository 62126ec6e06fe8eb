//! The whole way from files with secrets to an archive without.
#![allow(clippy::disallowed_methods, reason = "tests with files")]

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;

use flate2::read::GzDecoder;

use super::*;

/// Each stands somewhere in the files below.
const SECRETS: [&str; 9] = [
    "Kq7-old-signing-key",
    "Zp3-signing-key-that-is-long",
    "Wv1-power-switch-pw",
    "Ub8-fence-parameter",
    "Xt5-database-password",
    "Rd2-token-in-a-file",
    "Sm6-password-in-a-file",
    "Ge4-env-password",
    "Ny9-commented-password",
];

fn unpack(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(GzDecoder::new(bytes));
    let entries = archive.entries().unwrap();
    entries
        .map(|entry| {
            let mut entry = entry.unwrap();
            assert_eq!(entry.header().mode().unwrap(), 0o600);
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (entry.path().unwrap().to_string_lossy().into_owned(), content)
        })
        .collect()
}

fn files(dir: &Path) {
    let write = |name: &str, text: &str| fs::write(dir.join(name), text).unwrap();
    write(
        "authkeys",
        "auth 2\n#1 sha1 Kq7-old-signing-key\n2 sha256 Zp3-signing-key-that-is-long\n",
    );
    fs::set_permissions(dir.join("authkeys"), fs::Permissions::from_mode(0o600)).unwrap();
    write("nodeinfo", "node1\n");
    let log = dir.join("ha-log");
    let ha_cf = format!(
        "logfile {}\nbcast eth1\nauto_failback off\nnode node1 node2\n\
         stonith_host * external/ipmi node2 10.0.0.9 root Wv1-power-switch-pw lan\n\
         env DB_PASSWORD=Ge4-env-password\n",
        log.display()
    );
    write("ha.cf", &ha_cf);
    write("ha-log", "an agent said Wv1-power-switch-pw and Ub8-fence-parameter; node2 is dead\n");
    write("haresources", "node1 ocf::heartbeat:mysql::user=x::password=Xt5-database-password\n");
    write("token", "Rd2-token-in-a-file\n");
    write("mail", "user:Sm6-password-in-a-file\n");
    let native = format!(
        "# password = \"Ny9-commented-password\"\n[record]\nfile = \"{0}/recording\"\n\
         [fencing.device.switch]\nagent = \"fence_ipmilan\"\n\
         parameters = {{ ip = \"10.0.0.9\", passwd = \"Ub8-fence-parameter\" }}\n\
         [serve]\ntoken_file = \"{0}/token\"\n[notify]\npassword_file = \"mail\"\n",
        dir.display()
    );
    write("hb.toml", &native);
    let mut recording = vec![0xff, 0x00];
    recording.extend(b"password=Xt5-database-password");
    fs::write(dir.join("recording"), recording).unwrap();
    // The daemon keeps texts of haresources in its status.
    write("last-status.json", "{\"text\":\"mysql::password=Xt5-database-password\"}\n");
}

#[test]
fn no_secret_is_in_any_part() {
    let dir = tempfile::tempdir().unwrap();
    files(dir.path());
    let places = collect::Places {
        dir: dir.path().to_owned(),
        run_dir: dir.path().join("run"),
        state_dir: dir.path().to_owned(),
    };
    let mut collected = collect::collect(&places, 0);
    assert_eq!(collected.node, "node1");
    // As if a log had everything.
    let content = Ok(SECRETS.join("\n").into_bytes());
    collected.entries.push(Entry { path: "all".into(), about: "all".into(), content });
    let bytes =
        archive::archive("name", "head\n", 0, collected.entries, &collected.secrets).unwrap();
    let parts = unpack(&bytes);
    for (path, content) in &parts {
        let text = String::from_utf8_lossy(content);
        for secret in SECRETS {
            assert!(!text.contains(secret), "{secret} in {path}:\n{text}");
        }
    }
    let text = |path: &str| {
        let found = parts.iter().find(|(name, _)| name == &format!("name/{path}"));
        let found = found.unwrap_or_else(|| panic!("{path} in {:?}", parts.iter().map(|it| &it.0)));
        String::from_utf8_lossy(&found.1).into_owned()
    };
    assert_eq!(parts.first().map(|it| it.0.as_str()), Some("name/MANIFEST"));
    let manifest = text("MANIFEST");
    assert!(manifest.contains("configuration/authkeys"), "{manifest}");
    assert!(manifest.contains("recording") && manifest.contains("cannot be covered"), "{manifest}");
    // What helps is still there.
    assert!(text("configuration/authkeys").contains("2 sha256 ********"));
    assert!(text("configuration/ha.cf").contains("stonith_host * external/ipmi ********"));
    assert!(text("logs/ha-log").contains("node2 is dead"));
    assert!(text("system/uname.txt").contains("Linux"));
}

#[test]
fn an_archive_is_its_owners_and_never_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.tar.gz");
    archive::write(&path, b"one").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(archive::write(&path, b"two").is_err());
    assert_eq!(fs::read(&path).unwrap(), b"one");
}

#[test]
fn a_time_that_cannot_be_read_is_refused() {
    let args = ReportArgs { since: "soon".into(), output: None, dir: PathBuf::from("/") };
    let error = report(Path::new("/"), Path::new("/"), &args).unwrap_err();
    assert!(error.contains("soon"), "{error}");
}
