//! Source `fluent`: the Forward protocol of Fluentd and Fluent Bit, version 1, over TCP or a Unix
//! socket.
//!
//! Takes the modes Message, Forward, PackedForward and CompressedPackedForward (gzip), with integer
//! times and `EventTime`. A chunk is acknowledged only when the spool has synced it; one that can't be
//! taken closes the connection, and the client sends it again. Who does not ask for acknowledgements
//! is slowed down instead.
//!
//! Identity: a stream is a hash over the source's name, the tag, the chunk's name and its events; the
//! offset is the index within the chunk. A client that repeats a chunk repeats its records under the
//! same `event_uid`. Without a chunk, a random name of the connection and a running number take its
//! place: a client that repeats those makes new records.
//!
//! Refuses: metrics and traces, UDP heartbeats, and plain-text listeners beyond a trusted network:
//! there is no TLS here.

mod handshake;
mod message;
mod records;
mod scan;
mod session;

use super::connections::{Connection, Listener, Places, persist};
use super::received::{self, Intake};
use super::{SourceConfig, Wiring};
use crate::config::component::{Problem, Row, Settings, problem, within};
use crate::config::{ByteSize, options};
use crate::memory::Reads;
use handshake::{Handshake, Secrets};
use message::Origin;
use serde::{Deserialize, Serialize};
use session::{Ended, Session};
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Settings of the source.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FluentSettings {
    /// Where it listens, unless there is a `path`.
    #[serde(default = "address")]
    pub address: SocketAddr,
    /// Unix socket to listen on instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// File with the key that clients must know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_key_file: Option<PathBuf>,
    /// File with a line `user:password` for each user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users_file: Option<PathBuf>,
    /// Largest message, before and after decompression.
    #[serde(default = "request_bytes")]
    pub max_request_bytes: ByteSize,
}

fn address() -> SocketAddr {
    SocketAddr::from(options::FLUENT_ADDRESS)
}

fn request_bytes() -> ByteSize {
    ByteSize::new(options::REQUEST_BYTES)
}

impl Settings for FluentSettings {
    const KIND: &'static str = "fluent";
    const ABOUT: &'static str = "The Forward protocol of Fluentd, Fluent Bit and Docker's driver. Chunks are acknowledged once they are on disk. No TLS: for the node or a trusted network.";

    #[rustfmt::skip]
    fn options() -> Vec<Row> {
        use options::{none, size, text};
        vec![
            ("address", text(&address().to_string()), "Address to listen on"),
            ("path", none(), "Unix socket to listen on instead of `address`; only the collector's user and group can connect"),
            ("shared_key_file", none(), "File with the key that clients must know (`shared_key` of Fluent Bit), read for every connection"),
            ("users_file", none(), "File with a line `user:password` for every user that may send; needs `shared_key_file`"),
            ("max_request_bytes", size(options::REQUEST_BYTES), "Largest message, before and after decompression"),
        ]
    }

    fn check(&self, key: &str) -> Result<(), Problem> {
        if self.users_file.is_some() && self.shared_key_file.is_none() {
            return Err(problem(format!("{key}.users_file"), "needs shared_key_file, too"));
        }
        let key = format!("{key}.max_request_bytes");
        within(&key, self.max_request_bytes, options::REQUEST_BYTES_RANGE)
    }
}

impl SourceConfig for FluentSettings {
    fn exclusive(&self) -> Vec<(&'static str, String)> {
        match &self.path {
            Some(path) => vec![("path", path.display().to_string())],
            None if self.address.port() == 0 => Vec::new(),
            None => vec![("address", self.address.to_string())],
        }
    }

    fn memory(&self) -> Reads {
        let record = self.max_request_bytes.bytes();
        Reads { record, record_key: "max_request_bytes", pushed: true, ..Reads::default() }
    }

    fn run(&self, wiring: Wiring) {
        let (intake, arrivals) =
            Intake::new(&wiring.name, wiring.memory.pushed, wiring.stop.clone(), wiring.metrics.clone());
        let server = Server {
            settings: self.clone(),
            intake,
            // Fluentd takes a server with its own host name for itself.
            host: format!("logq-collector@{}", wiring.node),
            stop: wiring.stop.clone(),
        };
        let progress = wiring.progress.clone();
        let serving = wiring.runtime.spawn(async move { Arc::new(server).serve(&progress).await });
        received::receive(&wiring, arrivals);
        serving.abort();
    }
}

/// What all connections share.
#[derive(Debug)]
struct Server {
    settings: FluentSettings,
    intake: Intake,
    host: String,
    stop: CancellationToken,
}

impl Server {
    async fn serve(self: Arc<Self>, progress: &crate::topology::Progress) {
        progress.set_ready(false);
        let stop = self.stop.clone();
        if let Some(path) = self.settings.path.clone() {
            let shown = path.display().to_string();
            let Some(unix) = persist(&shown, &stop, || socket(&path)).await else { return };
            tracing::info!(path = shown, protocol = "fluent", "listening");
            progress.set_ready(true);
            let places = Places::default();
            self.accept(|| places.accept(|| async { Ok(unix.accept().await?.0) })).await;
            // Whoever connects to what is left would wait for nothing.
            drop(std::fs::remove_file(&path));
        } else {
            let Some(listener) = Listener::bind("fluent", self.settings.address, &stop).await else { return };
            progress.set_ready(true);
            self.accept(|| listener.next()).await;
        }
    }

    /// Serves connections until the collector stops and all have ended.
    async fn accept<S, F>(self: Arc<Self>, mut next: impl FnMut() -> F)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Future<Output = Connection<S>>,
    {
        let mut sessions = JoinSet::new();
        loop {
            tokio::select! {
                () = self.stop.cancelled() => break,
                Some(_) = sessions.join_next(), if !sessions.is_empty() => {}
                connection = next() => {
                    sessions.spawn(self.clone().attend(connection));
                }
            }
        }
        while sessions.join_next().await.is_some() {}
    }

    async fn attend<S: AsyncRead + AsyncWrite + Unpin>(self: Arc<Self>, connection: Connection<S>) {
        let reason = match self.talk(connection).await {
            Ok(()) => return,
            Err(error) => {
                tracing::debug!(%error, "connection closed");
                match error {
                    Ended::Fault(fault) => fault.reason(),
                    // Counted where it was refused; a client that goes away is no refusal.
                    Ended::Refused(_) | Ended::Io(_) => return,
                }
            }
        };
        self.intake.refuse(reason);
    }

    async fn talk<S: AsyncRead + AsyncWrite + Unpin>(&self, connection: Connection<S>) -> Result<(), Ended> {
        let mut session = Session::new(connection, self.intake.clone(), self.stop.clone());
        if let Some(key) = &self.settings.shared_key_file {
            let secrets = secrets(key, self.settings.users_file.as_deref()).await.inspect_err(|error| {
                tracing::error!(%error, "secrets can't be read, nobody is let in");
            })?;
            session.authenticate(&Handshake::new(secrets)?, &self.host).await?;
        }
        let origin = Origin {
            source: self.intake.name().to_owned(),
            connection: handshake::random()?.iter().map(|byte| format!("{byte:02x}")).collect(),
            number: 0,
            most: self.settings.max_request_bytes.bytes(),
        };
        session.run(origin).await
    }
}

async fn secrets(key: &Path, users: Option<&Path>) -> io::Result<Secrets> {
    let read = async |path: &Path| {
        let text = tokio::fs::read_to_string(path).await;
        text.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    };
    let shared_key = read(key).await?.trim_end().as_bytes().to_vec();
    if shared_key.is_empty() {
        return Err(io::Error::other(format!("{}: is empty", key.display())));
    }
    let mut known = BTreeMap::new();
    if let Some(path) = users {
        let text = read(path).await?;
        let pairs = text.lines().filter_map(|line| line.split_once(':'));
        known.extend(pairs.map(|(user, password)| (user.to_owned(), password.to_owned())));
        if known.is_empty() {
            // No user means that none is asked for, which nobody wants who has such a file.
            return Err(io::Error::other(format!("{}: has no line user:password", path.display())));
        }
    }
    Ok(Secrets { shared_key, users: known })
}

/// A socket at `path`, for the collector's user and group. One that is there and answers nobody is
/// replaced.
fn socket(path: &Path) -> io::Result<UnixListener> {
    use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is something else at this path"));
        }
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        Ok(_) => std::fs::remove_file(path)?,
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

#[cfg(test)]
mod tests;
