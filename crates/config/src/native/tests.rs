//! hb.toml: every key reaches its place, and nothing panics.

use proptest::prelude::*;

use super::*;
use crate::settings::notify::{ChannelKind, Event, Gravity, Mail, MailBy, Notify, Tls};
use crate::settings::{
    Announce, DayWindow, FailurePolicy, FenceFailure, Framing, GroupOptions, Native, NodeName,
    Operations, Probe, ResourceOptions, WitnessKind,
};

fn parsed(text: &str) -> (Native, Vec<Code>) {
    let (Parsed { native, .. }, found) = parse(&SourceFile::from_text("hb.toml", text));
    (native, found.iter().map(|diagnostic| diagnostic.code).collect())
}

#[test]
fn every_key_reaches_its_place() {
    let (native, codes) = parsed(
        "[compatibility]\nmsgfmt = \"classic\"\n[operations]\nstart_timeout = \"90\"\n\
         stop_timeout = \"1m\"\nstatus_timeout = \"2500ms\"\nkill_grace = \"1s\"\n\
         [failure]\noffer_delay = \"0\"\nstop_retries = 3\nstop_retry_delay = \"0.5\"\n\
         [announce]\ncount = 7\ninterval = \"100ms\"\n",
    );
    assert_eq!(codes, []);
    let expect = Native {
        framing: Framing::Classic,
        operations: Operations {
            start_timeout_ms: 90_000,
            stop_timeout_ms: 60_000,
            status_timeout_ms: 2_500,
            kill_grace_ms: 1_000,
        },
        failure: FailurePolicy { offer_delay_ms: 0, stop_retries_max: 3, stop_retry_delay_ms: 500 },
        announce: Announce { count: 7, interval_ms: 100 },
        ..Native::default()
    };
    assert_eq!(native, expect);
}

#[test]
fn a_recording_has_a_file_and_a_size() {
    let of = |text: &str| parsed(text).0.record.map(|record| (record.file, record.size >> 20));
    assert_eq!(of("[record]\nfile = \"/x\"\n"), Some(("/x".to_owned(), 16)));
    assert_eq!(of("[record]\nfile = \"/x\"\nsize = 4\n"), Some(("/x".to_owned(), 4)));
    assert_eq!(of("[record]\nsize = 4\n"), None);
    for size in ["3", "1025", "\"4\""] {
        let text = format!("[record]\nfile = \"/x\"\nsize = {size}\n");
        assert_eq!(parsed(&text).1, [Code::InvalidNativeValue], "{size}");
    }
}

#[test]
fn the_defaults_of_the_table_are_those_of_settings() {
    let mut text = String::new();
    for key in KEYS {
        if key.default.is_empty() || key.section.contains('.') || section_is_optional(key.section) {
            continue;
        }
        let value = match key.kind {
            Kind::Integer { .. } | Kind::Flag => key.default.to_owned(),
            Kind::Time { .. }
            | Kind::Choice(_)
            | Kind::Hours
            | Kind::Text
            | Kind::Path
            | Kind::Texts => format!("\"{}\"", key.default),
            Kind::Addresses => key.default.to_owned(),
            Kind::Probes | Kind::Parameters => continue,
        };
        text.push_str(&format!("{}.{} = {value}\n", key.section, key.name));
    }
    let (defaults, found) = parse(&SourceFile::from_text("hb.toml", &text));
    assert_eq!((defaults, found), (Parsed::default(), vec![]));
}

#[test]
fn a_window_is_a_part_of_the_day() {
    let check = |text: &str, expect: Option<(&str, &[u16], &[u16])>| {
        let (native, codes) = parsed(&format!("[failback]\nwindow = {text}\n"));
        let Some((shown, inside, outside)) = expect else {
            assert_eq!((native.failback.window, codes), (None, vec![Code::InvalidNativeValue]));
            return;
        };
        assert_eq!(codes, [], "{text}");
        let window = native.failback.window.expect("a window");
        assert_eq!(window.to_string(), shown);
        assert!(shown.starts_with(&window.begin()));
        assert!(inside.iter().all(|minute| window.contains(*minute)), "{text}");
        assert!(!outside.iter().any(|minute| window.contains(*minute)), "{text}");
    };
    check("\"02:00-05:00\"", Some(("02:00-05:00", &[120, 299], &[0, 119, 300, 1_439])));
    check("\"2:00 - 5:30\"", Some(("02:00-05:30", &[120, 329], &[330])));
    check("\"22:30-04:00\"", Some(("22:30-04:00", &[1_350, 1_439, 0, 239], &[240, 1_349])));
    check("\"00:00-24:00\"", None);
    check("\"18:00-24:00\"", Some(("18:00-00:00", &[1_080, 1_439], &[0, 1_079])));
    for wrong in [
        "\"\"",
        "2",
        "\"02:00\"",
        "\"02:00-02:00\"",
        "\"25:00-1:00\"",
        "\"24:01-1:00\"",
        "\"2-5\"",
        "\"02:60-03:00\"",
        "\"+2:00-03:00\"",
        "\"02:0-03:00\"",
        "\"002:00-03:00\"",
    ] {
        check(wrong, None);
    }
}

#[test]
fn findings() {
    let check = |text: &str, expect: &[Code]| assert_eq!(parsed(text).1, expect, "{text:?}");
    check("", &[]);
    check("# nothing\n", &[]);
    check("\u{feff}[announce]\ncount = 3\n", &[Code::ByteOrderMark]);
    check("[announce\n", &[Code::TomlSyntax]);
    check("[announce]\ncount = 3\ncount = 4\n", &[Code::TomlSyntax]);
    check("[announcement]\n", &[Code::UnknownKey]);
    check("[announce]\ncounts = 3\n", &[Code::UnknownKey]);
    check("announce = 3\n", &[Code::InvalidNativeValue]);
    check("[announce]\ncount = 0\n", &[Code::InvalidNativeValue]);
    check("[announce]\ncount = -1\n", &[Code::InvalidNativeValue]);
    check("[announce]\ncount = 99999999999999999999\n", &[Code::InvalidNativeValue]);
    check("[announce]\ninterval = \"9ms\"\n", &[Code::InvalidNativeValue]);
    check("[operations]\nkill_grace = \"30s\"\n", &[Code::GraceTooLong]);
    check("[operations]\nstop_timeout = 3\n", &[Code::InvalidNativeValue]);
    assert_eq!(parsed("[announce]\ncount = 1_0\n").0.announce.count, 10);
    assert_eq!(parsed("[announce]\ncount = 0x10\n").0.announce.count, 16);
}

proptest! {
    #[test]
    fn no_bytes_panic_and_labels_lie_inside(bytes: Vec<u8>, text in "[\\[\\]a-c.=\"'\\\\{}# \n0-9主]*") {
        for source in [
            SourceFile::from_bytes("hb.toml", &bytes, None),
            SourceFile::from_text("hb.toml", &text),
        ] {
            for found in parse(&source).1 {
                for label in &found.labels {
                    prop_assert!(source.text().get(label.span.start..label.span.end).is_some());
                }
            }
        }
    }
}

#[test]
fn what_is_told_to_serve() {
    let check = |text: &str, expect: &[Code]| {
        let source = SourceFile::from_text("hb.toml", &format!("[serve]\n{text}"));
        let (Parsed { native, companions, .. }, found) = parse(&source);
        let codes: Vec<Code> = found.iter().map(|diagnostic| diagnostic.code).collect();
        assert_eq!(codes, expect, "{text}");
        assert_eq!(native, Native::default(), "the daemon does not see it");
        companions.serve
    };
    let serve = check(
        "listen = [\"0.0.0.0:443\", \"[::]:443\"]\ntoken_file = \"/t\"\ncert_file = \"/c\"\n\
         key_file = \"/k\"\n",
        &[],
    );
    assert_eq!(serve.listen, ["0.0.0.0:443".parse().unwrap(), "[::]:443".parse().unwrap()]);
    let files = [serve.token_file, serve.cert_file, serve.key_file];
    assert_eq!(files, ["/t", "/c", "/k"].map(|path| Some(path.to_owned())));
    check("listen = \"10.0.0.1:80\"\n", &[Code::ServeOpen]);
    assert!(check("listen = \"10.0.0.1:80\"\ninsecure = true\n", &[]).insecure);
    check("cert_file = \"/c\"\n", &[Code::ServeOpen]);
    for wrong in ["listen = \"localhost:80\"\n", "listen = []\n", "token_file = \"token\"\n"] {
        check(wrong, &[Code::InvalidNativeValue]);
    }
}

fn section_is_optional(section: &str) -> bool {
    ["resource", "group", "fencing", "watchdog", "witness", "notify"].contains(&section)
}

#[test]
fn what_belongs_to_one_resource_or_group() {
    let (native, codes) = parsed(
        "[resource.\"nginx\"]\nmonitor = false\ninterval = \"2s\"\nrestarts = 0\nwarm = true\n\
         probe = [\"tcp://127.0.0.1:80\", { url = \"http://[::1]:8080/up\", host = \"www\", \
         status = \"200-204\", contains = \"ok\", timeout = \"300ms\" }]\n\
         [group.\"10.0.0.1/24\"]\nauto_failback = false\nstable_for = \"90s\"\n\
         failback_window = \"22:30-4:00\"\n\
         on_fence_failure = \"takeover\"\n",
    );
    assert_eq!(codes, []);
    let probes = vec![
        Probe::Tcp { address: "127.0.0.1:80".parse().unwrap(), timeout_ms: 1_000 },
        Probe::Http {
            address: "[::1]:8080".parse().unwrap(),
            host: "www".into(),
            path: "/up".into(),
            status: (200, 204),
            contains: Some("ok".into()),
            timeout_ms: 300,
        },
    ];
    let expect = ResourceOptions {
        monitor: Some(false),
        interval_ms: Some(2_000),
        restarts_max: Some(0),
        warm: true,
        probes,
    };
    assert_eq!(native.resources["nginx"], expect);
    let expect = GroupOptions {
        auto_failback: Some(false),
        stable_for_ms: Some(90_000),
        failback_window: Some(DayWindow { from: 22 * 60 + 30, to: 4 * 60 }),
        on_fence_failure: Some(FenceFailure::Takeover),
    };
    assert_eq!(native.groups["10.0.0.1/24"], expect);
}

#[test]
fn devices_watchdog_and_witness() {
    let (native, codes) = parsed(
        "[fencing]\ndelay = \"0\"\nper_hour = 2\non_failure = \"takeover\"\n\
         [[fencing.device]]\nagent = \"fence_ipmilan\"\ntarget = \"Node2\"\n\
         parameters = { ip = \"10.9.9.2\", lanplus = true, port = 623 }\n\
         [[fencing.device]]\nname = \"last\"\nexternal = \"ipmi\"\nlevel = 2\nretries = 0\n\
         timeout = \"5s\"\n\
         [watchdog]\ntimeout = \"20s\"\nreboot_when_stuck = true\n\
         [witness]\netcd = \"http://10.0.0.9:2379\"\n",
    );
    assert_eq!(codes, []);
    let fencing = native.fencing.unwrap();
    assert_eq!((fencing.delay_ms, fencing.per_hour_max), (0, 2));
    assert_eq!(fencing.on_failure, FenceFailure::Takeover);
    let names: Vec<&str> = fencing.devices.iter().map(|device| device.name.as_str()).collect();
    assert_eq!(names, ["fence_ipmilan-1", "last"]);
    assert_eq!(fencing.devices[0].target, Some(NodeName::new("node2")));
    assert_eq!(fencing.devices[0].parameters["lanplus"].expose(), b"true");
    assert_eq!(fencing.devices[0].parameters["port"].expose(), b"623");
    assert_eq!((fencing.devices[1].level, fencing.devices[1].timeout_ms), (2, 5_000));
    let watchdog = native.watchdog.unwrap();
    assert_eq!((watchdog.device.as_str(), watchdog.timeout_ms), ("/dev/watchdog", 20_000));
    assert!(watchdog.reboot_when_stuck && !watchdog.suicide_when_isolated);
    let endpoints = vec!["http://10.0.0.9:2379".to_owned()];
    assert_eq!(native.witness.unwrap().kind, WitnessKind::Etcd { endpoints, key: String::new() });
}

#[test]
fn findings_of_named_sections() {
    let check = |text: &str, expect: &[Code]| assert_eq!(parsed(text).1, expect, "{text:?}");
    check("[resource]\nwarm = true\n", &[Code::InvalidNativeValue]);
    check("[resource.x]\nwarmer = true\n", &[Code::UnknownKey]);
    check("[resource.x]\nwarm = 1\n", &[Code::InvalidNativeValue]);
    for probe in [
        "\"\"",
        "[]",
        "\"ftp://x\"",
        "\"tcp://localhost:80\"",
        "\"tcp://1.2.3.4:80/x\"",
        "\"https://1.2.3.4/\"",
        "{ host = \"x\" }",
        "{ url = \"tcp://1.2.3.4:80\", status = 200 }",
        "{ url = \"http://1.2.3.4/\", status = \"0-99999\" }",
        "{ url = \"http://1.2.3.4/\", hosts = \"x\" }",
    ] {
        check(&format!("[resource.x]\nprobe = {probe}\n"), &[Code::InvalidNativeValue]);
    }
    check("[fencing]\ndevice = 3\n", &[Code::InvalidNativeValue]);
    check("[[fencing.device]]\nname = \"x\"\n", &[Code::DeviceKind]);
    check("[[fencing.device]]\nssh = true\nagent = \"x\"\n", &[Code::DeviceKind]);
    check("[[fencing.device]]\nnull = true\n", &[Code::NullFencing]);
    check(
        "[[fencing.device]]\nagent = \"x\"\nparameters = { \"a b\" = 1 }\n",
        &[Code::InvalidNativeValue],
    );
    check("[witness]\n", &[Code::WitnessKind]);
    check("[witness]\nfile = \"/x\"\netcd = \"y\"\n", &[Code::WitnessKind]);
    check("[watchdog]\ntimeout = \"1s\"\n", &[Code::InvalidNativeValue]);
}

fn notify(text: &str) -> (Notify, Vec<Code>) {
    let (parsed, found) = parse(&SourceFile::from_text("hb.toml", text));
    let notify = parsed.companions.notify;
    let mut codes: Vec<Code> = found.iter().map(|diagnostic| diagnostic.code).collect();
    codes.sort_unstable();
    (notify, codes)
}

#[test]
fn channels_of_each_kind() {
    let (notify, codes) = notify(
        "[notify]\nsettle = \"3s\"\nclear = \"5s\"\ndaemon_grace = \"1m\"\n\
         [[notify.mail]]\nname = \"oncall\"\nto = [\"a@example.com\", \"B <b@example.com>\"]\n\
         from = \"hb@example.com\"\nserver = \"[::1]:2525\"\ntls = \"implicit\"\nuser = \"hb\"\n\
         password_file = \"/etc/ha.d/pw\"\nmin_severity = \"critical\"\ntimeout = \"9s\"\n\
         [[notify.mail]]\nto = \"a@example.com\"\nfrom = \"hb@example.com\"\n\
         sendmail = \"/usr/sbin/sendmail\"\nevents = [\"move\", \"split\"]\n\
         [[notify.webhook]]\nurl = \"https://hooks.example.com/x\"\ntoken_file = \"/t\"\n\
         [[notify.exec]]\ncommand = [\"/bin/page\", \"web\"]\n",
    );
    assert_eq!(codes, []);
    assert_eq!((notify.settle_ms, notify.clear_ms, notify.daemon_grace_ms), (3_000, 5_000, 60_000));
    let names: Vec<&str> = notify.channels.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["oncall", "mail-2", "webhook-1", "exec-1"]);
    let first = &notify.channels[0];
    assert_eq!((first.min_severity, first.timeout_ms), (Gravity::Critical, 9_000));
    let ChannelKind::Mail(Mail { to, by: MailBy::Smtp(smtp), .. }) = &first.kind else {
        panic!("{first:?}")
    };
    assert_eq!(to, &["a@example.com", "B <b@example.com>"]);
    assert_eq!((smtp.host.as_str(), smtp.port, smtp.tls), ("::1", 2_525, Tls::Implicit));
    assert_eq!(notify.channels[1].events, [Event::Move, Event::Split]);
    let command = vec!["/bin/page".to_owned(), "web".to_owned()];
    assert_eq!(notify.channels[3].kind, ChannelKind::Exec { command });
}

#[test]
fn servers_have_the_port_of_their_encryption() {
    let check = |server: &str, tls: &str, expect: Option<(&str, u16)>| {
        let text = format!(
            "[[notify.mail]]\nto = \"a@b\"\nfrom = \"c@d\"\nserver = \"{server}\"\ntls = \"{tls}\"\n"
        );
        let (found, codes) = notify(&text);
        let found = found.channels.first().map(|channel| match &channel.kind {
            ChannelKind::Mail(Mail { by: MailBy::Smtp(smtp), .. }) => {
                (smtp.host.clone(), smtp.port)
            }
            ChannelKind::Mail(_) | ChannelKind::Webhook(_) | ChannelKind::Exec { .. } => {
                panic!("{channel:?}")
            }
        });
        assert_eq!(found, expect.map(|(host, port)| (host.to_owned(), port)), "{server}");
        assert_eq!(codes.is_empty(), expect.is_some(), "{server}: {codes:?}");
    };
    check("mx.example.com", "starttls", Some(("mx.example.com", 587)));
    check("mx", "implicit", Some(("mx", 465)));
    check("127.0.0.1", "none", Some(("127.0.0.1", 25)));
    check("mx:26", "none", Some(("mx", 26)));
    check("[::1]", "none", Some(("::1", 25)));
    for wrong in ["mx:", "mx:0", "mx:x", "::1", "[::1", "[::1]25", "m x", ":25", "mx:70000"] {
        check(wrong, "none", None);
    }
}

/// A pair must not stay down because of a mail server's name.
#[test]
fn what_is_wrong_with_notifications_never_keeps_the_node_from_starting() {
    let check = |text: &str, expect: &[Code]| {
        let (found, codes) = notify(text);
        assert_eq!(codes, expect, "{text:?}");
        assert_eq!(found.channels, [], "{text:?}");
        for code in codes {
            assert_eq!(code.info().severity, crate::Severity::Warning, "{text:?}");
        }
    };
    let mail = "[[notify.mail]]\nto = \"a@b\"\nfrom = \"c@d\"\n";
    let smtp = format!("{mail}server = \"mx\"\n");
    check("[notify]\n", &[Code::NotifyNobody]);
    check("[notify]\nsettel = \"3s\"\n", &[Code::NotifyKey, Code::NotifyNobody]);
    check("notify = 3\n", &[Code::NotifyValue]);
    check("[notify]\nmail = 3\n", &[Code::NotifyValue, Code::NotifyNobody]);
    check("[[notify.mail]]\n", &[Code::NotifyChannel; 3]);
    check(mail, &[Code::NotifyChannel]);
    check(&format!("{smtp}sendmail = \"/x\"\n"), &[Code::NotifyChannel]);
    check(&format!("{smtp}user = \"x\"\n"), &[Code::NotifyChannel]);
    check(&format!("{smtp}password_file = \"/x\"\n"), &[Code::NotifyChannel]);
    check(&format!("{smtp}name = \"a/b\"\n"), &[Code::NotifyValue]);
    check(&format!("{smtp}events = [\"moves\"]\n"), &[Code::NotifyValue]);
    check(&format!("{smtp}events = [\"test\"]\n"), &[Code::NotifyValue]);
    check(&format!("{mail}sendmail = \"sendmail\"\n"), &[Code::NotifyValue]);
    check(&smtp.replace("a@b", "a@b\\nBcc: x@y"), &[Code::NotifyValue, Code::NotifyChannel]);
    check(&smtp.replace("a@b", "nobody"), &[Code::NotifyValue]);
    check("[[notify.webhook]]\nurl = \"ftp://x\"\n", &[Code::NotifyValue]);
    check("[[notify.exec]]\ncommand = \"page\"\n", &[Code::NotifyValue]);
    let (found, codes) = notify("[[notify.webhook]]\nurl = \"http://x\"\ntoken_file = \"/t\"\n");
    assert_eq!((found.channels.len(), codes), (1, vec![Code::NotifyClear]));
    let (found, codes) = notify(&format!("{smtp}[[notify.exec]]\nname = \"mail-1\"\n"));
    assert_eq!((found.channels.len(), codes), (1, vec![Code::NotifyValue, Code::NotifyChannel]));
}
