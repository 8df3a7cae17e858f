//! The head of a response, without its body: what [`Response`](crate::Response) and
//! [`Error`](crate::Error) share.

use http::{HeaderMap, StatusCode, Version};
use std::sync::OnceLock;
use url::Url;

/// Status, headers and final URL of a response. A [`Response`](crate::Response) derefs to it.
#[derive(Debug)]
pub struct ResponseHead {
    pub(crate) status: StatusCode,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) url: Url,
    /// Whether the body is delivered decoded, so that Content-Length is not its length.
    pub(crate) decoded: bool,
    /// Length of the body as the framing gives it, before content decoding.
    pub(crate) content_length: Option<u64>,
    pub(crate) trailers: OnceLock<HeaderMap>,
}

impl ResponseHead {
    /// The status code.
    pub fn status(&self) -> StatusCode {
        self.status
    }
}
