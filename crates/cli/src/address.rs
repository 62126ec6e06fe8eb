//! `hb address`: sets, removes, looks at and announces a floating address with the daemon's own
//! code. The shipped `resource.d/IPaddr`, `IPaddr2`, `IPv6addr` and `SendArp` call it, so that
//! people and other tools get the same behaviour.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use hb_config::haresources::parse_resource;
use hb_config::settings::{AddressSpec, Announce, BuiltIn, Native};
use hb_resource::address::Addresses;
use hb_resource::operation::Outcome;

use crate::{exit, print};

/// What the status of an address that is not here exits with (LSB: program is not running).
const NOT_RUNNING: u8 = 3;

/// What to do with which address.
#[derive(Clone, Debug, Args)]
pub(crate) struct AddressArgs {
    /// What to do
    #[arg(value_enum)]
    action: AddressAction,
    /// `ADDRESS[/PREFIX[/INTERFACE[:LABEL][/BROADCAST]]]`, as in haresources
    #[arg(value_name = "ADDRESS")]
    spec: String,
}

/// The actions of an address agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum AddressAction {
    /// Add it and announce it.
    Start,
    /// Remove it.
    Stop,
    /// Is it here?
    Status,
    /// Tell the network where it lives.
    Announce,
}

/// Runs `hb address`. Exit: 0 done or present, 3 not present, 1 failed, 2 not an address.
pub(crate) fn run(args: &AddressArgs) -> ExitCode {
    let Some(spec) = parse(&args.spec) else {
        print::err(&format!(
            "hb: `{}` is no address; write ADDRESS[/PREFIX[/INTERFACE[:LABEL][/BROADCAST]]], for \
             example 10.0.0.50/24/eth0\n",
            args.spec
        ));
        return exit::code(exit::USAGE);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(perform(args.action, &spec)),
        Err(error) => Outcome::CouldNotRun { reason: error.to_string() },
    };
    match outcome {
        Outcome::Ok if args.action == AddressAction::Status => {
            print::out("running\n");
            exit::code(exit::OK)
        }
        Outcome::Ok => exit::code(exit::OK),
        Outcome::NotRunning => {
            // Heartbeat judges by the text, LSB by the code.
            print::out("stopped\n");
            exit::code(NOT_RUNNING)
        }
        Outcome::Failed { .. } | Outcome::TimedOut | Outcome::CouldNotRun { .. } => {
            print::err(&format!("hb: {}: {}\n", args.spec, outcome.describe()));
            exit::code(exit::NEGATIVE)
        }
    }
}

fn parse(text: &str) -> Option<AddressSpec> {
    let agent = if text.split('/').next()?.contains(':') { "IPv6addr" } else { "IPaddr2" };
    match parse_resource(&format!("{agent}::{text}"))?.built_in? {
        BuiltIn::Address(spec) => Some(spec),
        BuiltIn::SendArp { .. } => None,
    }
}

async fn perform(action: AddressAction, spec: &AddressSpec) -> Outcome {
    let addresses = match Addresses::open() {
        Ok(addresses) => addresses,
        Err(error) => return Outcome::CouldNotRun { reason: format!("netlink: {error}") },
    };
    // The script's caller waits, so the network is told once and without repeats.
    let announce = Announce { count: 1, ..Native::default().announce };
    let outcome = match action {
        AddressAction::Start => addresses.start(spec, announce).await,
        AddressAction::Stop => addresses.stop(spec).await,
        AddressAction::Status => addresses.status(spec).await,
        AddressAction::Announce => addresses.announce(spec, announce).await,
    };
    addresses.announcements_finished().await;
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    type Parts<'a> = (&'a str, Option<u8>, Option<&'a str>, Option<&'a str>);

    fn check(text: &str, expected: Option<Parts<'_>>) {
        let spec = parse(text);
        let found = spec.as_ref().map(|spec| {
            let interface = spec.interface.as_deref();
            (spec.ip.to_string(), spec.prefix_len, interface, spec.label.as_deref())
        });
        let expected = expected.map(|(ip, prefix, nic, label)| (ip.to_owned(), prefix, nic, label));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn addresses_are_written_as_in_haresources() {
        check("10.0.0.50", Some(("10.0.0.50", None, None, None)));
        check("10.0.0.50/24/eth0", Some(("10.0.0.50", Some(24), Some("eth0"), None)));
        check("10.0.0.50/24/eth0:0", Some(("10.0.0.50", Some(24), Some("eth0"), Some("eth0:0"))));
        check("fd00::5/64/eth1", Some(("fd00::5", Some(64), Some("eth1"), None)));
        check("nonsense", None);
        check("10.0.0.300", None);
    }
}
