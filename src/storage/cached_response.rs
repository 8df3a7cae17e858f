//! A response that was kept.

use crate::head::ResponseHead;
use crate::response::Response;
use bytes::Bytes;
use std::sync::Arc;

/// A response with its body, as a cache keeps it. `CachedURLResponse`.
///
/// ```
/// use urlsession::{CachedResponse, Response, StoragePolicy, Url, http};
///
/// let url = Url::parse("https://example.com/")?;
/// let response = Response::from_http(http::Response::new("kept".into()), url);
/// let cached = CachedResponse::new(response).with_storage_policy(StoragePolicy::AllowedInMemoryOnly);
/// assert_eq!(cached.data(), "kept");
/// assert_eq!(cached.head().status(), 200);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct CachedResponse {
    response: Response<Bytes>,
    storage_policy: StoragePolicy,
}

impl CachedResponse {
    /// A response that may be stored anywhere.
    pub fn new(response: Response<Bytes>) -> Self {
        CachedResponse { response, storage_policy: StoragePolicy::default() }
    }

    /// The same response, to be stored only where the policy says.
    pub fn with_storage_policy(mut self, policy: StoragePolicy) -> Self {
        self.storage_policy = policy;
        self
    }

    /// The head. `response`.
    pub fn head(&self) -> &Arc<ResponseHead> {
        self.response.head()
    }

    /// The body. `data`.
    pub fn data(&self) -> &Bytes {
        self.response.body()
    }

    /// Where it may be stored. `storagePolicy`.
    pub fn storage_policy(&self) -> StoragePolicy {
        self.storage_policy
    }

    /// Head and body.
    pub fn into_response(self) -> Response<Bytes> {
        self.response
    }
}

/// Where a response may be stored. `URLCache.StoragePolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoragePolicy {
    /// Anywhere.
    #[default]
    Allowed,
    /// In memory, and not on disk.
    AllowedInMemoryOnly,
    /// Nowhere.
    NotAllowed,
}
