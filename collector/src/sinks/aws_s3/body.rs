//! The body of an upload, read from the spool as the connection takes it.

use crate::sinks::Object;
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Bytes read at a time. The spool was written a moment ago, so this comes from the page cache and
/// does not keep the runtime waiting.
const PIECE_BYTES: u64 = 128 * 1024;

/// Bytes `start..start + len` of an object as a body that can be sent again.
pub fn stream(object: &Object, start: u64, len: u64) -> ByteStream {
    let object = object.clone();
    ByteStream::new(SdkBody::retryable(move || {
        SdkBody::from_body_1_x(ObjectBody { object: object.clone(), at: start, end: start + len })
    }))
}

struct ObjectBody {
    object: Object,
    at: u64,
    end: u64,
}

impl Body for ObjectBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let left = self.end - self.at;
        if left == 0 {
            return Poll::Ready(None);
        }
        let mut piece = vec![0; usize::try_from(left.min(PIECE_BYTES)).unwrap_or(usize::MAX)];
        Poll::Ready(Some(match self.object.read_at(self.at, &mut piece) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => {
                piece.truncate(len);
                self.at += len as u64;
                Ok(Frame::data(piece.into()))
            }
            Err(error) => Err(error),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.at == self.end
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end - self.at)
    }
}
