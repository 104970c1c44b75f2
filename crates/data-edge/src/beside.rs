//! Two protocols on one listener.

use std::future::Future;

use http::{Request, Response};
use hyper::body::Incoming;

use crate::listen::Handle;
use crate::reply::ReplyBody;

/// Answers the requests of a listener, and hands some of them to a guest.
#[derive(Clone)]
pub struct Beside<H, G> {
    /// Whose listener it is.
    pub host: H,
    /// Who answers some of the requests.
    pub guest: G,
    /// Which ones.
    pub is_for_guest: fn(&Request<Incoming>) -> bool,
}

impl<H: Handle, G: Handle> Handle for Beside<H, G> {
    fn handle(&self, request: Request<Incoming>) -> impl Future<Output = Response<ReplyBody>> + Send + 'static {
        let guest = (self.is_for_guest)(&request).then(|| self.guest.clone());
        let host = self.host.clone();
        async move {
            match guest {
                // Boxed, or the host's requests would be as large as the guest's.
                Some(guest) => Box::pin(guest.handle(request)).await,
                None => host.handle(request).await,
            }
        }
    }

    fn opened(&self) {
        self.host.opened();
    }

    fn closed(&self) {
        self.host.closed();
    }

    fn refused(&self) -> &'static [u8] {
        self.host.refused()
    }
}
