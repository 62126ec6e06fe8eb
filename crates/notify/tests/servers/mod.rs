//! Small servers for the tests of channels: SMTP in each encryption, HTTP with replies in order. They
//! note what they get; they are no servers for anything else.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Longer than any test needs to get there.
const LIMIT: Duration = Duration::from_secs(60);

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// A certificate for `localhost` that nobody trusts by itself.
pub(crate) struct Certificate {
    /// For `ca_file`.
    pub(crate) pem: String,
    config: Arc<ServerConfig>,
}

impl Certificate {
    pub(crate) fn make() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .unwrap();
        Self { pem: made.cert.pem(), config: Arc::new(config) }
    }
}

fn encrypted(config: &Arc<ServerConfig>, stream: TcpStream) -> Box<dyn Stream> {
    let connection = ServerConnection::new(Arc::clone(config)).unwrap();
    Box::new(StreamOwned::new(connection, stream))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encryption {
    None,
    Starttls,
    Implicit,
}

/// What an SMTP server got.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mail {
    pub(crate) encrypted: bool,
    pub(crate) auth: Option<String>,
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) data: String,
}

pub(crate) struct Smtp {
    pub(crate) port: u16,
    mails: Receiver<Mail>,
    secrets: Arc<AtomicUsize>,
    refusal: Arc<Mutex<Option<String>>>,
}

struct Session {
    encryption: Encryption,
    config: Option<Arc<ServerConfig>>,
    mails: Sender<Mail>,
    secrets: Arc<AtomicUsize>,
    refusal: Arc<Mutex<Option<String>>>,
}

impl Smtp {
    pub(crate) fn start(encryption: Encryption, certificate: Option<&Certificate>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, mails) = mpsc::channel();
        let secrets = Arc::new(AtomicUsize::new(0));
        let refusal = Arc::new(Mutex::new(None));
        let session = Session {
            encryption,
            config: certificate.map(|it| Arc::clone(&it.config)),
            mails: sender,
            secrets: Arc::clone(&secrets),
            refusal: Arc::clone(&refusal),
        };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that breaks off is what some tests are about.
                let _ = session.serve(stream);
            }
        });
        Self { port, mails, secrets, refusal }
    }

    /// Answers `MAIL` with this.
    pub(crate) fn refusing(self, answer: &str) -> Self {
        *self.refusal.lock().unwrap() = Some(answer.to_owned());
        self
    }

    pub(crate) fn mail(&self) -> Mail {
        self.mails.recv_timeout(LIMIT).unwrap()
    }

    /// How often somebody has tried to log in.
    pub(crate) fn secrets(&self) -> usize {
        self.secrets.load(Ordering::SeqCst)
    }
}

impl Session {
    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(LIMIT))?;
        let plain = stream.try_clone()?;
        let config = || self.config.as_ref().unwrap();
        let implicit = self.encryption == Encryption::Implicit;
        let mut open: Box<dyn Stream> =
            if implicit { encrypted(config(), stream) } else { Box::new(stream) };
        let mut mail = Mail { encrypted: implicit, ..Mail::default() };
        open.write_all(b"220 localhost ESMTP\r\n")?;
        loop {
            let line = line(&mut open)?;
            let word = line.split([' ', ':']).next().unwrap_or_default().to_uppercase();
            let refusal = self.refusal.lock().unwrap().clone();
            let answer = match word.as_str() {
                "EHLO" if self.encryption == Encryption::Starttls && !mail.encrypted => {
                    "250-localhost\r\n250 STARTTLS".to_owned()
                }
                "EHLO" => "250-localhost\r\n250 AUTH PLAIN".to_owned(),
                "STARTTLS" => {
                    open.write_all(b"220 go on\r\n")?;
                    open = encrypted(config(), plain.try_clone()?);
                    mail.encrypted = true;
                    continue;
                }
                "AUTH" => {
                    self.secrets.fetch_add(1, Ordering::SeqCst);
                    mail.auth = line.split(' ').nth(2).map(str::to_owned);
                    "235 ok".to_owned()
                }
                "MAIL" if refusal.is_some() => refusal.unwrap_or_default(),
                "MAIL" => {
                    mail.from = address(&line);
                    "250 ok".to_owned()
                }
                "RCPT" => {
                    mail.to.push(address(&line));
                    "250 ok".to_owned()
                }
                "DATA" => {
                    open.write_all(b"354 go on\r\n")?;
                    while !mail.data.ends_with("\r\n.\r\n") {
                        mail.data += &format!("{}\r\n", self::line(&mut open)?);
                    }
                    let _ = self.mails.send(mail.clone());
                    "250 kept".to_owned()
                }
                "QUIT" => return open.write_all(b"221 bye\r\n"),
                _ => "250 ok".to_owned(),
            };
            open.write_all(format!("{answer}\r\n").as_bytes())?;
        }
    }
}

/// Byte by byte, so that nothing of what follows `STARTTLS` is read before.
fn line(stream: &mut Box<dyn Stream>) -> std::io::Result<String> {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n") {
        stream.read_exact(&mut byte)?;
        text.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&text).trim_end().to_owned())
}

fn address(line: &str) -> String {
    let rest = line.split_once('<').map_or("", |it| it.1);
    rest.split('>').next().unwrap_or_default().to_owned()
}

/// What the HTTP server does with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    Status(u16),
    /// Reads it and says nothing.
    Hang,
}

pub(crate) struct Http {
    pub(crate) port: u16,
    requests: Receiver<(String, String)>,
}

impl Http {
    /// Answers with `replies`, one after the other, and with the last for ever.
    pub(crate) fn start(certificate: Option<&Certificate>, replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let config = certificate.map(|it| Arc::clone(&it.config));
        let (sender, requests) = mpsc::channel();
        thread::spawn(move || {
            let mut replies = replies.into_iter().peekable();
            let mut held = Vec::new();
            for stream in listener.incoming().flatten() {
                let reply = *replies.peek().unwrap();
                let open: Box<dyn Stream> = match &config {
                    Some(config) => encrypted(config, stream),
                    None => Box::new(stream),
                };
                // A handshake that fails is no request.
                if let Some(open) = answer(open, reply, &sender) {
                    held.push(open);
                } else {
                    continue;
                }
                if replies.len() > 1 {
                    replies.next();
                }
            }
        });
        Self { port, requests }
    }

    /// The first `count` requests: head and body.
    pub(crate) fn requests(&self, count: usize) -> Vec<(String, String)> {
        (0..count).map(|_| self.requests.recv_timeout(LIMIT).unwrap()).collect()
    }
}

fn answer(
    open: Box<dyn Stream>,
    reply: Reply,
    sender: &Sender<(String, String)>,
) -> Option<Box<dyn Stream>> {
    let mut reader = BufReader::new(open);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.to_lowercase().lines().find_map(|line| {
        line.strip_prefix("content-length:").and_then(|it| it.trim().parse::<usize>().ok())
    });
    let mut body = vec![0; length.unwrap_or_default()];
    reader.read_exact(&mut body).ok()?;
    let _ = sender.send((head, String::from_utf8_lossy(&body).into_owned()));
    let mut open = reader.into_inner();
    if let Reply::Status(status) = reply {
        let text = format!(
            "HTTP/1.1 {status} X\r\nContent-Length: 4\r\nLocation: /else\r\nConnection: close\r\n\r\nwell"
        );
        let _ = open.write_all(text.as_bytes());
        let _ = open.flush();
    }
    Some(open)
}
