//! The body of an answer, watched for the status at its end.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use http::HeaderMap;
use hyper::body::{Body, Frame, SizeHint};
use tonic::Code;

use super::observed::Observed;

/// A body whose end is the end of the call.
#[derive(Debug)]
pub struct RpcBody<B> {
    body: B,
    observed: Option<Observed>,
}

impl<B> RpcBody<B> {
    /// The body of an answer that is no gRPC.
    pub(super) fn unobserved(body: B) -> Self {
        Self { body, observed: None }
    }

    /// A status in the head is the whole answer.
    pub(super) fn observed(body: B, mut observed: Observed, head: &HeaderMap) -> Self {
        observed.end_with(head);
        Self { body, observed: Some(observed) }
    }
}

impl<B: Body + Unpin> Body for RpcBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = &mut *self;
        let _entered = this.observed.as_ref().map(|observed| observed.span().clone().entered());
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        if let (Poll::Ready(frame), Some(observed)) = (&polled, &mut this.observed) {
            match frame {
                Some(Ok(frame)) => {
                    if let Some(trailers) = frame.trailers_ref() {
                        observed.end_with(trailers);
                    }
                }
                Some(Err(_)) | None => observed.end(Code::Unknown),
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
