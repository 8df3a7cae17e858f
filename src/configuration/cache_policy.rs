//! How sessions use their cache.

use super::Configuration;
use crate::proto::caching::CachePolicy;

impl Configuration {
    /// Sets how requests use the cache that have no [policy](crate::Request::cache_policy) of their own.
    /// [`CachePolicy::UseProtocol`] unless set. `requestCachePolicy`.
    ///
    /// ```
    /// use urlsession::{CachePolicy, Configuration};
    ///
    /// let configuration = Configuration::default().cache_policy(CachePolicy::ReloadRevalidating);
    /// assert_eq!(configuration.get_cache_policy(), CachePolicy::ReloadRevalidating);
    /// ```
    pub fn cache_policy(mut self, policy: CachePolicy) -> Self {
        self.cache_policy = policy;
        self
    }

    /// What [`cache_policy`](Configuration::cache_policy) has set.
    pub fn get_cache_policy(&self) -> CachePolicy {
        self.cache_policy
    }
}
