//! Reflection, old and new: which services there are and what their messages look like. The library's own service is
//! put between our listener and our descriptors.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use data_edge::{Call, ReplyBody};
use data_path::{Code, Failure};
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use tonic::body::Body as TonicBody;
use tonic_reflection::server::Builder;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use crate::edge::{Grpc, Stopping, refused};
use crate::proto::DESCRIPTORS;
use crate::reply;

/// A question of reflection names a file or a symbol.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

type Service = BoxCloneSyncService<Request<UntilStop>, Response<TonicBody>, Infallible>;

/// The services of both versions; none where the descriptors cannot be read.
pub(crate) struct Reflection {
    v1: Option<Service>,
    v1alpha: Option<Service>,
}

impl Reflection {
    pub(crate) fn new() -> Self {
        let builder = || Builder::configure().register_encoded_file_descriptor_set(DESCRIPTORS);
        let v1 = builder().build_v1().ok().map(|s| s.max_decoding_message_size(MESSAGE_BYTES_MAX));
        let v1alpha = builder().build_v1alpha().ok().map(|s| s.max_decoding_message_size(MESSAGE_BYTES_MAX));
        Self { v1: v1.map(BoxCloneSyncService::new), v1alpha: v1alpha.map(BoxCloneSyncService::new) }
    }
}

impl Grpc {
    pub(crate) async fn reflect(&self, call: &Call<'_>, body: Incoming) -> Response<ReplyBody> {
        let path = call.parts.uri.path();
        let service = if path.starts_with("/grpc.reflection.v1.") {
            &self.0.reflection.v1
        } else if path.starts_with("/grpc.reflection.v1alpha.") {
            &self.0.reflection.v1alpha
        } else {
            &None
        };
        let Some(service) = service.clone() else {
            return refused(call, &Failure::new(Code::NoSuchRoute, format!("there is no call {path}")));
        };
        let request = Request::from_parts(call.parts.clone(), UntilStop { body, stopping: self.stopping() });
        match service.oneshot(request).await {
            Ok(response) => response.map(|body| ReplyBody::stream(Box::pin(Told { body, is_over: false }))),
            Err(never) => match never {},
        }
    }
}

/// A request's body that ends where the process is asked to stop, so that idle streams hold up nobody.
struct UntilStop {
    body: Incoming,
    stopping: Stopping,
}

impl Body for UntilStop {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        ready!(self.stopping.as_mut().poll(cx));
        Poll::Ready(None)
    }
}

/// An answer's body whose errors are trailers.
struct Told {
    body: TonicBody,
    is_over: bool,
}

impl Body for Told {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(frame.map(|frame| {
            Ok(frame.unwrap_or_else(|status| {
                self.is_over = true;
                let mut trailers = HeaderMap::new();
                // Fails for texts that are no header: then the code alone is said.
                if status.add_header(&mut trailers).is_err() {
                    trailers = reply::trailers(&Failure::new(Code::Internal, "reflection failed"));
                }
                Frame::trailers(trailers)
            }))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }
}
