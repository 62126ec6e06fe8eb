//! The table of findings: code, severity, title, explanation and cure. It drives
//! `hb explain CODE`. Where a finding is made is not told here; the module of each file does that.
//!
//! Codes are never reused: HB00xx any file, HB01xx ha.cf, HB03xx haresources, HB04xx authkeys,
//! HB05xx hb.toml.

use std::fmt;

use crate::diagnostic::Severity;

/// What the table knows of a code.
#[derive(Clone, Copy, Debug)]
pub struct CodeInfo {
    /// The number behind `HB`.
    pub number: u16,
    /// Usual severity.
    pub severity: Severity,
    /// A few words.
    pub title: &'static str,
    /// Why it is reported, and what Heartbeat 3.0.6 does in the same case.
    pub explanation: &'static str,
    /// What to do.
    pub cure: &'static str,
}

macro_rules! codes {
    ($($name:ident = $number:literal $severity:ident $title:literal
        $explanation:literal $cure:literal)*) => {
        /// A kind of finding.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $title] $name,)*
        }

        impl Code {
            /// All codes in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The row of the table.
            pub fn info(self) -> &'static CodeInfo {
                match self {
                    $(Self::$name => {
                        const INFO: CodeInfo = CodeInfo {
                            number: $number,
                            severity: Severity::$severity,
                            title: $title,
                            explanation: $explanation,
                            cure: $cure,
                        };
                        &INFO
                    })*
                }
            }
        }
    };
}

impl Code {
    /// The code that `text` names: `HB0101`, `hb101`, `101`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.trim_start_matches(['h', 'H']).trim_start_matches(['b', 'B']);
        let number: u16 = digits.parse().ok()?;
        Self::ALL.iter().copied().find(|code| code.info().number == number)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("HB{:04}", self.info().number))
    }
}

codes! {
FileMissing = 1 Error "a file is missing"
    "A node needs ha.cf, haresources and authkeys. hb.toml may be missing: then its defaults hold."
    "Write the file, the same on both nodes. The samples that come with Twinbeat show how."
FileUnreadable = 2 Error "a file cannot be read"
    "The file exists, but the system refuses to read it. authkeys is readable by root only."
    "Run the command as root, or mend the file's owner and mode."
FileTooLarge = 3 Error "a file is too large to be a configuration file"
    "Configuration files have a few kilobytes. More than one megabyte is not read."
    "Look what was written there; perhaps a log or an image was copied to this name."
InvalidText = 4 Error "a character that cannot stand there"
    "Outside comments the files hold printable text in UTF-8. Control characters and bytes of \
     other encodings come from a damaged file or an editor set to another encoding, and usually \
     make a name that matches nothing."
    "Delete the character. Comments may hold any bytes."
WindowsLineEnds = 5 Warning "Windows line ends"
    "The lines end in carriage return and line feed. Twinbeat skips the carriage return. In \
     haresources Heartbeat 3.0.6 makes it part of the last resource's name, which then cannot be \
     found."
    "Convert the file: `sed -i 's/\\r$//' FILE`."
ByteOrderMark = 6 Warning "a byte order mark"
    "The file begins with U+FEFF, which some Windows editors write. Twinbeat skips it. Heartbeat \
     3.0.6 makes it part of the first word, which it then does not know."
    "Save the file as UTF-8 without a byte order mark: `sed -i '1s/^\\xEF\\xBB\\xBF//' FILE`."
TooManyFindings = 7 Warning "more findings than are shown"
    "For each file at most 100 findings of each severity are kept."
    "Mend the first ones and check again."
WritableByOthers = 8 Warning "others may write a file that root acts on"
    "What haresources names is started as root, and ha.cf decides when. Whoever may write these \
     files may run anything as root. Heartbeat 3.0.6 does not look at it."
    "`chown root:root FILE; chmod 644 FILE`."
UnusualBlank = 9 Error "a character that only looks like a blank"
    "Words are separated by blanks and tabs. A no-break space or an ideographic space looks the \
     same on the screen but is part of the word."
    "Replace it by an ordinary blank."
NodeUnknown = 10 Error "this node's name is not known"
    "What a node does depends on its name: which ha.cf `node` it is, which groups it prefers. The \
     name is that of `uname -n`, or the first line of nodeinfo in the configuration directory."
    "Say for which node to check: `hb check --node NAME`."
UnknownDirective = 101 Error "an unknown directive"
    "Each line of ha.cf begins with the name of a directive, in lower case. Like Heartbeat 3.0.6, \
     Twinbeat does not start with one that it does not know: a misspelt `deadtime` that is \
     skipped would fail over at the wrong time."
    "Correct the name. `hb explain` lists all directives. What Heartbeat does not have is \
     configured in hb.toml."
MissingValue = 102 Error "a directive without its value"
    "The directive needs something after it. Perhaps a `#` before the value made it a comment."
    "Write the value, or remove the line."
TooManyValues = 103 Warning "more words than a directive takes"
    "The directive has one value. Like Heartbeat 3.0.6, Twinbeat takes the last word."
    "Leave only the value that is meant; put `#` before a comment."
InvalidDuration = 104 Error "not a time"
    "A time is a number of seconds (`2`, `0.5`), or a number with `ms` or `us` directly behind it \
     (`500ms`). `10s`, `1m` and `2 sec` are not understood by Heartbeat 3.0.6 either, which then \
     says only \"configuration error\"."
    "Write seconds without a unit, or milliseconds with `ms`."
InvalidNumber = 105 Error "not a number in the allowed range"
    "The directive takes a whole number within limits; `hb explain DIRECTIVE` tells them."
    "Write a number inside the range."
InvalidBoolean = 106 Error "neither yes nor no"
    "A switch is one of true, on, yes, y, 1 or false, off, no, n, 0, in upper or lower case."
    "Write `on` or `off`."
InvalidChoice = 107 Error "not one of the allowed words"
    "The directive takes one of a few words; `hb explain DIRECTIVE` lists them."
    "Write one of these words."
Repeated = 108 Warning "a directive is given twice"
    "The directive has one value for the whole node. Like Heartbeat 3.0.6, Twinbeat takes the \
     last one. The earlier line has no effect, and the next person will read the wrong one."
    "Remove the line that is not meant."
NotPerformed = 109 Warning "accepted but not performed"
    "Heartbeat 3.0.6 knows the directive; this version of Twinbeat reads it and does nothing with \
     it, so that an existing file still loads. The help line says what it means for the node."
    "Remove the line when no 3.0.6 node reads this file, or keep it knowing that it does nothing."
Refused = 110 Error "cannot be honoured"
    "The directive asks for something that would make this node behave quite differently from \
     what the file says, so it is better not to start. Pacemaker and autojoin are such: with \
     either, haresources is not used at all."
    "Remove the directive; the help line says what to use."
IpfailNotRun = 111 Warning "ipfail has no effect"
    "A `respawn` line for ipfail lets the node compare the number of its reachable ping nodes with \
     the peer's and give its resources to a peer that reaches more. The node does this itself and \
     does not start the program. As with Heartbeat 3.0.6 it needs `auto_failback on` or `off` \
     (ipfail refuses the legacy mode), and without ping nodes there is nothing to compare."
    "Write `auto_failback on` or `auto_failback off`, and a `ping` line for an address that only a \
     working network reaches, such as the gateway; the same on both nodes. Without the `respawn` \
     line ping nodes are only watched and shown."
Obsolete = 112 Warning "an obsolete directive"
    "nice_failback was replaced by auto_failback, with the opposite sense: `nice_failback on` is \
     `auto_failback off`, and `nice_failback off` is `auto_failback legacy`. Heartbeat 3.0.6 \
     converts it with an error that depends on earlier lines."
    "Write auto_failback."
AutoFailbackLegacy = 113 Warning "auto_failback is legacy"
    "`legacy` is Heartbeat's behaviour from before auto_failback, and what 3.0.6 takes when the \
     directive is absent. Two legacy nodes do not negotiate: neither hb_standby nor ipfail work. \
     Twinbeat nodes always negotiate; between them `legacy` acts as `off`: resources stay where \
     they are when the preferred node returns."
    "Write `auto_failback on` (resources go home when their preferred node returns) or \
     `auto_failback off` (they stay; you move them with `hb_standby`). Same value on both nodes."
RelativePath = 114 Warning "a path that does not begin with /"
    "The daemon does not run in the configuration directory, so a relative path ends up in a \
     place that nobody looks at."
    "Write the whole path."
HashInValue = 115 Note "a # directly behind a value"
    "In ha.cf a `#` begins a comment wherever it stands, even inside a word. The value ends \
     before it."
    "If the comment is meant, put a blank before it. A value with `#` in it cannot be written."
LineTooLong = 116 Warning "a line is longer than Heartbeat reads"
    "Heartbeat 3.0.6 reads at most 5119 characters of a line of ha.cf."
    "Shorten the line."
MediumSyntax = 120 Error "wrong number of words"
    "ucast takes interface and host; ucast6 interface and address; mcast and mcast6 interface, \
     group, port, ttl (or hops) and loop; ping_group a name and hosts. There is one per line."
    "Write the words in this order, separated by blanks."
InvalidAddress = 121 Error "not an address or host name"
    "The word is neither an address of the kind that the directive takes nor a host name."
    "Correct it. IPv6 goes with ucast6, mcast6 and ping6."
PortAfterMedia = 123 Error "udpport after the media that should use it"
    "udpport acts on the media after it. Heartbeat 3.0.6 opens the media above it on port 694, \
     the ones below on the new port. Twinbeat has one port and does not guess."
    "Move the udpport line above the first bcast, ucast or ucast6."
InvalidInterface = 124 Error "not a network interface"
    "An interface name has at most 15 bytes and no `/`. A heartbeat link is bound to the \
     interface itself, not to an alias such as `eth0:0`."
    "Write the name that `ip link` shows."
DuplicateMedium = 125 Warning "the same link twice"
    "The same medium with the same target is configured twice. Every message would be sent twice \
     on the same wire, which makes nothing safer."
    "Remove one of them. For a second path use another interface."
PortShared = 126 Warning "a multicast port that unicast uses too"
    "A multicast medium uses the port of bcast and ucast on the same interface. The kernel may \
     hand a packet to either socket."
    "Give mcast a port of its own, 695 for instance, on both nodes."
NoMedia = 127 Error "no heartbeat link"
    "Without bcast, ucast, ucast6, mcast or mcast6 the node hears nobody. ping is no heartbeat \
     link. Heartbeat 3.0.6 refuses this too."
    "Add one link for each path between the two nodes: `ucast eth1 ADDRESS-OF-THE-PEER`."
UnicastToSelf = 128 Note "ucast only to this node itself"
    "A ucast line may name this node, so that both nodes can share one ha.cf. Here no line on \
     that interface names another host."
    "Add `ucast INTERFACE ADDRESS-OF-THE-PEER`."
SingleLink = 129 Note "one heartbeat link only"
    "All media run over one interface. When that cable, port or switch fails, each node takes the \
     other for dead and both take the resources."
    "Add a second, independent path: another interface, best a direct cable."
DeadtimeTooShort = 140 Error "deadtime is too short for keepalive"
    "deadtime must be longer than twice keepalive, or a single lost heartbeat makes the peer \
     look dead. Heartbeat 3.0.6 refuses this too."
    "Raise deadtime or lower keepalive. deadtime of 4 to 10 times keepalive is usual."
DeadpingTooShort = 141 Error "deadping is too short for keepalive"
    "deadping must be longer than twice keepalive: ping nodes are asked once per keepalive."
    "Raise deadping, or leave it out: it is deadtime then."
InitdeadTooShort = 142 Error "initdead is shorter than deadtime"
    "initdead takes the place of deadtime while a node starts, when switches and interfaces are \
     slow. It cannot be shorter. Heartbeat 3.0.6 refuses this too."
    "Raise initdead to at least deadtime, or leave it out."
InitdeadShort = 143 Warning "initdead is below ten seconds"
    "After a reboot, a network may need many seconds until packets pass (spanning tree, \
     autonegotiation). With a short initdead a starting node takes its running peer for dead."
    "Use at least 10, better 30 to 120."
WarntimeTooLong = 144 Warning "warntime is not shorter than deadtime"
    "warntime is when a late heartbeat is logged. At deadtime the node is declared dead, so the \
     warning would never come before it. Heartbeat 3.0.6 accepts this without a word."
    "Leave warntime out (it is half of deadtime then) or make it shorter."
WarntimeTooShort = 145 Warning "warntime is not longer than keepalive"
    "Heartbeats come every keepalive, so each one would be reported as late."
    "Leave warntime out (it is half of deadtime then) or make it at least twice keepalive."
DeadpingUnused = 146 Note "deadping without ping nodes"
    "deadping is the silence after which a ping node is dead, and there is none."
    "Add a ping line, or remove deadping."
NoNodes = 160 Error "no node"
    "ha.cf must name the members with `node`, by the names of `uname -n`."
    "Add `node NAME1 NAME2`."
OwnNodeMissing = 161 Error "this node is not in ha.cf"
    "The machine's own name must be one of the nodes. Heartbeat compares the output of \
     `uname -n`, in lower case, with the node lines; a name in /etc/hosts does not matter."
    "Use the output of `uname -n` in ha.cf and haresources, or set the host name. On another \
     machine, say which node is meant: `hb check --node NAME`."
DuplicateNode = 162 Warning "a node is named twice"
    "Node names are compared in lower case. Heartbeat 3.0.6 does not notice and then counts the \
     node twice."
    "Remove one of them."
TooManyNodes = 163 Error "more than two nodes"
    "Twinbeat is for two nodes, as are Heartbeat's own resource scripts: with three nobody knows \
     who takes over."
    "Leave two `node` names. A machine that should only be watched is a `ping` node."
OnlyOneNode = 164 Warning "one node only"
    "With a single member nothing can be taken over. The node starts and holds all resources."
    "Add the other node's name with `node`."
InvalidNodeName = 165 Error "not a node name"
    "A node name has letters, digits, `.`, `-` and `_`, at most 64 of them, as `uname -n` gives."
    "Correct the name. A comment needs a `#` before it."
PingIsNode = 170 Error "a ping node has the name of a member"
    "Ping nodes and members share one list of names, in status and in messages."
    "Ping something that is neither node, such as the gateway."
PingIsMember = 171 Warning "a ping node that says nothing about the network"
    "A ping node should tell whether this node's own network works. A member's address or a \
     floating address tells about the member, and answers from this very machine when it is here."
    "Ping something that is neither node, such as the gateway."
DuplicatePing = 172 Warning "the same ping node twice"
    "Two ping nodes have the same name, so one of them cannot be told from the other."
    "Remove one of them."
FencingAbsent = 173 Note "nothing fences a dead node, and no witness decides"
    "When all links between the nodes fail, each takes the other for dead and both run the \
     resources. Two nodes alone cannot be safe under such a partition: only fencing (cutting the \
     other's power) or a third party that gives one of them the right to go on prevents it. \
     Heartbeat 3.0.6 without a stonith line goes on in the same way."
    "Use two independent heartbeat links, so that no single fault cuts both; better, add \
     [fencing] or [witness] to hb.toml."
StonithSyntax = 174 Error "a fence device with a part missing"
    "`stonith TYPE FILE` names a device and its file, `stonith_host HOST|* TYPE PARAMETER…` the node \
     that can use a device, and its parameters. A device that is not understood would fence \
     nobody."
    "Write the missing part, or move the device to hb.toml, [fencing]."
InvalidEnvironment = 180 Error "not NAME=VALUE"
    "env gives resource scripts a variable HA_NAME. NAME has letters, digits and `_` and does not \
     begin with a digit; blanks end the value."
    "Write `env NAME=VALUE`."
UnknownNode = 301 Error "a group prefers a node that ha.cf does not have"
    "The first word of a line of haresources is the node where the group lives. It must be one of \
     the `node` names of ha.cf. Heartbeat 3.0.6 refuses this too (\"Bad nodename\")."
    "Use a name of ha.cf. haresources is the same on both nodes."
GroupWithoutResources = 302 Warning "a group without resources"
    "The line has a node and nothing to run there. Heartbeat 3.0.6 accepts it silently."
    "Add the resources behind the node, or remove the line."
DuplicateGroup = 303 Error "two groups with the same first resource"
    "A group is known by its first resource, in messages and in Heartbeat's scripts. Two groups \
     with the same one cannot be told apart; 3.0.6 starts and stops the wrong one."
    "Begin each group with a resource of its own, usually its address; or join the two lines."
DuplicateResource = 304 Warning "the same resource twice"
    "A resource is started once for each time it is named. When the first of the two groups \
     moves, its stop also ends the service of the other."
    "Put the service in one group only, or in one line with both addresses."
DuplicateAddress = 305 Error "the same floating address twice"
    "An address can live on one node only. In two groups it could be on both nodes at once, which \
     breaks it for everyone; in one group the second start finds it taken."
    "Remove one of them."
InvalidResourceAddress = 306 Error "not an address as IPaddr takes it"
    "IPaddr and IPaddr2 take `ip[/prefix[/interface[/broadcast]]]` or `ip/prefix/broadcast`; the \
     prefix may be a netmask such as 255.255.255.0. IPv6addr takes `ip[/bits[/interface]]`, \
     SendArp takes `ip/interface`."
    "Correct the part that is marked."
LabelTooLong = 307 Error "an interface label is too long"
    "The kernel allows 15 bytes for a label such as `eth0:0`, the interface's name included."
    "Shorten the part behind the colon."
CommentOnContinuation = 308 Warning "a comment on a continued line"
    "Heartbeat 3.0.6 removes a comment on the first line of a continued line only; on the others \
     it takes the comment's words for resources and tries to start them. Twinbeat takes it for \
     the comment that it is."
    "Move the comment to a line of its own above the group."
ContinuationGluesWords = 309 Warning "a continuation makes one word of two"
    "A backslash at the end of a line and the line feed vanish, and nothing takes their place. \
     Without a blank before the backslash or at the start of the next line, two words become one."
    "Put a blank before the backslash."
ContinuationAtEnd = 310 Warning "a backslash on the last line"
    "The backslash joins the line with the next, and there is none."
    "Remove the backslash."
OnlyTwinbeat = 311 Note "not understood by Heartbeat 3.0.6"
    "`ocf::`, `systemd::` and a bare IPv6 address are understood by Twinbeat only. haresources \
     must be the same on both nodes, so a 3.0.6 peer would look for a script of that name."
    "Nothing, when both nodes run Twinbeat. For a 3.0.6 peer write a script name, and \
     `IPv6addr::ADDRESS` for an address."
NonAsciiResource = 312 Error "a resource with characters that no script has"
    "The word holds characters outside ASCII. Usually a comment is stuck to the resource because \
     its `#` is missing or is the full-width `＃`."
    "Put a blank and an ordinary `#` before the comment."
InvalidResource = 313 Error "not a resource"
    "A resource is the name of a script in resource.d or /etc/init.d, with arguments after `::`; \
     an address; `ocf::provider:type::name=value`; or `systemd::unit`."
    "Correct the word that is marked."
NetworkAddress = 314 Warning "an address that hosts do not have"
    "With this prefix the address is that of the network itself or its broadcast address."
    "Check address and prefix."
NoGroups = 315 Warning "haresources has no group"
    "The nodes watch each other and nothing is ever moved. Heartbeat 3.0.6 accepts it silently."
    "Write a line `NODE ADDRESS SERVICE` for each group."
BackslashInComment = 316 Warning "a backslash inside a comment"
    "The comment takes the backslash with it, so the line is not continued, and the next line is \
     a group of its own."
    "Put the comment on a line of its own above the group."
QuotesInResource = 318 Warning "quotes in a resource"
    "haresources has no quoting: a blank always ends a resource, and the quotes are given to the \
     script as part of its argument."
    "Remove the quotes; replace blanks in arguments, for instance by `_`."
AddressOfMember = 319 Error "a floating address that is a heartbeat target"
    "The address is also the target of a ucast line, so it belongs to a node. If the group moved, \
     both nodes would have it and the heartbeat link would break."
    "Use a floating address of its own."
MissingAuth = 401 Error "authkeys chooses no key"
    "A line `auth N` says which key signs. Without it Heartbeat 3.0.6 does not start either."
    "Write `auth 1` above the line of key 1."
InvalidAuthLine = 402 Error "not an auth line"
    "A line that begins with `a` must be `auth N` with N from 0 to 15."
    "Write `auth 1`."
InvalidKeyLine = 403 Error "not a key line"
    "Each other line is `N METHOD KEY`, with N from 0 to 15. A comment has its `#` as the first \
     character of the line."
    "Write for instance `1 sha1 KEY`."
UnknownMethod = 404 Error "an unknown signing method"
    "The methods are crc, md5 and sha1, which Heartbeat 3.0.6 knows, and sha256, which only \
     Twinbeat knows. They are written in lower case."
    "Use sha256 when both nodes run Twinbeat, sha1 otherwise."
KeyMissing = 405 Error "a method without its key"
    "md5, sha1 and sha256 sign with a secret key, the third word of the line."
    "Write the key, the same on both nodes. `head -c 32 /dev/urandom | base64 -w 0` makes one."
KeyForCrc = 406 Error "crc takes no key"
    "crc is a checksum, not a signature. Heartbeat 3.0.6 refuses a key behind it. A `#` inside a \
     line begins no comment in authkeys."
    "Use sha1 with a key, or remove what stands behind `crc`."
AuthKeyMissing = 407 Error "auth names a key that is not there"
    "The number behind `auth` must be that of one of the key lines."
    "Correct the number or add the key."
AuthAfterKey = 408 Error "auth stands below its key"
    "The active key is chosen while the key lines are read, so `auth N` must stand above line N. \
     Heartbeat 3.0.6 says \"key not found\" otherwise."
    "Move the `auth` line to the top of the file."
RepeatedIndex = 409 Warning "two lines of authkeys for one thing"
    "Two keys have the same number, or there are two `auth` lines. The last one is taken, as in \
     Heartbeat 3.0.6."
    "Remove the line that is not meant."
KeysReadable = 410 Error "others can read or write the keys"
    "Who knows the key can command the cluster; who can write the file can replace it. Heartbeat \
     3.0.6 refuses a file that its group or others can read."
    "`chmod 600 FILE`, and change the key if somebody may have read it."
WellKnownKey = 411 Warning "a key that everybody knows"
    "Digests of nothing (made with `md5sum < /dev/null` or an empty pipe) and the keys of sample \
     files stand in many guides. They protect against accidents, not against people."
    "Make a key of your own and copy it to both nodes: `head -c 32 /dev/urandom | base64 -w 0`."
NoProtection = 412 Warning "crc protects nothing"
    "crc finds damaged packets. Whoever can send a packet to this port can declare nodes dead or \
     take the resources. It is right on a direct cable only."
    "Use sha1 (or sha256 when both nodes run Twinbeat) with a secret key."
ShortKey = 413 Warning "a short key"
    "A key with less than 16 bytes can be guessed from recorded packets."
    "Make a longer one: `head -c 32 /dev/urandom | base64 -w 0`, the same on both nodes."
TextAfterKey = 414 Warning "text behind the key is ignored"
    "The key is the third word of the line; it cannot hold blanks, and all behind it is ignored. \
     A `-` comes from the output of md5sum or sha1sum and does no harm."
    "Remove the text. If it was meant as part of the key, make a key without blanks."
OnlyTwinbeatMethod = 416 Note "sha256 is for two Twinbeat nodes"
    "Heartbeat 3.0.6 does not know sha256 and does not start with it in authkeys."
    "Nothing, when both nodes run Twinbeat. With a 3.0.6 peer use sha1."
TomlSyntax = 501 Error "hb.toml is not TOML"
    "hb.toml has sections in brackets and lines `key = value`; text values stand in quotes."
    "Correct the place that is marked."
UnknownKey = 502 Error "an unknown key in hb.toml"
    "Like an unknown directive, an unknown key is an error: a misspelt one would silently leave \
     the default in force."
    "Correct the name. `hb explain` lists all keys. Directives of ha.cf go in ha.cf."
InvalidNativeValue = 503 Error "a value of hb.toml that cannot be"
    "The value has another type than the key takes, or is outside its range. Times are text: \
     \"60s\", \"500ms\", \"1m\", or \"60\" for seconds."
    "Correct the value; `hb explain KEY` tells its range."
GraceTooLong = 504 Warning "kill_grace is not shorter than a timeout"
    "A program that exceeds its timeout gets TERM, and KILL after kill_grace. With a grace \
     longer than the timeout itself, a hanging stop takes more than twice its timeout."
    "Make kill_grace a few seconds."
UnknownResourceSection = 505 Error "hb.toml speaks of a resource that haresources does not have"
    "A section [resource.\"TEXT\"] belongs to the resource that is written so in haresources, \
     arguments included. A misspelt one would silently leave the defaults in force."
    "Copy the resource from haresources as it is written there."
UnknownGroupSection = 506 Error "hb.toml speaks of a group that haresources does not have"
    "A group is named by its first resource as written in haresources: \
     [group.\"192.168.1.10/24/eth0\"]."
    "Copy the group's first resource from haresources."
SecretsReadable = 507 Error "others can read the passwords of fence devices"
    "Parameters of fence devices are passwords of power switches as a rule. Who reads them can \
     switch the nodes off."
    "`chmod 600 /etc/ha.d/hb.toml`."
LeaseTooLong = 508 Error "the witness's lease is not shorter than deadtime"
    "The right to go on alone must have ended at the other node before this one takes over. A \
     lease that lasts longer than deadtime makes each takeover wait for its end."
    "Leave lease out (it is half of deadtime then) or make it shorter than deadtime."
FencingWithoutDevice = 509 Error "fencing without a device"
    "[fencing] says how to fence, and nothing says with what. Nothing would ever be taken over."
    "Add a [[fencing.device]], or remove [fencing]."
DeviceKind = 510 Error "a fence device with none or several kinds"
    "A device is driven by one thing: a fence agent, a plugin of cluster-glue, the command \
     stonith, ssh, or nothing (null, for tests)."
    "Write one of agent, external, stonith, ssh and null."
DeviceTarget = 511 Error "a fence device for a node that ha.cf does not have"
    "target names the node that the device switches off, as in ha.cf."
    "Use a node name of ha.cf."
PeerNotFenced = 512 Warning "no device can fence the other node"
    "There are fence devices, but each is for this node. A dead peer cannot be fenced, so nothing \
     would be taken over from it."
    "Add a device with the other node as target, or one without a target."
WarmAddress = 513 Error "an address cannot be warm"
    "A warm resource runs on both nodes at once. An address on both nodes is what a cluster \
     exists to prevent."
    "Remove warm here; make the service warm that listens on the address."
WitnessKind = 514 Error "a witness with none or both of its kinds"
    "The witness is an etcd cluster or a file on storage that both nodes mount."
    "Write one of etcd and file."
NullFencing = 515 Warning "a fence device that does nothing"
    "A null device reports success without doing anything, so a node that still runs is taken for \
     dead with confidence."
    "Use null in tests only."
ServeOpen = 516 Warning "hb serve would not start with this"
    "The status page, the metrics and the history tell an attacker much. On any other address than \
     loopback they are shown only through TLS to who has the token. The daemon itself does not mind."
    "Listen on 127.0.0.1 or [::1], or write token_file, cert_file and key_file. In a network that \
     you trust as a whole: insecure = true."
NotifyKey = 520 Warning "an unknown key of notifications"
    "[notify] has nothing of this name. hb-notify goes without it; the daemon does not read this \
     section."
    "`hb explain notify.mail.to` shows one key; man hb.toml has all."
NotifyValue = 521 Warning "a value of notifications that is not valid"
    "hb-notify leaves out what it cannot understand: a value keeps its default, a channel that \
     needs it is not used."
    "Write what the finding says, then try it: hb notify test."
NotifyChannel = 522 Warning "a channel of notifications is not complete"
    "A channel without what it needs cannot be used, and nobody is told by it."
    "Write what the finding says, then try it: hb notify test."
NotifyNobody = 523 Warning "notifications that reach nobody"
    "[notify] says when to tell, and nothing says whom."
    "Add a channel, or remove [notify]."
NotifyClear = 524 Warning "a secret of notifications is sent in clear"
    "Everybody on the way to the server can read the password or the token."
    "Use TLS, or a server on this machine."
SecretReadable = 525 Warning "others can read or write a secret that hb.toml names"
    "Who reads the token can read the status page, who reads its key can pose as it, and a password can \
     be used elsewhere. hb-notify does not use a channel whose secret others can read. The daemon itself \
     does not read these files."
    "`chmod 600 FILE`, and change the secret if somebody may have read it."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_and_in_order() {
        for pair in Code::ALL.windows(2) {
            assert!(pair[0].info().number < pair[1].info().number, "{} {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn codes_are_found_however_they_are_written() {
        for text in ["HB0101", "hb0101", "HB101", "101"] {
            assert_eq!(Code::parse(text), Some(Code::UnknownDirective), "{text}");
        }
        for text in ["", "HB", "HB9999", "deadtime", "99999999"] {
            assert_eq!(Code::parse(text), None, "{text}");
        }
    }

    #[test]
    fn texts_are_sentences() {
        for code in Code::ALL {
            let info = code.info();
            assert!(!info.title.ends_with('.'), "{code}");
            assert!(info.explanation.ends_with('.'), "{code}");
            assert!(info.cure.ends_with('.'), "{code}");
        }
    }
}
