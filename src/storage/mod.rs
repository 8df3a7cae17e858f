//! What outlives a task: what a session remembers, in memory or in files.

pub(crate) mod cache;
mod cached_response;
mod cookies;
#[allow(dead_code)]
mod instances;
#[allow(dead_code)]
pub(crate) mod journal;
#[allow(dead_code)]
pub(crate) mod places;

pub use cache::Cache;
pub use cached_response::{CachedResponse, StoragePolicy};
pub use cookies::{CookieAcceptPolicy, CookieImport, CookieStorage};

use crate::configuration::Configuration;
use crate::error::Result;

/// The stores of a session.
pub(crate) struct Stores {
    /// Responses, if any are kept.
    pub(crate) cache: Option<Cache>,
    pub(crate) cookies: Option<CookieStorage>,
}

impl Stores {
    /// Those that a configuration asks for.
    ///
    /// # Errors
    ///
    /// Why one of them cannot be used.
    pub(crate) fn open(configuration: &Configuration) -> Result<Self> {
        Ok(Stores { cache: Cache::of(configuration)?, cookies: CookieStorage::of(configuration)? })
    }
}

/// Which store a session has.
#[derive(Clone, Debug, Default)]
pub(crate) enum Choice<T> {
    /// The one that its kind of configuration has.
    #[default]
    Automatic,
    None,
    Own(T),
}
