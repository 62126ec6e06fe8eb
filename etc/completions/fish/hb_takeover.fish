complete -c hb_takeover -l group -d 'One group only, by its key (the first resource of its line in haresources)' -r
complete -c hb_takeover -l run-dir -d 'Directory of the daemon\'s sockets' -r -F
complete -c hb_takeover -l no-wait -d 'Return at once, as Heartbeat\'s own scripts do'
complete -c hb_takeover -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hb_takeover -s V -l version -d 'Print version'
