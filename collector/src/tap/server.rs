//! The socket viewers come to: `<data_dir>/tap/socket`, in a directory of mode 0700.
//!
//! A viewer sends one [`Request`] as a line of JSON and is sent one [`Message`] a line until either
//! side closes.

use super::{Message, Request, Taps, Watching};
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

/// Connections at the same time: viewers, and some that are being refused.
const CONNECTIONS_MAX: usize = 16;

/// Longest request.
const REQUEST_BYTES: u64 = 64 * 1024;

/// Time a connection has for its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Time between notices of missed records.
const NOTICE: Duration = Duration::from_secs(1);

/// Pause after a connection could not be accepted: usually there are too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Where the socket of a data directory is.
pub fn socket(data_dir: &Path) -> PathBuf {
    data_dir.join("tap").join("socket")
}

/// Starts serving viewers. Call with the lock of the data directory held: a socket that is there is
/// a dead collector's.
///
/// # Errors
/// When the socket can't be made; the path may be longer than the 107 bytes a socket's may have.
pub fn serve(data_dir: &Path, taps: Arc<Taps>) -> io::Result<JoinHandle<()>> {
    let path = socket(data_dir);
    if let Some(dir) = path.parent() {
        // Closed before the socket is in it, so that there is no moment in which others could connect.
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        fs::set_permissions(dir, Permissions::from_mode(0o700))?;
    }
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    Ok(tokio::spawn(accept(listener, taps)))
}

async fn accept(listener: UnixListener, taps: Arc<Taps>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(attend(stream, taps.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "viewer not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

/// Serves one viewer. A failed write only means that it went away.
async fn attend(stream: UnixStream, taps: Arc<Taps>) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read.take(REQUEST_BYTES)).lines();
    let Ok(Ok(Some(line))) = tokio::time::timeout(REQUEST_TIMEOUT, lines.next_line()).await else { return };
    let request = serde_json::from_str::<Request>(&line).map_err(|error| format!("request: {error}"));
    let mut watching = match request.and_then(|request| taps.watch(&request)) {
        Ok(watching) => watching,
        Err(message) => {
            drop(say(&mut write, &Message::Refused(message)).await);
            return;
        }
    };
    let components = watching.viewer.components.clone();
    tracing::info!(components = components.join(","), "somebody looks at records");
    if say(&mut write, &Message::Watching(components)).await.is_ok() {
        tokio::select! {
            _ = lines.next_line() => {}
            _ = show(&mut watching, &mut write) => {}
        }
    }
    tracing::info!("a viewer left");
}

async fn show(watching: &mut Watching, write: &mut OwnedWriteHalf) -> io::Result<()> {
    let mut notice = tokio::time::interval(NOTICE);
    loop {
        tokio::select! {
            record = watching.records.recv() => match record {
                Some(record) => say(write, &Message::Record(record)).await?,
                None => return Ok(()),
            },
            _ = notice.tick() => {
                let missed = watching.viewer.take_missed();
                if missed > 0 {
                    say(write, &Message::Missed(missed)).await?;
                }
            }
        }
    }
}

async fn say(write: &mut OwnedWriteHalf, message: &Message) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    write.write_all(&line).await
}
