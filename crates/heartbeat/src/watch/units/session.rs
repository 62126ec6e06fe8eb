//! One connection to the system bus: asks systemd for the signals of units and reads them. What is
//! made of them is decided in [`super`] (I/O).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::timeout;
use zbus::message::{Message, Type};
use zbus::names::OwnedUniqueName;
use zbus::zvariant::{DynamicType, OwnedObjectPath, OwnedValue};
use zbus::{Connection, MessageStream, connection};

/// Limit of each call, and of the way to the bus.
const CALL_TIME: Duration = Duration::from_secs(5);
/// Messages that may wait to be read while a call is under way: a few for each change of a unit.
/// When there are more, the call gets no answer, and the connection is begun anew.
const QUEUE_MAX: usize = 256;

const SYSTEMD: &str = "org.freedesktop.systemd1";
const SYSTEMD_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const DBUS: &str = "org.freedesktop.DBus";
const DBUS_PATH: &str = "/org/freedesktop/DBus";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const STATE: &str = "ActiveState";

/// What a message means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    Nothing,
    /// Units, all of them names of the same one, are in this `ActiveState`.
    State(Vec<String>, String),
    /// It has executed itself anew, or the bus has lost it for a while: it must be asked again.
    SystemdIsBack,
}

/// A connection on which systemd sends its signals.
#[derive(Debug)]
pub(super) struct Session {
    connection: Connection,
    pub(super) signals: MessageStream,
    /// Who systemd is on this bus: anybody could send us signals in its name.
    systemd: Option<OwnedUniqueName>,
    /// Units whose signals are asked for, and their objects: the unit of an alias is that of its true name.
    objects: BTreeMap<String, OwnedObjectPath>,
}

impl Session {
    /// # Errors
    /// When there is no bus, or no systemd on it.
    pub(super) async fn begin(bus: &Path) -> zbus::Result<Self> {
        let late = |_| zbus::Error::Failure("the bus does not answer".to_owned());
        let stream = timeout(CALL_TIME, UnixStream::connect(bus)).await.map_err(late)??;
        let connection = connection::Builder::unix_stream(stream)
            .method_timeout(CALL_TIME)
            .max_queued(QUEUE_MAX)
            .build();
        let connection = timeout(CALL_TIME, connection).await.map_err(late)??;
        let signals = MessageStream::from(&connection);
        let mut this = Self { connection, signals, systemd: None, objects: BTreeMap::new() };
        let rule = format!(
            "type='signal',sender='{DBUS}',interface='{DBUS}',member='NameOwnerChanged',arg0='{SYSTEMD}'"
        );
        this.bus("AddMatch", &rule).await?;
        this.subscribe().await?;
        Ok(this)
    }

    /// Asks systemd for signals at all: without anybody who has asked, it sends none.
    pub(super) async fn subscribe(&mut self) -> zbus::Result<()> {
        let reply = match self.manager("Subscribe", &()).await {
            Err(zbus::Error::MethodError(name, _, reply)) if is_subscribed(&name) => reply,
            other => other?,
        };
        self.systemd = reply.header().sender().map(|name| name.to_owned().into());
        Ok(())
    }

    /// Asks for the signals of `unit`, once; its state by now, `None` when systemd cannot name it.
    pub(super) async fn hear(&mut self, unit: &str) -> zbus::Result<Option<String>> {
        let Some(reply) = known(unit, self.manager("LoadUnit", &unit).await)? else {
            return Ok(None);
        };
        let object: OwnedObjectPath = reply.body().deserialize()?;
        if self.objects.get(unit) != Some(&object) {
            self.leave(unit).await?;
            self.bus("AddMatch", &rule(&object)).await?;
            self.objects.insert(unit.to_owned(), object.clone());
        }
        let asked = self.call(SYSTEMD, object.as_str(), PROPERTIES, "Get", &(UNIT, STATE)).await;
        let Some(reply) = known(unit, asked)? else { return Ok(None) };
        let state: OwnedValue = reply.body().deserialize()?;
        Ok(Some(String::try_from(state)?))
    }

    /// Its signals are not wanted any more.
    pub(super) async fn leave(&mut self, unit: &str) -> zbus::Result<()> {
        match self.objects.remove(unit) {
            Some(object) => self.bus("RemoveMatch", &rule(&object)).await,
            None => Ok(()),
        }
    }

    /// What `message` means.
    pub(super) fn read(&self, message: &Message) -> Said {
        if message.message_type() != Type::Signal {
            return Said::Nothing;
        }
        let header = message.header();
        let member = header.member().map(|name| name.as_str());
        match (header.interface().map(|name| name.as_str()), member) {
            (Some(DBUS), Some("NameOwnerChanged"))
                if header.sender().is_none_or(|name| name.as_str() == DBUS) =>
            {
                match message.body().deserialize::<(String, String, String)>() {
                    Ok((name, _, new)) if name == SYSTEMD && !new.is_empty() => Said::SystemdIsBack,
                    Ok(_) | Err(_) => Said::Nothing,
                }
            }
            (Some(PROPERTIES), Some("PropertiesChanged"))
                if header.sender() == self.systemd.as_deref() =>
            {
                self.state(message).unwrap_or(Said::Nothing)
            }
            _ => Said::Nothing,
        }
    }

    fn state(&self, message: &Message) -> Option<Said> {
        let header = message.header();
        let path = header.path()?;
        let body = message.body();
        let (interface, mut values, _): (String, BTreeMap<String, OwnedValue>, Vec<String>) =
            body.deserialize().ok()?;
        let state = values.remove(STATE).filter(|_| interface == UNIT)?;
        let its = self.objects.iter().filter(|(_, object)| object.as_str() == path.as_str());
        let units = its.map(|(unit, _)| unit.clone()).collect();
        Some(Said::State(units, String::try_from(state).ok()?))
    }

    async fn bus(&self, method: &str, rule: &str) -> zbus::Result<()> {
        self.call(DBUS, DBUS_PATH, DBUS, method, &rule).await.map(drop)
    }

    async fn manager<B>(&self, method: &str, body: &B) -> zbus::Result<Message>
    where
        B: serde::Serialize + DynamicType,
    {
        self.call(SYSTEMD, SYSTEMD_PATH, MANAGER, method, body).await
    }

    async fn call<B>(
        &self,
        who: &str,
        path: &str,
        interface: &str,
        method: &str,
        body: &B,
    ) -> zbus::Result<Message>
    where
        B: serde::Serialize + DynamicType,
    {
        self.connection.call_method(Some(who), path, Some(interface), method, body).await
    }
}

fn is_subscribed(error: &str) -> bool {
    error == "org.freedesktop.systemd1.AlreadySubscribed"
}

/// `None` when systemd has refused: that is about the unit, and no reason to give the bus up.
fn known(unit: &str, reply: zbus::Result<Message>) -> zbus::Result<Option<Message>> {
    match reply {
        Err(zbus::Error::MethodError(name, text, _)) => {
            tracing::debug!(unit, error = %name, text, "systemd tells nothing of it");
            Ok(None)
        }
        other => other.map(Some),
    }
}

fn rule(object: &OwnedObjectPath) -> String {
    format!(
        "type='signal',sender='{SYSTEMD}',path='{object}',interface='{PROPERTIES}',\
         member='PropertiesChanged',arg0='{UNIT}'"
    )
}
