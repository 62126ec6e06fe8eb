//! The rows of the table of directives. Texts only; the types are in [`super`].

use super::Support::{AcceptedWithWarning, Implemented, Refused};
use super::{Directive, DirectiveId as Id, Grammar, Support};

/// A row without alias.
const fn row(
    id: Id,
    name: &'static str,
    grammar: Grammar,
    default: Option<&'static str>,
    support: Support,
    [doc_short, doc_long]: [&'static str; 2],
) -> Directive {
    Directive { id, name, alias: None, grammar, default, support, doc_short, doc_long }
}

const fn unused(why: &'static str) -> Support {
    AcceptedWithWarning { why, inert: None }
}

const fn unused_unless(why: &'static str, inert: &'static str) -> Support {
    AcceptedWithWarning { why, inert: Some(inert) }
}

const PACEMAKER_ONLY: Support =
    unused("it only matters together with Pacemaker, which this node does not use");

/// All directives of Heartbeat 3.0.6: what a node needs first, what is not performed last.
pub const TABLE: &[Directive] = &[
    row(
        Id::Node,
        "node",
        Grammar::Nodes,
        None,
        Implemented,
        [
            "members of the cluster",
            "The two members, by the names of `uname -n`, compared in lower case. One line or two; \
         the same in the ha.cf of both nodes.",
        ],
    ),
    row(
        Id::Keepalive,
        "keepalive",
        Grammar::Time,
        Some("1"),
        Implemented,
        [
            "interval between heartbeats",
            "Each node sends a status message this often. `200ms` and less is possible on a quiet \
         network; deadtime must be longer than twice this.",
        ],
    ),
    row(
        Id::Deadtime,
        "deadtime",
        Grammar::Time,
        Some("30"),
        Implemented,
        [
            "silence after which a node is dead",
            "When nothing was heard from the peer for this long, it is declared dead and its resources \
         are taken over. Too short, and a busy moment causes a takeover; too long, and a real \
         failure lasts longer than needed. Must be longer than twice keepalive.",
        ],
    ),
    row(
        Id::Warntime,
        "warntime",
        Grammar::Time,
        Some("half of deadtime"),
        Implemented,
        [
            "silence after which a late heartbeat is logged",
            "The log then tells how close the peer came to deadtime, which is the measure for \
         choosing it: set a long deadtime, watch the late heartbeats for a week, and take twice \
         the longest.",
        ],
    ),
    row(
        Id::Initdead,
        "initdead",
        Grammar::Time,
        Some("deadtime above 10 s, twice deadtime from 6 to 10 s, else 12"),
        Implemented,
        [
            "deadtime while starting",
            "Replaces deadtime until every node was heard or declared dead, because after a boot \
         interfaces and switches need their time. At least deadtime; 30 to 120 is usual.",
        ],
    ),
    row(
        Id::Deadping,
        "deadping",
        Grammar::Time,
        Some("deadtime"),
        Implemented,
        [
            "silence after which a ping node is dead",
            "As deadtime, for the hosts of ping, ping6 and ping_group.",
        ],
    ),
    row(
        Id::Udpport,
        "udpport",
        Grammar::Integer { min: 1, max: 65535, unit: "" },
        Some("694"),
        Implemented,
        [
            "UDP port of bcast, ucast and ucast6",
            "Two clusters on one network need two ports. It must stand above the media that use it, \
         and the firewall must let it pass.",
        ],
    ),
    Directive {
        alias: Some("udp"),
        ..row(
            Id::Bcast,
            "bcast",
            Grammar::Interfaces,
            None,
            Implemented,
            [
                "heartbeats by broadcast on these interfaces",
                "Sends to the broadcast address of each interface. Right for a direct cable; on a shared \
         network prefer ucast, which does not reach everyone.",
            ],
        )
    },
    row(
        Id::Ucast,
        "ucast",
        Grammar::Ucast,
        None,
        Implemented,
        [
            "heartbeats to one host through an interface",
            "One line for each path to the peer. A line that names this node itself does no harm, so \
         both nodes can share one ha.cf with a line for each.",
        ],
    ),
    row(
        Id::Ucast6,
        "ucast6",
        Grammar::Ucast6,
        None,
        Implemented,
        [
            "heartbeats to one IPv6 address through an interface",
            "As ucast. The address is numeric; a link-local one is taken on the given interface.",
        ],
    ),
    row(
        Id::Mcast,
        "mcast",
        Grammar::Mcast,
        None,
        Implemented,
        [
            "heartbeats by multicast",
            "`mcast eth0 225.0.0.1 695 1 0`: group in 224/4, port of its own, ttl 0 to 4, loop 0. \
         All five are required.",
        ],
    ),
    row(
        Id::Mcast6,
        "mcast6",
        Grammar::Mcast6,
        None,
        Implemented,
        [
            "heartbeats by IPv6 multicast",
            "`mcast6 eth0 ff02::694 695 1 0`: a group of link-, admin-, site- or organisation-local \
         scope, port, hop limit, loop.",
        ],
    ),
    row(
        Id::Ping,
        "ping",
        Grammar::Hosts { ipv6: false },
        None,
        Implemented,
        [
            "hosts that tell whether the network works",
            "Each is watched by ICMP echo and shown as a pseudo node. Choose what is reachable \
         whenever your own network works: the gateway, not the peer.",
        ],
    ),
    row(
        Id::Ping6,
        "ping6",
        Grammar::Hosts { ipv6: true },
        None,
        Implemented,
        ["IPv6 hosts that tell whether the network works", "As ping, for IPv6."],
    ),
    row(
        Id::PingGroup,
        "ping_group",
        Grammar::PingGroup,
        None,
        Implemented,
        [
            "several hosts that count as one ping node",
            "`ping_group gateways 10.0.0.1 10.0.0.2`: alive as long as one of them answers.",
        ],
    ),
    row(
        Id::AutoFailback,
        "auto_failback",
        Grammar::AutoFailback,
        Some("legacy"),
        Implemented,
        [
            "whether resources return to their preferred node",
            "`on`: when the preferred node is back, its groups move home. `off`: they stay where they \
         are until you move them with hb_standby or hb_takeover, so that a repaired node causes \
         no second interruption. `legacy`, the default of 3.0.6, is the behaviour of nodes before \
         this directive; between two Twinbeat nodes it acts as `off`. Same value on both nodes.",
        ],
    ),
    row(
        Id::Logfile,
        "logfile",
        Grammar::Path,
        None,
        Implemented,
        [
            "file for log messages",
            "Messages of level info and above. Heartbeat's sample writes /var/log/ha-log.",
        ],
    ),
    row(
        Id::Debugfile,
        "debugfile",
        Grammar::Path,
        None,
        Implemented,
        [
            "file for all messages",
            "As logfile, with debug messages and the output of resource scripts.",
        ],
    ),
    row(
        Id::Logfacility,
        "logfacility",
        Grammar::Facility,
        None,
        Implemented,
        ["syslog facility", "`local0`, `daemon` and so on; `none` for no syslog."],
    ),
    row(
        Id::Debug,
        "debug",
        Grammar::Integer { min: 0, max: 255, unit: "" },
        Some("0"),
        Implemented,
        ["how much debug output", "0 none, 1 decisions, 2 and more also packets."],
    ),
    row(
        Id::LogBadpack,
        "log_badpack",
        Grammar::Boolean,
        Some("on"),
        Implemented,
        [
            "whether to log packets that cannot be trusted",
            "Packets that are malformed or signed with another key. Turn it off where another cluster \
         shares the network and fills the log.",
        ],
    ),
    row(
        Id::Rtprio,
        "rtprio",
        Grammar::Integer { min: 1, max: 99, unit: "" },
        None,
        Implemented,
        ["real-time priority", "Priority of the daemon among real-time processes."],
    ),
    row(
        Id::Realtime,
        "realtime",
        Grammar::Boolean,
        Some("on"),
        Implemented,
        [
            "whether to run at real-time priority with locked memory",
            "So that a busy or swapping machine still sends its heartbeats in time.",
        ],
    ),
    row(
        Id::Hbgenmethod,
        "hbgenmethod",
        Grammar::Choice(&["file", "time"]),
        Some("file"),
        Implemented,
        [
            "where the generation number comes from",
            "The generation rises with each start, so that old packets are recognised. `file` counts \
         in /var/lib/heartbeat/hb_generation; `time` takes the clock, for machines without a \
         writable disk.",
        ],
    ),
    row(
        Id::Uuidfrom,
        "uuidfrom",
        Grammar::Choice(&["file", "nodename"]),
        Some("file"),
        Implemented,
        [
            "where this node's UUID comes from",
            "`file`: made once and kept in /var/lib/heartbeat/hb_uuid. `nodename`: derived from the \
         name, for machines without a writable disk.",
        ],
    ),
    row(
        Id::Msgfmt,
        "msgfmt",
        Grammar::Choice(&["classic", "netstring"]),
        Some("classic"),
        Implemented,
        [
            "whether messages carry an inner signature",
            "In 3.0.6 both are sent as netstrings; `classic` adds an `auth` field inside. The framing \
         of packets is chosen by `compatibility.msgfmt` in hb.toml.",
        ],
    ),
    row(
        Id::MaxRexmitDelay,
        "max_rexmit_delay",
        Grammar::Integer { min: 1, max: 60_000, unit: "ms" },
        Some("250"),
        Implemented,
        [
            "longest delay before a lost message is asked for again",
            "The delay is chosen at random below this, so that two nodes do not ask at once.",
        ],
    ),
    row(
        Id::Hopfudge,
        "hopfudge",
        Grammar::Integer { min: 0, max: 255, unit: "" },
        Some("1"),
        Implemented,
        [
            "addition to the hop count of messages",
            "Only enters the field `ttl`, which mattered in serial rings.",
        ],
    ),
    row(
        Id::Cluster,
        "cluster",
        Grammar::Text,
        Some("linux-ha"),
        Implemented,
        ["display name of the cluster", "Shown in status and metrics; nothing depends on it."],
    ),
    row(
        Id::Env,
        "env",
        Grammar::Assignment,
        None,
        Implemented,
        ["variables for resource scripts", "`env NAME=VALUE` gives scripts HA_NAME=VALUE."],
    ),
    row(
        Id::NiceFailback,
        "nice_failback",
        Grammar::Boolean,
        None,
        AcceptedWithWarning { why: "it was replaced by auto_failback", inert: None },
        [
            "obsolete form of auto_failback",
            "`nice_failback on` is read as `auto_failback off`, `nice_failback off` as `auto_failback \
         legacy`. An auto_failback line wins.",
        ],
    ),
    row(
        Id::Serial,
        "serial",
        Grammar::Devices,
        None,
        unused("serial links are not used; the node sends and hears nothing on them"),
        [
            "heartbeats over serial lines (not performed)",
            "Serial links are not used by Twinbeat. Use a second network interface for an independent \
         path.",
        ],
    ),
    row(
        Id::Baud,
        "baud",
        Grammar::Choice(&["9600", "19200", "38400", "57600", "115200", "230400", "460800"]),
        Some("19200"),
        unused("serial links are not used"),
        ["speed of serial lines (not performed)", "Belongs to serial, which is not used."],
    ),
    row(
        Id::Watchdog,
        "watchdog",
        Grammar::Path,
        None,
        Implemented,
        [
            "watchdog device",
            "The machine is reset by this device when heartbeat hangs. More is said in hb.toml, \
         [watchdog].",
        ],
    ),
    row(
        Id::Stonith,
        "stonith",
        Grammar::WholeLine("TYPE FILE"),
        None,
        Implemented,
        [
            "fencing device with a configuration file",
            "Driven by the command `stonith` of cluster-glue: `-t TYPE -F FILE`. More is said in \
         hb.toml, [fencing].",
        ],
    ),
    row(
        Id::StonithHost,
        "stonith_host",
        Grammar::WholeLine("HOST|* TYPE PARAMETER…"),
        None,
        Implemented,
        [
            "fencing device that one node, or any (`*`), can use",
            "Driven by the command `stonith` of cluster-glue: `-t TYPE -p \"PARAMETER…\"`. It holds \
         passwords: nobody else should be able to read ha.cf.",
        ],
    ),
    row(
        Id::Respawn,
        "respawn",
        Grammar::WholeLine("USER COMMAND…"),
        None,
        unused("this version starts no client programs; this one is not started"),
        [
            "program to keep running beside the daemon (only ipfail)",
            "Start such a program by systemd. ipfail is built in: `hb explain HB0111`.",
        ],
    ),
    row(
        Id::Failfast,
        "failfast",
        Grammar::WholeLine("USER COMMAND…"),
        None,
        unused("this version starts no client programs, and does not reboot when one dies"),
        [
            "program whose death reboots the machine (not performed)",
            "Start such a program by systemd, with `FailureAction=reboot-force` if need be.",
        ],
    ),
    row(
        Id::Apiauth,
        "apiauth",
        Grammar::WholeLine("NAME [uid=USER,…] [gid=GROUP,…]"),
        None,
        unused(
            "who may talk to the daemon is decided by the owner and mode of its sockets: \
                status for all, commands for root and the group haclient",
        ),
        [
            "who may use the client interface (not performed)",
            "Access is by the modes of the sockets in /run/heartbeat.",
        ],
    ),
    row(
        Id::UseLogd,
        "use_logd",
        Grammar::Boolean,
        Some("off"),
        unused_unless(
            "there is no ha_logd; the daemon writes to logfile, debugfile and syslog \
                itself and never waits for them",
            "off",
        ),
        [
            "log through ha_logd (not performed)",
            "The daemon writes its logs itself, by a thread of its own, and never waits for them.",
        ],
    ),
    row(
        Id::ConnLogdTime,
        "conn_logd_time",
        Grammar::Time,
        Some("60"),
        unused("there is no ha_logd to connect to"),
        ["retry interval for ha_logd (not performed)", "Belongs to use_logd."],
    ),
    row(
        Id::Syslogmsgfmt,
        "syslogmsgfmt",
        Grammar::Boolean,
        Some("on"),
        unused("log lines have one form for files and syslog"),
        [
            "form of lines in the log file (not performed)",
            "Log lines have one form, with named fields, for files and syslog.",
        ],
    ),
    row(
        Id::Memreserve,
        "memreserve",
        Grammar::Integer { min: 1, max: u32::MAX, unit: "KiB" },
        Some("6500"),
        unused("the daemon locks the little memory that it has and reserves no more"),
        ["memory to reserve (not performed)", "Memory is locked with `realtime on`."],
    ),
    row(
        Id::Normalpoll,
        "normalpoll",
        Grammar::Boolean,
        Some("on"),
        unused_unless("there is only one way of polling", "on"),
        ["how to poll (not performed)", "An option for debugging Heartbeat's main loop."],
    ),
    row(
        Id::Compression,
        "compression",
        Grammar::Text,
        Some("zlib"),
        unused(
            "messages of two nodes are far below the size at which Heartbeat compresses; \
                nothing is compressed",
        ),
        [
            "compression of large messages (not performed)",
            "Heartbeat compresses messages above 256 KiB, which haresources clusters never send.",
        ],
    ),
    row(
        Id::CompressionThreshold,
        "compression_threshold",
        Grammar::Integer { min: 1, max: u32::MAX, unit: "KiB" },
        Some("2"),
        unused("nothing is compressed"),
        ["size from which messages are compressed (not performed)", "See compression."],
    ),
    row(
        Id::TraditionalCompression,
        "traditional_compression",
        Grammar::Boolean,
        Some("off"),
        unused_unless("nothing is compressed", "off"),
        ["old form of compression (not performed)", "See compression."],
    ),
    row(
        Id::Coredumps,
        "coredumps",
        Grammar::Boolean,
        Some("on"),
        unused("core dumps are decided by the system: `ulimit -c`, LimitCORE= of the unit"),
        [
            "whether to dump core (not performed)",
            "Set LimitCORE= in the unit and use systemd-coredump.",
        ],
    ),
    row(
        Id::Coreroot,
        "coreroot",
        Grammar::Path,
        None,
        unused("core dumps are decided by the system: kernel.core_pattern"),
        ["directory for core dumps (not performed)", "Set kernel.core_pattern."],
    ),
    row(
        Id::Autojoin,
        "autojoin",
        Grammar::Choice(&["none", "other", "any"]),
        Some("none"),
        Refused {
            why: "nodes that join unasked have no place in haresources",
            instead: "name both nodes with `node` and write `autojoin none` or nothing",
            inert: Some("none"),
        },
        [
            "whether unknown nodes may join",
            "Only `none`. Heartbeat 3.0.6 refuses the others too when haresources is used.",
        ],
    ),
    row(
        Id::QuorumServer,
        "quorum_server",
        Grammar::Text,
        None,
        unused("no quorum server is asked; Heartbeat uses it with Pacemaker only"),
        ["quorum server (not performed)", "Heartbeat uses it with Pacemaker only."],
    ),
    row(
        Id::UseApphbd,
        "use_apphbd",
        Grammar::Boolean,
        Some("off"),
        unused_unless("there is no apphbd; systemd watches the daemon", "off"),
        ["register with apphbd (not performed)", "systemd watches the daemon."],
    ),
    Directive {
        alias: Some("crm"),
        ..row(
            Id::Pacemaker,
            "pacemaker",
            Grammar::Text,
            Some("off"),
            Refused {
                why: "Pacemaker would manage the resources and haresources would not be used",
                instead: "remove the line to let this node manage haresources; for Pacemaker, run it \
                on corosync",
                inert: Some("off"),
            },
            [
                "leave resources to Pacemaker (only off)",
                "Twinbeat manages resources itself, from haresources.",
            ],
        )
    },
    row(
        Id::CrmDaemonDir,
        "crm_daemon_dir",
        Grammar::Path,
        None,
        PACEMAKER_ONLY,
        ["Pacemaker's directory (not performed)", "See pacemaker."],
    ),
    row(
        Id::CrmdSpawnsPengine,
        "crmd_spawns_pengine",
        Grammar::Boolean,
        None,
        PACEMAKER_ONLY,
        ["Pacemaker's process layout (not performed)", "See pacemaker."],
    ),
    row(
        Id::RecordConfigChanges,
        "record_config_changes",
        Grammar::Boolean,
        None,
        PACEMAKER_ONLY,
        ["log Pacemaker's changes (not performed)", "See pacemaker."],
    ),
    row(
        Id::RecordPengineInputs,
        "record_pengine_inputs",
        Grammar::Boolean,
        None,
        PACEMAKER_ONLY,
        ["keep Pacemaker's inputs (not performed)", "See pacemaker."],
    ),
    row(
        Id::EnableConfigWrites,
        "enable_config_writes",
        Grammar::Boolean,
        None,
        PACEMAKER_ONLY,
        ["let Pacemaker write its configuration (not performed)", "See pacemaker."],
    ),
];
