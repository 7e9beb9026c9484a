//! Bytes of requests that arrive, counted against what all connections of a source may hold before
//! they are decoded.

use crate::sources::received::{Intake, Refused};
use axum::BoxError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::sync::OwnedSemaphorePermit;
use tonic::codegen::Service;
use tonic::server::NamedService;

/// A body that takes room for what came of it, until it is dropped; it breaks off when there is none.
#[derive(Debug)]
pub struct Arriving<B> {
    body: B,
    intake: Intake,
    room: Option<OwnedSemaphorePermit>,
    full: fn() -> BoxError,
}

impl<B> Arriving<B> {
    /// Counts `body` at `intake`; `full` makes the error it breaks off with.
    pub fn new(body: B, intake: Intake, full: fn() -> BoxError) -> Self {
        Self { body, intake, room: None, full }
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> Body for Arriving<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let Some(frame) = ready!(Pin::new(&mut this.body).poll_frame(cx)) else { return Poll::Ready(None) };
        let frame = frame.map_err(Into::into)?;
        if let Some(data) = frame.data_ref() {
            let Some(room) = this.intake.try_room(data.len()) else {
                return Poll::Ready(Some(Err((this.full)())));
            };
            match &mut this.room {
                Some(held) => held.merge(room),
                none => *none = Some(room),
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A gRPC service whose requests are counted while they arrive.
#[derive(Debug, Clone)]
pub struct Metered<S> {
    inner: S,
    intake: Intake,
}

impl<S> Metered<S> {
    /// Counts the requests of `inner` at `intake`.
    pub fn new(inner: S, intake: Intake) -> Self {
        Self { inner, intake }
    }
}

impl<S: Service<http::Request<tonic::body::Body>>> Service<http::Request<tonic::body::Body>> for Metered<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> S::Future {
        let full = || tonic::Status::unavailable(Refused::Full.to_string()).into();
        let counted = |body| tonic::body::Body::new(Arriving::new(body, self.intake.clone(), full));
        self.inner.call(request.map(counted))
    }
}

impl<S: NamedService> NamedService for Metered<S> {
    const NAME: &'static str = S::NAME;
}
