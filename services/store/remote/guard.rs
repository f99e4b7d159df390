//! A channel that keeps malformed error details away from the gRPC library, which panics on them.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use tonic::{body::Body, codegen::Service, metadata::MetadataMap, transport::Channel};

const DETAILS: &str = "grpc-status-details-bin";

/// A connection whose answers are safe to read. Details that are not base64 are taken out; code and text stay.
#[derive(Debug, Clone)]
pub(super) struct Guarded(pub(super) Channel);

impl Service<Request<Body>> for Guarded {
    type Response = Response<Body>;
    type Error = tonic::transport::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async move {
            let (mut head, body) = answer.await?.into_parts();
            disarm(&mut head.headers);
            let body = body.map_frame(|frame| match frame.into_trailers() {
                Ok(mut trailers) => {
                    disarm(&mut trailers);
                    Frame::trailers(trailers)
                }
                Err(data) => data,
            });
            Ok(Response::from_parts(head, Body::new(body)))
        })
    }
}

fn disarm(headers: &mut HeaderMap) {
    if !headers.contains_key(DETAILS) {
        return;
    }
    let mut metadata = MetadataMap::from_headers(std::mem::take(headers));
    if metadata.get_bin(DETAILS).is_some_and(|details| details.to_bytes().is_err()) {
        metadata.remove_bin(DETAILS);
    }
    *headers = metadata.into_headers();
}

#[cfg(test)]
mod tests;
