//! Listening for clients that push: an address that is waited for, and a limit on connections.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Most connections of one listener: four for each pod of a full node (110 by default), and at a few
/// kilobytes each no matter. Further clients wait in the system's queue.
pub const CONNECTIONS: usize = 512;

/// Connections the system keeps until they are accepted.
const BACKLOG: u32 = 1024;

/// Pause before trying again what the system refused.
const RETRY: Duration = Duration::from_secs(1);

/// A connection that counts.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    _place: OwnedSemaphorePermit,
}

/// Where clients connect.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    places: Places,
}

/// How many connections there may still be.
#[derive(Debug, Clone)]
pub struct Places(Arc<Semaphore>);

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(CONNECTIONS)))
    }
}

impl Places {
    /// Waits for a place, then for a connection; tries again when the system has none to give.
    pub async fn accept<S, F: Future<Output = io::Result<S>>>(
        &self,
        mut next: impl FnMut() -> F,
    ) -> Connection<S> {
        loop {
            let Ok(place) = self.0.clone().acquire_owned().await else { return std::future::pending().await };
            match next().await {
                Ok(stream) => return Connection { stream, _place: place },
                Err(error) => {
                    // Usually there are too many open files.
                    tracing::warn!(%error, "connection not accepted");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }
}

impl Listener {
    /// Binds, however long it takes for the address to become free. `None` when the collector stops.
    pub async fn bind(protocol: &'static str, address: SocketAddr, stop: &CancellationToken) -> Option<Self> {
        let tcp = persist(&address.to_string(), stop, || listen(address)).await?;
        let local = tcp.local_addr().unwrap_or(address);
        tracing::info!(address = %local, protocol, "listening");
        Some(Self { tcp, places: Places::default() })
    }

    /// The next connection; waits while there are as many as there may be. Cancel-safe.
    pub async fn next(&self) -> Connection<TcpStream> {
        let accept = || async {
            let (stream, _) = self.tcp.accept().await?;
            // Answers are small and waited for.
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        self.places.accept(accept).await
    }
}

/// Tries until it works. `None` when the collector stops.
pub async fn persist<T>(
    address: &str,
    stop: &CancellationToken,
    mut bind: impl FnMut() -> io::Result<T>,
) -> Option<T> {
    let mut told = false;
    loop {
        match bind() {
            Ok(listener) => return Some(listener),
            Err(error) if !std::mem::replace(&mut told, true) => {
                tracing::error!(address, %error, "can't listen, trying again until it works");
            }
            Err(_) => {}
        }
        tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    // Accepted connections inherit it: a client that is gone without a word gives its place back.
    socket.set_keepalive(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
