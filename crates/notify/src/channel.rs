//! One try to give a message to a channel, within its limit. What follows from the answer is decided
//! in `queue`.

mod exec;
mod mail;
mod webhook;

use std::time::Duration;

use hb_config::settings::notify::{Channel, ChannelKind};

use crate::message::Message;
use crate::settings::Contents;

/// Gives `message` to `channel`; what it answered, in words. `dropped`: messages before this one that
/// were lost.
///
/// # Errors
/// Why it was not accepted, in words.
pub fn send(
    channel: &Channel,
    contents: &Contents,
    message: &Message,
    dropped: u64,
) -> Result<String, String> {
    let limit = Duration::from_millis(channel.timeout_ms);
    match &channel.kind {
        ChannelKind::Mail(mail) => mail::send(mail, contents, message, dropped, limit),
        ChannelKind::Webhook(hook) => webhook::send(hook, contents, message, dropped, limit),
        ChannelKind::Exec { command } => exec::send(command, message, dropped, limit),
    }
}
