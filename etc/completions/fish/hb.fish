# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_hb_global_optspecs
    string join \n run-dir= h/help V/version
end

function __fish_hb_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_hb_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_hb_using_subcommand
    set -l cmd (__fish_hb_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c hb -n "__fish_hb_needs_command" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_needs_command" -s h -l help -d 'Print help'
complete -c hb -n "__fish_hb_needs_command" -s V -l version -d 'Print version'
complete -c hb -n "__fish_hb_needs_command" -f -a "status" -d 'Is it fine, who is active, can it fail over, what to do'
complete -c hb -n "__fish_hb_needs_command" -f -a "ui" -d 'The status live, what happens, and keys that act: each shows its plan and asks first'
complete -c hb -n "__fish_hb_needs_command" -f -a "history" -d 'What happened, each thing with its cause, who asked, how long each part took, and the outage'
complete -c hb -n "__fish_hb_needs_command" -f -a "why" -d 'The chain of reasons: why it is so, since when, what would come next, what to do'
complete -c hb -n "__fish_hb_needs_command" -f -a "plan" -d 'What would happen: nothing is changed, and what is assumed is said'
complete -c hb -n "__fish_hb_needs_command" -f -a "standby" -d 'Give groups to the other node and wait until it has them'
complete -c hb -n "__fish_hb_needs_command" -f -a "takeover" -d 'Get groups from the other node and wait until they run here'
complete -c hb -n "__fish_hb_needs_command" -f -a "cleanup" -d 'Forget failures of a group and try it again'
complete -c hb -n "__fish_hb_needs_command" -f -a "maintenance" -d 'Hands off: checks go on, nothing is started, stopped or moved, on neither node'
complete -c hb -n "__fish_hb_needs_command" -f -a "fence" -d 'Power switches: do they work, what did they do, and a person\'s word in their place'
complete -c hb -n "__fish_hb_needs_command" -f -a "reload" -d 'Put what has changed in ha.cf, haresources, authkeys and hb.toml into force'
complete -c hb -n "__fish_hb_needs_command" -f -a "push-config" -d 'Copy ha.cf, haresources, authkeys and hb.toml to the other node over ssh, after asking'
complete -c hb -n "__fish_hb_needs_command" -f -a "drill" -d 'Rehearse a failure on the real pair, with a guard, and report what the service saw'
complete -c hb -n "__fish_hb_needs_command" -f -a "check" -d 'Check ha.cf, haresources, authkeys and hb.toml, each and together'
complete -c hb -n "__fish_hb_needs_command" -f -a "doctor" -d 'Look at this machine: what would keep the pair from working, why, and what to write'
complete -c hb -n "__fish_hb_needs_command" -f -a "report" -d 'Collect what a bug report needs into one archive, secrets covered'
complete -c hb -n "__fish_hb_needs_command" -f -a "explain" -d 'Explain a finding (HB0101), a directive of ha.cf (deadtime) or a key of hb.toml'
complete -c hb -n "__fish_hb_needs_command" -f -a "migrate" -d 'What leads from Heartbeat 3 to Twinbeat'
complete -c hb -n "__fish_hb_needs_command" -f -a "key" -d 'Change the key that signs heartbeats, without an outage'
complete -c hb -n "__fish_hb_needs_command" -f -a "demo" -d 'Play failovers on this machine: two nodes in namespaces, and a client that measures'
complete -c hb -n "__fish_hb_needs_command" -f -a "soak" -d 'Leave a pair alone on a busy machine and count false alarms'
complete -c hb -n "__fish_hb_needs_command" -f -a "tune" -d 'Measured heartbeat intervals of each link as a plot, and the deadtime that they allow'
complete -c hb -n "__fish_hb_needs_command" -f -a "address" -d 'Set, remove, look at or announce a floating address'
complete -c hb -n "__fish_hb_needs_command" -f -a "serve" -d 'Show the state of the pair in a browser, to Prometheus and to load balancers'
complete -c hb -n "__fish_hb_needs_command" -f -a "notify" -d 'Tell people of incidents, by mail, webhooks and programs'
complete -c hb -n "__fish_hb_needs_command" -f -a "completions" -d 'Print what a shell needs to complete the words of hb'
complete -c hb -n "__fish_hb_needs_command" -f -a "cl_status" -d 'What monitoring scripts of Heartbeat ask, with its words and exit codes'
complete -c hb -n "__fish_hb_using_subcommand status" -l watch -d 'Show it again every so many seconds, until ^C' -r
complete -c hb -n "__fish_hb_using_subcommand status" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand status" -l json -d 'Print the whole snapshot as JSON (schema version in the field `v`)'
complete -c hb -n "__fish_hb_using_subcommand status" -l plain -d 'One `key value` line for each fact, for grep and scripts'
complete -c hb -n "__fish_hb_using_subcommand status" -l nagios -d 'One line and performance data for Nagios, Icinga and Checkmk'
complete -c hb -n "__fish_hb_using_subcommand status" -l oneline -d 'One line for a prompt or /etc/motd: `www@ha1 ok ready`'
complete -c hb -n "__fish_hb_using_subcommand status" -l ascii -d 'No symbols beyond ASCII and no colour; also when stdout is not a terminal'
complete -c hb -n "__fish_hb_using_subcommand status" -s h -l help -d 'Print help'
complete -c hb -n "__fish_hb_using_subcommand ui" -l dir -d 'Directory of the configuration, for plans' -r -F
complete -c hb -n "__fish_hb_using_subcommand ui" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand ui" -l ascii -d 'No symbols beyond ASCII and no colour; `NO_COLOR` takes away the colour only'
complete -c hb -n "__fish_hb_using_subcommand ui" -s h -l help -d 'Print help'
complete -c hb -n "__fish_hb_using_subcommand history" -l since -d 'Only what happened since then: 30m, 2h, 7d, 17:20, 2026-11-08, "2026-11-08 17:20"' -r
complete -c hb -n "__fish_hb_using_subcommand history" -l limit -d 'The last so many entries' -r
complete -c hb -n "__fish_hb_using_subcommand history" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand history" -l json -d 'Print all that is known of each entry as JSON (docs/reference/history-json.md)'
complete -c hb -n "__fish_hb_using_subcommand history" -l moves -d 'Only moves of groups'
complete -c hb -n "__fish_hb_using_subcommand history" -s l -l long -d 'Below each entry why, and what was done step by step'
complete -c hb -n "__fish_hb_using_subcommand history" -l plain -d 'Nothing beyond ASCII; also when stdout is not a terminal'
complete -c hb -n "__fish_hb_using_subcommand history" -s h -l help -d 'Print help'
complete -c hb -n "__fish_hb_using_subcommand why" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand why" -l json -d 'Print the answer as JSON (docs/reference/history-json.md)'
complete -c hb -n "__fish_hb_using_subcommand why" -s h -l help -d 'Print help'
complete -c hb -n "__fish_hb_using_subcommand plan" -l svg -d 'Also draw it' -r -F
complete -c hb -n "__fish_hb_using_subcommand plan" -l dir -d 'Directory of the configuration' -r -F
complete -c hb -n "__fish_hb_using_subcommand plan" -l node -d 'Plan as this node and not as this machine' -r
complete -c hb -n "__fish_hb_using_subcommand plan" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand plan" -l json -d 'Print it as JSON (docs/reference/history-json.md)'
complete -c hb -n "__fish_hb_using_subcommand plan" -s h -l help -d 'Print help'
complete -c hb -n "__fish_hb_using_subcommand standby" -l group -d 'One group only, by its key (the first resource of its line in haresources)' -r
complete -c hb -n "__fish_hb_using_subcommand standby" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand standby" -l no-wait -d 'Return at once, as Heartbeat\'s own scripts do'
complete -c hb -n "__fish_hb_using_subcommand standby" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hb -n "__fish_hb_using_subcommand takeover" -l group -d 'One group only, by its key (the first resource of its line in haresources)' -r
complete -c hb -n "__fish_hb_using_subcommand takeover" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand takeover" -l no-wait -d 'Return at once, as Heartbeat\'s own scripts do'
complete -c hb -n "__fish_hb_using_subcommand takeover" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hb -n "__fish_hb_using_subcommand cleanup" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand cleanup" -s h -l help -d 'Print help'
complete -c hb -n "__fish_hb_using_subcommand maintenance; and not __fish_seen_subcommand_from on off" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand maintenance; and not __fish_seen_subcommand_from on off" -s h -l help -d 'Print help'
complete -c hb -n "__fish_hb_using_subcommand maintenance; and not __fish_seen_subcommand_from on off" -f -a "on" -d 'Begin; it is shown in `hb status` on both nodes'
complete -c hb -n "__fish_hb_using_subcommand maintenance; and not __fish_seen_subcommand_from on off" -f -a "off" -d 'End: what is to be done is done at once'
complete -c hb -n "__fish_hb_using_subcommand maintenance; and __fish_seen_subcommand_from on" -l for -d 'End by itself after this time: `30m`, `2h`' -r
complete -c hb -n "__fish_hb_using_subcommand maintenance; and __fish_seen_subcommand_from on" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand maintenance; and __fish_seen_subcommand_from on" -s h -l help -d 'Print help'
complete -c hb -n "__fish_hb_using_subcommand maintenance; and __fish_seen_subcommand_from off" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand maintenance; and __fish_seen_subcommand_from off" -s h -l help -d 'Print help'
complete -c hb -n "__fish_hb_using_subcommand fence; and not __fish_seen_subcommand_from test status confirm" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand fence; and not __fish_seen_subcommand_from test status confirm" -s h -l help -d 'Print help'
complete -c hb -n "__fish_hb_using_subcommand fence; and not __fish_seen_subcommand_from test status confirm" -f -a "test" -d 'Ask each device whether it works; changes nothing'
complete -c hb -n "__fish_hb_using_subcommand fence; and not __fish_seen_subcommand_from test status confirm" -f -a "status" -d 'What is configured and what happened last'
complete -c hb -n "__fish_hb_using_subcommand fence; and not __fish_seen_subcommand_from test status confirm" -f -a "confirm" -d 'You have made sure that NODE is off: its groups may be taken over'
complete -c hb -n "__fish_hb_using_subcommand fence; and __fish_seen_subcommand_from test" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand fence; and __fish_seen_subcommand_from test" -s h -l help -d 'Print help'
complete -c hb -n "__fish_hb_using_subcommand fence; and __fish_seen_subcommand_from status" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand fence; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c hb -n "__fish_hb_using_subcommand fence; and __fish_seen_subcommand_from confirm" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand fence; and __fish_seen_subcommand_from confirm" -s h -l help -d 'Print help'
complete -c hb -n "__fish_hb_using_subcommand reload" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand reload" -l dry-run -d 'Only say what differs and what would be done'
complete -c hb -n "__fish_hb_using_subcommand reload" -s h -l help -d 'Print help'
complete -c hb -n "__fish_hb_using_subcommand push-config" -l to -d 'The other node for ssh; else its name in ha.cf' -r
complete -c hb -n "__fish_hb_using_subcommand push-config" -l dir -d 'Directory of the files, on both nodes' -r -F
complete -c hb -n "__fish_hb_using_subcommand push-config" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand push-config" -l dry-run -d 'Only show what differs'
complete -c hb -n "__fish_hb_using_subcommand push-config" -l reload -d 'Also have the other node\'s heartbeat read them: `hb reload` there'
complete -c hb -n "__fish_hb_using_subcommand push-config" -s y -l yes -d 'Do not ask'
complete -c hb -n "__fish_hb_using_subcommand push-config" -s h -l help -d 'Print help'
complete -c hb -n "__fish_hb_using_subcommand drill" -l kind -d 'What is rehearsed' -r -f -a "standby\t'A planned move: the group, or all, go to the other node'
stop\t'heartbeat is stopped in order on this node, and started again'
kill\t'heartbeat is killed on this node; it must be back at once and adopt what runs'
freeze\t'heartbeat stands still on this node for longer than its dead time, and wakes'
cut\t'One heartbeat link carries nothing any more'"
complete -c hb -n "__fish_hb_using_subcommand drill" -l max-outage -d 'The longest time without service that is accepted: `5s`, `500ms`' -r
complete -c hb -n "__fish_hb_using_subcommand drill" -l for -d 'How long a freeze or a cut lasts; else a little longer than the other node needs to notice it' -r
complete -c hb -n "__fish_hb_using_subcommand drill" -l probe -d 'What is asked, in place of what the group tells: http://HOST/PATH, tcp:ADDRESS:PORT, ping:ADDRESS' -r
complete -c hb -n "__fish_hb_using_subcommand drill" -l peer -d 'How to reach the other node by ssh, to measure there: `USER@HOST`; `none`: not at all' -r
complete -c hb -n "__fish_hb_using_subcommand drill" -l report -d 'Also write the report there: as JSON when the name ends so' -r -F
complete -c hb -n "__fish_hb_using_subcommand drill" -l dir -d 'Directory of the configuration' -r -F
complete -c hb -n "__fish_hb_using_subcommand drill" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand drill" -l no-back -d 'Leave groups where they are in the end'
complete -c hb -n "__fish_hb_using_subcommand drill" -s y -l yes -d 'Do not ask'
complete -c hb -n "__fish_hb_using_subcommand drill" -l json -d 'Print the report as JSON (docs/guide/drills.md)'
complete -c hb -n "__fish_hb_using_subcommand drill" -l undo -d 'Undo a drill whose command and helper are gone, or end one'
complete -c hb -n "__fish_hb_using_subcommand drill" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hb -n "__fish_hb_using_subcommand check" -l dir -d 'Directory of the files' -r -F
complete -c hb -n "__fish_hb_using_subcommand check" -l node -d 'Check for this node instead of this machine' -r
complete -c hb -n "__fish_hb_using_subcommand check" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand check" -l json -d 'Print one JSON object'
complete -c hb -n "__fish_hb_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hb -n "__fish_hb_using_subcommand doctor" -l dir -d 'Directory of the configuration' -r -F
complete -c hb -n "__fish_hb_using_subcommand doctor" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand doctor" -l json -d 'Print one JSON object'
complete -c hb -n "__fish_hb_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hb -n "__fish_hb_using_subcommand report" -l since -d 'Logs and history since then: 30m, 2h, 7d, 17:20, 2026-11-08' -r
complete -c hb -n "__fish_hb_using_subcommand report" -s o -l output -d 'The archive; in this directory when absent. A file that is there is not written over' -r -F
complete -c hb -n "__fish_hb_using_subcommand report" -l dir -d 'Directory of the configuration' -r -F
complete -c hb -n "__fish_hb_using_subcommand report" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand report" -s h -l help -d 'Print help'
complete -c hb -n "__fish_hb_using_subcommand explain" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand explain" -s h -l help -d 'Print help'
complete -c hb -n "__fish_hb_using_subcommand migrate; and not __fish_seen_subcommand_from scan" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand migrate; and not __fish_seen_subcommand_from scan" -s h -l help -d 'Print help'
complete -c hb -n "__fish_hb_using_subcommand migrate; and not __fish_seen_subcommand_from scan" -f -a "scan" -d 'Say whether this Heartbeat 3 installation can be replaced one node at a time, and how'
complete -c hb -n "__fish_hb_using_subcommand migrate; and __fish_seen_subcommand_from scan" -l dir -d 'Directory of ha.cf, haresources and authkeys' -r -F
complete -c hb -n "__fish_hb_using_subcommand migrate; and __fish_seen_subcommand_from scan" -l other -d 'A copy of the other node\'s directory, to be compared with this one' -r -F
complete -c hb -n "__fish_hb_using_subcommand migrate; and __fish_seen_subcommand_from scan" -l node -d 'Look for this node instead of this machine' -r
complete -c hb -n "__fish_hb_using_subcommand migrate; and __fish_seen_subcommand_from scan" -l plan -d 'Write findings and plan to this file, as Markdown' -r -F
complete -c hb -n "__fish_hb_using_subcommand migrate; and __fish_seen_subcommand_from scan" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand migrate; and __fish_seen_subcommand_from scan" -l json -d 'Print one JSON object'
complete -c hb -n "__fish_hb_using_subcommand migrate; and __fish_seen_subcommand_from scan" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hb -n "__fish_hb_using_subcommand key; and not __fish_seen_subcommand_from rotate add" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand key; and not __fish_seen_subcommand_from rotate add" -s h -l help -d 'Print help'
complete -c hb -n "__fish_hb_using_subcommand key; and not __fish_seen_subcommand_from rotate add" -f -a "rotate" -d 'Make a key, have it confirmed by the peer, sign with it, drop the others'
complete -c hb -n "__fish_hb_using_subcommand key; and not __fish_seen_subcommand_from rotate add" -f -a "add" -d 'Add a key from standard input and follow the rotation that the peer has begun'
complete -c hb -n "__fish_hb_using_subcommand key; and __fish_seen_subcommand_from rotate" -l method -d 'How the new key signs' -r -f -a "sha256\t'HMAC-SHA256'
sha1\t'HMAC-SHA1, as long as going back to Heartbeat 3 may be necessary'"
complete -c hb -n "__fish_hb_using_subcommand key; and __fish_seen_subcommand_from rotate" -l to -d 'Go on with this key of authkeys and make none' -r
complete -c hb -n "__fish_hb_using_subcommand key; and __fish_seen_subcommand_from rotate" -l dir -d 'Directory of authkeys' -r -F
complete -c hb -n "__fish_hb_using_subcommand key; and __fish_seen_subcommand_from rotate" -l timeout -d 'Seconds to wait for the peer at each step' -r
complete -c hb -n "__fish_hb_using_subcommand key; and __fish_seen_subcommand_from rotate" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand key; and __fish_seen_subcommand_from rotate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hb -n "__fish_hb_using_subcommand key; and __fish_seen_subcommand_from add" -l dir -d 'Directory of authkeys' -r -F
complete -c hb -n "__fish_hb_using_subcommand key; and __fish_seen_subcommand_from add" -l timeout -d 'Seconds to wait for the peer at each step' -r
complete -c hb -n "__fish_hb_using_subcommand key; and __fish_seen_subcommand_from add" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand key; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c hb -n "__fish_hb_using_subcommand demo" -l keepalive -d 'Interval between heartbeats, as in ha.cf (100ms, 1)' -r
complete -c hb -n "__fish_hb_using_subcommand demo" -l deadtime -d 'Silence after which a node is declared dead, as in ha.cf' -r
complete -c hb -n "__fish_hb_using_subcommand demo" -l auto-failback -d 'Whether the service goes home when its preferred node returns' -r -f -a "on\t''
off\t''"
complete -c hb -n "__fish_hb_using_subcommand demo" -l daemon -d 'The daemon to use [default: heartbeat beside this program]' -r -F
complete -c hb -n "__fish_hb_using_subcommand demo" -l shell -d 'Open a shell on a node (node1, node2, client) of the demo that runs in another terminal' -r
complete -c hb -n "__fish_hb_using_subcommand demo" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand demo" -l address-only -d 'Move the address alone; a web server runs on both nodes all the time'
complete -c hb -n "__fish_hb_using_subcommand demo" -l built-in-web -d 'Use the built-in web server even where nginx is installed'
complete -c hb -n "__fish_hb_using_subcommand demo" -l strict -d 'Fail also when a step takes longer than its target'
complete -c hb -n "__fish_hb_using_subcommand demo" -l keep -d 'Leave the pair running afterwards, to play with; Ctrl-C ends it'
complete -c hb -n "__fish_hb_using_subcommand demo" -l json -d 'Print one JSON document and nothing else'
complete -c hb -n "__fish_hb_using_subcommand demo" -l plain -d 'No colour, no drawing; also when stdout is not a terminal'
complete -c hb -n "__fish_hb_using_subcommand demo" -s v -l verbose -d 'Show the daemons\' logs after each step'
complete -c hb -n "__fish_hb_using_subcommand demo" -s h -l help -d 'Print help'
complete -c hb -n "__fish_hb_using_subcommand soak" -l for -d 'How long, in seconds' -r
complete -c hb -n "__fish_hb_using_subcommand soak" -l keepalive -d 'Interval between heartbeats, as in ha.cf' -r
complete -c hb -n "__fish_hb_using_subcommand soak" -l deadtime -d 'Silence after which a node is declared dead, as in ha.cf' -r
complete -c hb -n "__fish_hb_using_subcommand soak" -l load -d 'Busy threads beside the pair [default: two for each processor]' -r
complete -c hb -n "__fish_hb_using_subcommand soak" -l daemon -d 'The daemon to use [default: heartbeat beside this program]' -r -F
complete -c hb -n "__fish_hb_using_subcommand soak" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand soak" -s h -l help -d 'Print help'
complete -c hb -n "__fish_hb_using_subcommand tune" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand tune" -l json -d 'Print what was measured and what follows from it as JSON'
complete -c hb -n "__fish_hb_using_subcommand tune" -l ascii -d 'No symbols beyond ASCII; also when stdout is not a terminal'
complete -c hb -n "__fish_hb_using_subcommand tune" -s h -l help -d 'Print help'
complete -c hb -n "__fish_hb_using_subcommand address" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand address" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hb -n "__fish_hb_using_subcommand serve" -l listen -d 'Listen here in place of `[serve] listen` of hb.toml; may stand several times' -r
complete -c hb -n "__fish_hb_using_subcommand serve" -l dir -d 'Directory of hb.toml' -r -F
complete -c hb -n "__fish_hb_using_subcommand serve" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand serve" -s h -l help -d 'Print help'
complete -c hb -n "__fish_hb_using_subcommand notify; and not __fish_seen_subcommand_from test status run" -l dir -d 'Directory of hb.toml' -r -F
complete -c hb -n "__fish_hb_using_subcommand notify; and not __fish_seen_subcommand_from test status run" -l notify-dir -d 'Directory of what waits to be told' -r -F
complete -c hb -n "__fish_hb_using_subcommand notify; and not __fish_seen_subcommand_from test status run" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand notify; and not __fish_seen_subcommand_from test status run" -s h -l help -d 'Print help'
complete -c hb -n "__fish_hb_using_subcommand notify; and not __fish_seen_subcommand_from test status run" -f -a "test" -d 'Send a test message now and show what each channel answers'
complete -c hb -n "__fish_hb_using_subcommand notify; and not __fish_seen_subcommand_from test status run" -f -a "status" -d 'Show what waits to be told and what went wrong last'
complete -c hb -n "__fish_hb_using_subcommand notify; and not __fish_seen_subcommand_from test status run" -f -a "run" -d 'Tell incidents until it is ended, in the foreground'
complete -c hb -n "__fish_hb_using_subcommand notify; and __fish_seen_subcommand_from test" -l dir -d 'Directory of hb.toml' -r -F
complete -c hb -n "__fish_hb_using_subcommand notify; and __fish_seen_subcommand_from test" -l notify-dir -d 'Directory of what waits to be told' -r -F
complete -c hb -n "__fish_hb_using_subcommand notify; and __fish_seen_subcommand_from test" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand notify; and __fish_seen_subcommand_from test" -s h -l help -d 'Print help'
complete -c hb -n "__fish_hb_using_subcommand notify; and __fish_seen_subcommand_from status" -l dir -d 'Directory of hb.toml' -r -F
complete -c hb -n "__fish_hb_using_subcommand notify; and __fish_seen_subcommand_from status" -l notify-dir -d 'Directory of what waits to be told' -r -F
complete -c hb -n "__fish_hb_using_subcommand notify; and __fish_seen_subcommand_from status" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand notify; and __fish_seen_subcommand_from status" -l json -d 'Print one JSON object'
complete -c hb -n "__fish_hb_using_subcommand notify; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c hb -n "__fish_hb_using_subcommand notify; and __fish_seen_subcommand_from run" -l dir -d 'Directory of hb.toml' -r -F
complete -c hb -n "__fish_hb_using_subcommand notify; and __fish_seen_subcommand_from run" -l notify-dir -d 'Directory of what waits to be told' -r -F
complete -c hb -n "__fish_hb_using_subcommand notify; and __fish_seen_subcommand_from run" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand notify; and __fish_seen_subcommand_from run" -s h -l help -d 'Print help'
complete -c hb -n "__fish_hb_using_subcommand completions" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb -n "__fish_hb_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hb -n "__fish_hb_using_subcommand cl_status" -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
