//! The cache policies of a request.

/// How a request uses the cache. `URLRequest.CachePolicy`.
///
/// Whatever the policy, a response that may not be stored (`no-store`) is not, and what the protocol says
/// about storing holds. A request with conditions of its own (`If-None-Match` and the like) never uses the
/// cache.
///
/// ```
/// use urlsession::{CachePolicy, Request};
///
/// let request = Request::get("https://example.com/").cache_policy(CachePolicy::ReturnCacheElseLoad);
/// assert_eq!(request.get_cache_policy(), Some(CachePolicy::ReturnCacheElseLoad));
/// assert_eq!(CachePolicy::default(), CachePolicy::UseProtocol);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CachePolicy {
    /// What RFC 9111 says: a fresh response is used, a stale one is validated first.
    /// `useProtocolCachePolicy`.
    #[default]
    UseProtocol,
    /// What is stored is not looked at; the response is stored in its place.
    /// `reloadIgnoringLocalCacheData`.
    ReloadIgnoringLocal,
    /// What is stored is used, however old it is; only if there is nothing the server is asked.
    /// `returnCacheDataElseLoad`.
    ReturnCacheElseLoad,
    /// What is stored is used, however old it is. If there is nothing, the task fails with
    /// [`ErrorKind::ResourceUnavailable`](crate::ErrorKind::ResourceUnavailable).
    /// `returnCacheDataDontLoad`.
    ReturnCacheDontLoad,
    /// As [`ReloadIgnoringLocal`](CachePolicy::ReloadIgnoringLocal), and caches between here and the
    /// server are asked to do the same (`Cache-Control: no-cache`).
    /// `reloadIgnoringLocalAndRemoteCacheData`.
    ReloadIgnoringLocalAndRemote,
    /// What is stored is used after the server has said that it is still valid.
    /// `reloadRevalidatingCacheData`.
    ReloadRevalidating,
}

impl CachePolicy {
    /// Whether the server is asked as if nothing were stored.
    pub(crate) fn ignores_stored(self) -> bool {
        matches!(self, CachePolicy::ReloadIgnoringLocal | CachePolicy::ReloadIgnoringLocalAndRemote)
    }
}
