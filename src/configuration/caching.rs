//! What of responses is kept.

use super::Configuration;
use crate::storage::Cache;

impl Configuration {
    /// Sets the cache that sessions use, or with `None` that they have none. `urlCache`.
    ///
    /// Unless it is set, it is one in the program's cache directory if the configuration
    /// [names the program](Configuration::application) or a
    /// [directory](Configuration::storage_directory), with 4 MiB in memory and 20 MiB on disk, and otherwise
    /// [`Cache::shared`]. Each session with an [`ephemeral`](Configuration::ephemeral) configuration has one
    /// of its own in memory.
    ///
    /// Clones of the configuration share the cache.
    ///
    /// ```
    /// use urlsession::{Cache, Configuration};
    ///
    /// let configuration = Configuration::default().cache(Cache::in_memory(16 << 20));
    /// assert_eq!(configuration.get_cache().unwrap().memory_capacity(), 16 << 20);
    /// assert!(configuration.cache(None).get_cache().is_none());
    /// ```
    pub fn cache(mut self, cache: impl Into<Option<Cache>>) -> Self {
        self.cache = cache.into().into();
        self
    }

    /// The cache that was set, if one was.
    pub fn get_cache(&self) -> Option<&Cache> {
        self.cache.own()
    }
}
