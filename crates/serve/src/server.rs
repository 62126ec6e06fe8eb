//! Listens, shakes hands, and bounds what clients may take: connections, sizes, times. Begins and
//! ends as the service manager wants it. What is answered is said in `answers`.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hb_config::settings::Serve;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use sd_notify::NotifyState;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;

use crate::gate::Gate;
use crate::guard::App;
use crate::reading::Source;
use crate::tls::{self, Certificate};
use crate::{Refused, answers};

/// Clients at once. A browser has up to six connections; Prometheus and balancers have one.
const CONNECTIONS_MAX: usize = 128;
/// Clients that wait for one of these.
const BACKLOG: i32 = 128;
/// Longest time for the TLS handshake, and from one request to the end of the next one's header.
const HEADER_LIMIT: Duration = Duration::from_secs(15);
/// Longest time in which a client takes nothing of its answer.
const WRITE_LIMIT: Duration = Duration::from_secs(15);
/// Bytes of a request's header, with a cookie of ours far below.
const HEADER_BYTES_MAX: usize = 16 << 10;
/// Lines of a request's header.
const HEADERS_MAX: usize = 64;
/// Pause after the system had no descriptor for a client.
const EXHAUSTED: Duration = Duration::from_millis(100);
/// How long answers under way may take when the program is to end.
const FAREWELL: Duration = Duration::from_secs(3);

/// Serves until SIGTERM or SIGINT; SIGHUP reads token and certificate again.
///
/// # Errors
/// When a file that is named is not as it must be, or an address cannot be had.
pub(crate) async fn run(serve: Serve, source: Source) -> Result<(), Refused> {
    let gate = serve.token_file.as_deref().map(gate).transpose()?;
    let certificate = match (&serve.cert_file, &serve.key_file) {
        (Some(cert), Some(key)) => Some(Certificate::read(cert, key)?),
        (None, _) | (_, None) => None,
    };
    let acceptor = certificate.clone().map(tls::config).transpose()?;
    let acceptor = acceptor.map(|config| TlsAcceptor::from(Arc::new(config)));
    let app = Arc::new(App::new(source, gate, serve.is_local(), certificate.is_some()));
    let system = |error: io::Error| Refused(format!("signals: {error}"));
    let mut hangup = signal(SignalKind::hangup()).map_err(system)?;
    let mut ends = [SignalKind::terminate(), SignalKind::interrupt()]
        .map(signal)
        .into_iter()
        .collect::<Result<Vec<_>, _>>()
        .map_err(system)?;
    let (stop, stopped) = watch::channel(false);
    let graceful = Arc::new(GracefulShutdown::new());
    let mut doors = JoinSet::new();
    let door = Door {
        router: answers::router(app.clone()),
        acceptor,
        permits: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        stopped,
    };
    for listener in listeners(&serve, door.acceptor.is_some())? {
        doors.spawn(door.clone().accept(listener, graceful.clone()));
    }
    // No service manager is no fault.
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    loop {
        tokio::select! {
            () = any(&mut ends) => break,
            _ = hangup.recv() => renew(&serve, &app, certificate.as_deref()),
        }
    }
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    let _ = stop.send(true);
    while doors.join_next().await.is_some() {}
    if let Some(graceful) = Arc::into_inner(graceful) {
        // Who does not finish in time is cut off by the end of the process.
        let _ = tokio::time::timeout(FAREWELL, graceful.shutdown()).await;
    }
    Ok(())
}

async fn any(signals: &mut [Signal]) {
    let waits = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
    futures_util::future::select_all(waits).await;
}

fn gate(path: &str) -> Result<Gate, Refused> {
    Gate::new(&tls::secret(path)?).map_err(|error| Refused(format!("token_file {path}: {error}")))
}

/// What can be exchanged while clients are served. What fails stays as it was.
fn renew(serve: &Serve, app: &App, certificate: Option<&Certificate>) {
    let told = |what: &str, outcome: Result<(), Refused>| match outcome {
        Ok(()) => tracing::info!("{what}: read again"),
        Err(error) => tracing::error!("{what}: as before, because {error}"),
    };
    if let Some(path) = &serve.token_file {
        told("token", gate(path).map(|fresh| app.exchange(fresh)));
    }
    if let (Some(certificate), Some(cert), Some(key)) =
        (certificate, &serve.cert_file, &serve.key_file)
    {
        told("certificate", certificate.renew(cert, key));
    }
}

/// Every address but those of a protocol that this machine does not have; at least one.
fn listeners(serve: &Serve, tls: bool) -> Result<Vec<TcpListener>, Refused> {
    let mut found = Vec::new();
    for address in &serve.listen {
        match listen(*address) {
            Ok(listener) => {
                let place = listener.local_addr().unwrap_or(*address);
                let scheme = if tls { "https" } else { "http" };
                tracing::info!("listening on {scheme}://{place}/");
                found.push(listener);
            }
            Err(error) if is_absent(&error) && address.is_ipv6() => {
                tracing::warn!("not listening on {address}: this machine has no IPv6");
            }
            Err(error) => return Err(Refused(format!("cannot listen on {address}: {error}"))),
        }
    }
    if found.is_empty() {
        return Err(Refused::because("there is no address to listen on"));
    }
    Ok(found)
}

fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(nix::errno::Errno::EAFNOSUPPORT as i32)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // So that `[::]` and `0.0.0.0` can stand side by side.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// What every listener shares.
#[derive(Clone)]
struct Door {
    router: Router,
    acceptor: Option<TlsAcceptor>,
    permits: Arc<Semaphore>,
    stopped: watch::Receiver<bool>,
}

impl Door {
    async fn accept(mut self, listener: TcpListener, graceful: Arc<GracefulShutdown>) {
        loop {
            // The semaphore is never closed.
            let Ok(permit) = self.permits.clone().acquire_owned().await else { return };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = self.stopped.changed() => return,
            };
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(EXHAUSTED).await;
                continue;
            };
            let (door, watcher) = (self.clone(), graceful.watcher());
            tokio::spawn(async move {
                door.connection(stream, watcher).await;
                drop(permit);
            });
        }
    }

    async fn connection(self, stream: TcpStream, watcher: Watcher) {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(WRITE_LIMIT));
        let stream = Box::pin(stream);
        match self.acceptor {
            None => converse(stream, self.router, watcher).await,
            Some(acceptor) => {
                // Port scanners and plain HTTP are not worth a line.
                let shaken = tokio::time::timeout(HEADER_LIMIT, acceptor.accept(stream)).await;
                if let Ok(Ok(stream)) = shaken {
                    converse(stream, self.router, watcher).await;
                }
            }
        }
    }
}

async fn converse<S>(stream: S, router: Router, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_LIMIT)
        .max_buf_size(HEADER_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // How a client leaves is its own affair.
    let _ = watcher.watch(connection).await;
}
