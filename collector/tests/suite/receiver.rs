//! An HTTP/1.1 server that answers, fails, resets or hangs as it is told.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// A request as it arrived.
#[derive(Debug, Clone, Default)]
pub struct Request {
    pub line: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The body without its compression.
    pub fn unpacked(&self) -> Vec<u8> {
        match self.header("content-encoding") {
            "gzip" => {
                let mut out = Vec::new();
                flate2::read::GzDecoder::new(&self.body[..]).read_to_end(&mut out).unwrap();
                out
            }
            "zstd" => zstd::decode_all(&self.body[..]).unwrap(),
            _ => self.body.clone(),
        }
    }
}

/// What to do with a request.
#[derive(Debug, Clone)]
pub enum Reply {
    Status(u16, &'static str, Vec<u8>),
    /// Close the connection with the body unread.
    ResetBefore,
    /// Read all of it, then close without an answer.
    ResetAfter,
    /// No answer until the other side gives up.
    Hang,
}

type Script = dyn Fn(usize, &Request) -> Reply + Send + Sync;

pub struct Receiver {
    pub port: u16,
    /// Requests read to their end, with the reply they got.
    pub seen: Arc<Mutex<Vec<(Request, Reply)>>>,
    /// Connections that came to nothing.
    pub failed: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

impl Receiver {
    /// `script` gets the number of the request and the request; of one that is not to be read its head.
    pub fn start(
        tls: Option<Arc<rustls::ServerConfig>>,
        script: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, failed) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let (stop, script) = (Arc::new(AtomicBool::new(false)), Arc::new(script) as Arc<Script>);
        let count = Arc::new(AtomicUsize::new(0));
        let (our_seen, our_failed, our_stop) = (seen.clone(), failed.clone(), stop.clone());
        let accepting = std::thread::spawn(move || {
            for connection in listener.incoming() {
                if our_stop.load(Ordering::SeqCst) {
                    return;
                }
                let connection = connection.unwrap();
                let (tls, script, seen) = (tls.clone(), script.clone(), our_seen.clone());
                let (failed, count) = (our_failed.clone(), count.clone());
                std::thread::spawn(move || {
                    let stream: Box<dyn Stream> = match tls {
                        None => Box::new(connection),
                        Some(tls) => {
                            let server = rustls::ServerConnection::new(tls).unwrap();
                            Box::new(rustls::StreamOwned::new(server, connection))
                        }
                    };
                    if serve(stream, &*script, &seen, &count).is_err() {
                        failed.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        Self { port, seen, failed, stop, accepting: Some(accepting) }
    }

    /// Requests that were answered with success, or taken although the answer was lost.
    pub fn taken(&self) -> Vec<Request> {
        let seen = self.seen.lock().unwrap();
        let took = |reply: &Reply| matches!(reply, Reply::Status(200, ..) | Reply::ResetAfter);
        seen.iter().filter(|(_, reply)| took(reply)).map(|(request, _)| request.clone()).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the accepting thread.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        drop(self.accepting.take().map(JoinHandle::join));
    }
}

fn serve(
    stream: Box<dyn Stream>,
    script: &Script,
    seen: &Mutex<Vec<(Request, Reply)>>,
    count: &AtomicUsize,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut request = Request::default();
        if stream.read_line(&mut request.line)? == 0 {
            return Ok(());
        }
        loop {
            let mut line = String::new();
            stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            request.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let number = count.fetch_add(1, Ordering::SeqCst);
        if matches!(script(number, &request), Reply::ResetBefore) {
            return Ok(());
        }
        request.body.resize(request.header("content-length").parse().unwrap(), 0);
        stream.read_exact(&mut request.body)?;
        let reply = script(number, &request);
        seen.lock().unwrap().push((request, reply.clone()));
        match reply {
            Reply::Status(status, headers, body) => {
                let head = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n", body.len());
                stream.get_mut().write_all(head.as_bytes())?;
                stream.get_mut().write_all(&body)?;
                stream.get_mut().flush()?;
            }
            Reply::Hang => drop(stream.read(&mut [0])),
            Reply::ResetBefore | Reply::ResetAfter => return Ok(()),
        }
    }
}
