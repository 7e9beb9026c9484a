//! A running program that never outlives its owner.

use super::{Program, Programs, TimedOut, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// A program could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start {program} (its log is {log}): {source}")]
pub struct StartError {
    program: String,
    log: PathBuf,
    source: io::Error,
}

/// A program that runs until it is stopped, killed or dropped.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts `program` with `arguments`; what it writes to its standard streams is appended to
    /// `log`.
    ///
    /// # Errors
    /// When the program or the log cannot be opened.
    pub fn start<A: Into<OsString>>(
        programs: &Programs,
        program: Program,
        arguments: impl IntoIterator<Item = A>,
        log: &Path,
    ) -> Result<Self, StartError> {
        let mut command = programs.command(program);
        command.args(arguments.into_iter().map(Into::into));
        Self::spawn(program.name(), command, log)
    }

    /// Starts any command.
    ///
    /// # Errors
    /// When the command or the log cannot be opened.
    pub fn spawn(name: &str, mut command: Command, log: &Path) -> Result<Self, StartError> {
        let mut start = || -> io::Result<Child> {
            let output = File::options().create(true).append(true).open(log)?;
            command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
            command.spawn()
        };
        match start() {
            Ok(child) => Ok(Self { name: name.to_owned(), child, log: log.to_owned() }),
            Err(source) => Err(StartError { program: name.to_owned(), log: log.to_owned(), source }),
        }
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL: no chance to finish anything.
    pub fn kill(&mut self) {
        // It may have ended by itself; there is nothing to do then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGSTOP: it stands still in the middle of what it does, and others see a process that hangs.
    pub fn suspend(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT: it goes on as if no time had passed.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // Gone already is as good as stopped.
            let _ = kill_process(pid, signal);
        }
    }

    /// SIGTERM, then waits until it has drained.
    ///
    /// # Errors
    /// When it does not end within `limit`; it is killed then.
    pub fn stop(&mut self, limit: Duration) -> Result<Option<ExitStatus>, TimedOut> {
        self.signal(Signal::TERM);
        self.finish(limit)
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// When it does not within `limit`; it is killed then.
    pub fn finish(&mut self, limit: Duration) -> Result<Option<ExitStatus>, TimedOut> {
        let mut status = None;
        let ended = wait_for(&format!("{} to end", self.name), limit, || match self.child.try_wait() {
            Ok(found) => {
                status = found;
                found.is_some()
            }
            Err(_) => true,
        });
        if ended.is_err() {
            self.kill();
        }
        ended.map(|()| status)
    }

    /// The last lines it wrote, for error messages.
    pub fn last_words(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }

    /// Everything it wrote.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port of 127.0.0.1 nobody listens on right now.
///
/// # Errors
/// When none can be had.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Answer of `GET path` on 127.0.0.1:`port`: status and body.
///
/// # Errors
/// When nobody answers.
pub fn fetch(port: u16, path: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    Ok((status, body))
}

/// Becomes `command`, which the kernel then kills when the thread that started this process ends:
/// a tool that is itself killed leaves nothing running.
///
/// # Errors
/// Only returns when the command cannot be run.
pub fn kill_with_parent(command: &mut Command) -> io::Error {
    match rustix::process::set_parent_process_death_signal(Some(Signal::KILL)) {
        Ok(()) => command.exec(),
        Err(error) => error.into(),
    }
}

impl Daemon {
    /// Whether `/readyz` on `port` says yes.
    pub fn is_ready(port: u16) -> bool {
        fetch(port, "/readyz").is_ok_and(|(status, _)| status == 200)
    }

    /// The metrics page on `port`.
    pub fn metrics(port: u16) -> Option<String> {
        fetch(port, "/metrics").ok().map(|(_, body)| body)
    }
}
