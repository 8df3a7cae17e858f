//! What a delegate decides: plain values that its methods return.

use crate::request::Request;
use crate::storage::CachedResponse;

/// What becomes of a response whose head has arrived. `URLSession.ResponseDisposition`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResponseDisposition {
    /// The body is received.
    #[default]
    Allow,
    /// The task is cancelled, and no body is delivered.
    Cancel,
    /// The body goes to a temporary file: the task goes on as a download. As a data task it ends with
    /// an empty body.
    BecomeDownload,
}

/// What becomes of a redirect.
#[derive(Clone, Debug)]
#[non_exhaustive]
// It lives for the length of a call, and a box would be in everybody's way.
#[allow(clippy::large_enum_variant)]
pub enum RedirectDecision {
    /// It is followed with this request, which may differ from the one that was proposed.
    Follow(Request),
    /// It is not followed: the redirect response and its body are the result of the task.
    Stop,
}

/// What becomes of a response that would be stored in the cache.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum CacheDecision {
    /// It is stored as it came.
    #[default]
    Store,
    /// This is stored in its place.
    StoreAs(CachedResponse),
    /// It is not stored.
    DoNotStore,
}
