//! Mail: made by the library lettre, which encodes headers so that no name becomes one, and sent by
//! SMTP or a sendmail program.
#![expect(clippy::disallowed_methods, reason = "edge: a runtime of its own bounds each try")]

use std::time::{Duration, UNIX_EPOCH};

use hb_config::settings::notify::{Mail, MailBy, Smtp, Tls};
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message as Letter};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls as SmtpTls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use super::exec;
use crate::message::{Message, Phase};
use crate::settings::Contents;

pub(super) fn send(
    mail: &Mail,
    contents: &Contents,
    message: &Message,
    dropped: u64,
    limit: Duration,
) -> Result<String, String> {
    let letter = letter(mail, message, dropped)?;
    match &mail.by {
        MailBy::Smtp(smtp) => by_smtp(smtp, contents, letter, limit),
        MailBy::Sendmail { program } => {
            let envelope = letter.envelope();
            let from = envelope.from().map(ToString::to_string).unwrap_or_default();
            let mut words = vec![program.clone(), "-i".into(), "-f".into(), from, "--".into()];
            words.extend(envelope.to().iter().map(ToString::to_string));
            exec::run(&words, &[], &letter.formatted(), limit)
        }
    }
}

/// The whole mail.
fn letter(mail: &Mail, message: &Message, dropped: u64) -> Result<Letter, String> {
    let mailbox = |text: &String| {
        text.parse::<Mailbox>().map_err(|error| format!("{text} is no mail address: {error}"))
    };
    let from = mailbox(&mail.from)?;
    let host = from.email.domain().to_owned();
    let id = |id: &str| format!("<{}@{host}>", token(id));
    let mut builder = Letter::builder().from(from).subject(message.subject.as_str());
    for to in &mail.to {
        builder = builder.to(mailbox(to)?);
    }
    builder = builder
        .date(UNIX_EPOCH + Duration::from_millis(message.unix_ms))
        .message_id(Some(id(&message.id)))
        .raw_header(header("Auto-Submitted", "auto-generated"))
        .raw_header(header("X-Twinbeat-Event", message.phase.word()))
        .raw_header(header("X-Twinbeat-Severity", message.severity.word()));
    if message.phase == Phase::Resolved {
        // Mail programs show it below the one that it resolves.
        builder = builder.in_reply_to(id(&message.incident)).references(id(&message.incident));
    }
    builder
        .header(ContentType::TEXT_PLAIN)
        .body(message.text(dropped))
        .map_err(|error| format!("cannot make the mail: {error}"))
}

/// What may stand in the left part of a message id.
fn token(text: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.chars().map(|c| if fits(c) { c } else { '_' }).collect()
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

fn by_smtp(
    smtp: &Smtp,
    contents: &Contents,
    letter: Letter,
    limit: Duration,
) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let transport = transport(smtp, contents, limit)?;
    let sent =
        runtime.block_on(async { tokio::time::timeout(limit, transport.send(letter)).await });
    // A name server that does not answer must not hold this thread.
    runtime.shutdown_background();
    match sent {
        Ok(Ok(answer)) => {
            let said: Vec<&str> = answer.message().collect();
            Ok(format!("{} {}", answer.code(), said.join(" ")).trim().to_owned())
        }
        Ok(Err(error)) => Err(format!("{}:{}: {}", smtp.host, smtp.port, chain(&error))),
        Err(_) => Err(format!("{}:{}: no answer within {limit:?}", smtp.host, smtp.port)),
    }
}

fn transport(
    smtp: &Smtp,
    contents: &Contents,
    limit: Duration,
) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
    let parameters = || -> Result<TlsParameters, String> {
        let mut builder = TlsParameters::builder(smtp.host.clone());
        if let Some(path) = &smtp.ca_file {
            let certificates = Certificate::from_pem(contents.get(path).as_bytes())
                .map_err(|error| format!("{path}: {}", chain(&error)))?;
            builder = builder.add_root_certificate(certificates);
        }
        builder.build().map_err(|error| chain(&error))
    };
    let tls = match smtp.tls {
        Tls::Starttls => SmtpTls::Required(parameters()?),
        Tls::Implicit => SmtpTls::Wrapper(parameters()?),
        Tls::None => SmtpTls::None,
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&*smtp.host)
        .port(smtp.port)
        .tls(tls)
        .timeout(Some(limit));
    if let Some(login) = &smtp.login {
        let password = contents.get(&login.password_file).to_owned();
        builder = builder.credentials(Credentials::new(login.user.clone(), password));
    }
    Ok(builder.build())
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text += &format!(": {words}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::message;

    fn mail() -> Mail {
        let by = MailBy::Sendmail { program: "/x".into() };
        Mail { from: "Web <hb@example.com>".into(), to: vec!["a@example.com".into()], by }
    }

    #[test]
    fn no_name_becomes_a_header() {
        let evil = "[web] x\r\nBcc: evil@example.com\n\nbody — ✖";
        let subject = evil.to_owned();
        let message = Message { subject, id: "a\r\nb".into(), ..message(1, Phase::Resolved) };
        let letter = letter(&mail(), &message.bounded(), 0).expect("a letter");
        let text = String::from_utf8(letter.formatted()).expect("text");
        let (head, _) = text.split_once("\r\n\r\n").expect("head and body");
        for line in head.split("\r\n") {
            let continued = line.starts_with(' ');
            let name = line.split(':').next().unwrap_or_default();
            let known = [
                "From",
                "To",
                "Subject",
                "Date",
                "Message-ID",
                "In-Reply-To",
                "References",
                "Auto-Submitted",
                "X-Twinbeat-Event",
                "X-Twinbeat-Severity",
                "Content-Type",
                "Content-Transfer-Encoding",
                "MIME-Version",
            ];
            assert!(continued || known.contains(&name), "{head}");
            assert!(line.is_ascii() && line.len() < 1_000, "{line}");
        }
        assert_eq!(letter.envelope().to().len(), 1);
    }

    #[test]
    fn an_answer_lies_below_what_it_resolves() {
        let of = |phase| {
            let letter = letter(&mail(), &message(1, phase), 0).expect("a letter");
            String::from_utf8(letter.formatted()).expect("text")
        };
        assert!(of(Phase::Begin).contains("Message-ID: <web-ha2-0-1@example.com>\r\n"));
        assert!(!of(Phase::Begin).contains("In-Reply-To"));
        assert!(of(Phase::Resolved).contains("In-Reply-To: <web-ha2-0-1@example.com>\r\n"));
    }
}
