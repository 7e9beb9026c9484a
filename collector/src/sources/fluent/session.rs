//! One connection: bytes in, acknowledgements out.

use super::handshake::Handshake;
use super::message::{Answer, Origin};
use super::scan::{Fault, Scan, VALUES};
use crate::sources::received::{Intake, Push, Refused};
use rmpv::Value;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

/// Bytes read at a time, and what a connection may hold without asking.
const PIECE_BYTES: usize = 64 * 1024;

/// Messages that are there already share one sync, up to this size: that of a batch.
const GROUP_BYTES: usize = 512 * 1024;

/// Longest pause within a message or a handshake, and longest time for an answer to be taken.
const PATIENCE: Duration = Duration::from_secs(30);

/// Largest PING: names, a salt and two digests.
const PING_BYTES: usize = 16 * 1024;

/// Why a connection ends before the client wants it.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// The client does not follow the protocol or the limits.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// What it sent can't be stored now; it is to send again.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The connection broke, or nothing came in time.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A connection of a client.
#[derive(Debug)]
pub struct Session<S> {
    stream: S,
    intake: Intake,
    stop: CancellationToken,
    /// What came and was not taken.
    buffer: Vec<u8>,
    /// The share of the room for requests under way that the buffer takes.
    room: Option<OwnedSemaphorePermit>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// A session on a connection.
    pub fn new(stream: S, intake: Intake, stop: CancellationToken) -> Self {
        Self { stream, intake, stop, buffer: Vec::new(), room: None }
    }

    /// Lets in who knows the secrets; `host` is what the collector calls itself.
    ///
    /// # Errors
    /// When the client does not, or breaks the protocol.
    pub async fn authenticate(&mut self, handshake: &Handshake, host: &str) -> Result<(), Ended> {
        self.say(&handshake.helo()).await?;
        let mut scan = Scan::new(PING_BYTES, VALUES);
        let end = loop {
            match scan.end(&self.buffer)? {
                Some(end) => break end,
                None if !self.more(false).await? => return Err(ended().into()),
                None => {}
            }
        };
        let (pong, verdict) = handshake.pong(&self.buffer[..end], host)?;
        self.buffer.drain(..end);
        self.say(&pong).await?;
        Ok(verdict?)
    }

    /// Takes messages until the client closes or the collector stops.
    ///
    /// # Errors
    /// Says why it ended before.
    pub async fn run(&mut self, mut origin: Origin) -> Result<(), Ended> {
        let mut scan = Scan::new(origin.most, VALUES);
        loop {
            let (mut push, mut answers, mut used) = (Push::default(), Vec::new(), 0);
            while push.bytes < GROUP_BYTES
                && let Some(len) = scan.end(&self.buffer[used..])?
            {
                scan = Scan::new(origin.most, VALUES);
                let mut taken = Push::default();
                answers.extend(origin.read(&self.buffer[used..used + len], &mut taken)?);
                push.append(taken);
                used += len;
            }
            if used > 0 {
                self.buffer.drain(..used);
                self.settle(push, answers).await?;
            } else if !self.more(self.buffer.is_empty()).await? {
                return if self.buffer.is_empty() { Ok(()) } else { Err(ended().into()) };
            }
        }
    }

    /// Stores what a group of messages holds and answers them.
    async fn settle(&mut self, push: Push, answers: Vec<Answer>) -> Result<(), Ended> {
        if answers.contains(&Answer::None) {
            // Its client forgot it the moment it was sent: waiting is all that keeps it.
            self.intake.deliver_in_time(push).await?;
        } else {
            self.intake.deliver(push).await?;
        }
        if self.buffer.len() < PIECE_BYTES {
            self.buffer.shrink_to(PIECE_BYTES);
            self.room = None;
        }
        for answer in answers {
            if let Answer::Ack(chunk) = answer {
                self.say(&Value::Map(vec![("ack".into(), chunk)])).await?;
            }
        }
        Ok(())
    }

    /// Reads on; false at the end. Between messages a client may be silent for as long as it likes,
    /// and the collector may stop once nothing is there to be read.
    async fn more(&mut self, between: bool) -> Result<bool, Ended> {
        let held = self.room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits) + PIECE_BYTES;
        if self.buffer.len() + PIECE_BYTES > held {
            let room = self.intake.room(PIECE_BYTES).await?;
            match &mut self.room {
                Some(held) => held.merge(room),
                none => *none = Some(room),
            }
        }
        let start = self.buffer.len();
        self.buffer.resize(start + PIECE_BYTES, 0);
        let read = self.stream.read(&mut self.buffer[start..]);
        let n = tokio::select! {
            biased;
            n = read => n,
            () = self.stop.cancelled() => Ok(0),
            () = tokio::time::sleep(PATIENCE), if !between => Err(io::ErrorKind::TimedOut.into()),
        };
        self.buffer.truncate(start + n.as_ref().copied().unwrap_or(0));
        Ok(n? > 0)
    }

    async fn say(&mut self, value: &Value) -> io::Result<()> {
        let mut bytes = Vec::new();
        rmpv::encode::write_value(&mut bytes, value).map_err(io::Error::other)?;
        let write = async {
            self.stream.write_all(&bytes).await?;
            self.stream.flush().await
        };
        tokio::time::timeout(PATIENCE, write).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

fn ended() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}
