//! Stand-ins for AWS services that cannot flatter: they enforce every documented limit, keep exact
//! account of what they took, and fail in every way a network service fails, on demand and from a
//! seed.
//!
//! * [`cloudwatch`]: CloudWatch Logs.
//! * [`s3`]: S3, on the `s3s` crate.
//! * [`sts`]: where credentials come from.
//! * [`faults`]: what goes wrong, and when.
//!
//! A conformance suite runs the same assertions against them and against the emulator the other
//! tests use, so that they can't drift.

pub mod cloudwatch;
pub mod faults;
pub mod s3;
pub mod sts;

use bytes::Bytes;
use faults::{Fault, Faults, Service};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// How long a request that is left hanging is held: longer than any client waits.
const HANG: Duration = Duration::from_secs(600);

/// Body of an answer.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;
/// An answer.
pub type Answer = http::Response<Body>;

/// A server on a port of 127.0.0.1, stopped when dropped.
pub struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    runtime: Option<Runtime>,
}

impl Server {
    /// Serves `service` with the given faults.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start<S: Service>(service: Arc<S>, faults: Arc<Faults>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        runtime.spawn(accept(listener, service, faults, stop.clone()));
        Ok(Self { address, stop, runtime: Some(runtime) })
    }

    /// `http://127.0.0.1:<port>`
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept<S: Service>(
    listener: TcpListener,
    service: Arc<S>,
    faults: Arc<Faults>,
    stop: CancellationToken,
) {
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => continue,
            },
        };
        let (service, faults) = (service.clone(), faults.clone());
        tokio::spawn(async move {
            let handle = service_fn(move |request| handle(service.clone(), faults.clone(), request));
            let mut server = hyper::server::conn::http1::Builder::new();
            // An aborted connection is what some faults are made of.
            let _ = server.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), handle).await;
        });
    }
}

/// Handles one request, or fails at it the way the drawn fault says. An error makes hyper drop the
/// connection.
async fn handle<S: Service>(
    service: Arc<S>,
    faults: Arc<Faults>,
    request: http::Request<Incoming>,
) -> io::Result<Answer> {
    let reset = || Err(io::Error::from(io::ErrorKind::ConnectionReset));
    match faults.draw() {
        None => Ok(service.answer(request).await),
        Some(Fault::Reset) => reset(),
        Some(Fault::ResetAfterBody) => {
            drop(request.into_body().collect().await);
            reset()
        }
        Some(Fault::Hang) => {
            tokio::time::sleep(HANG).await;
            reset()
        }
        Some(Fault::AnswerLost) => {
            drop(service.answer(request).await);
            reset()
        }
        Some(Fault::ShortAnswer) => {
            let (mut parts, body) = service.answer(request).await.into_parts();
            let whole = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            // Claims more than it sends.
            parts.headers.insert(http::header::CONTENT_LENGTH, (whole.len() + 10).into());
            let short = futures::stream::iter([
                Ok(hyper::body::Frame::data(whole)),
                Err(io::Error::from(io::ErrorKind::ConnectionReset)),
            ]);
            Ok(http::Response::from_parts(parts, http_body_util::StreamBody::new(short).boxed_unsync()))
        }
        Some(fault @ (Fault::Throttled | Fault::Unavailable | Fault::Internal)) => {
            drop(request.into_body().collect().await);
            Ok(S::failure(fault))
        }
    }
}

/// An answer with a whole body.
pub fn answer(status: u16, headers: &[(&'static str, &str)], body: impl Into<Bytes>) -> Answer {
    let body = http_body_util::Full::new(body.into()).map_err(|never| match never {}).boxed_unsync();
    let mut answer = http::Response::new(body);
    *answer.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::IM_A_TEAPOT);
    for (name, value) in headers {
        if let Ok(value) = http::HeaderValue::from_str(value) {
            answer.headers_mut().insert(*name, value);
        }
    }
    answer
}
