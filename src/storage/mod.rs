//! What outlives a task: what a session remembers, in memory or in files.

pub(crate) mod cache;
mod cached_response;
mod cookies;
pub(crate) mod credentials;
mod instances;
pub(crate) mod journal;
#[allow(dead_code)]
pub(crate) mod places;
mod transport_security;

pub use cache::Cache;
pub use cached_response::{CachedResponse, StoragePolicy};
pub use cookies::{CookieAcceptPolicy, CookieImport, CookieStorage};
pub use credentials::CredentialStorage;
pub use transport_security::{HstsHost, HstsStorage};

use crate::configuration::Configuration;
use crate::error::Result;

/// The stores of a session.
pub(crate) struct Stores {
    /// Responses, if any are kept.
    pub(crate) cache: Option<Cache>,
    pub(crate) cookies: Option<CookieStorage>,
    /// Who we are, if that is kept.
    pub(crate) credentials: Option<CredentialStorage>,
    /// Who is to be reached by https only.
    pub(crate) security: Option<HstsStorage>,
}

impl Stores {
    /// Those that a configuration asks for.
    ///
    /// # Errors
    ///
    /// Why one of them cannot be used.
    pub(crate) fn open(configuration: &Configuration) -> Result<Self> {
        let security = match &configuration.hsts_storage {
            Choice::Automatic => Some(HstsStorage::automatic(configuration)?),
            Choice::None => None,
            Choice::Own(storage) => Some(storage.clone()),
        };
        Ok(Stores {
            cache: Cache::of(configuration)?,
            cookies: CookieStorage::of(configuration)?,
            credentials: CredentialStorage::of(configuration)?,
            security,
        })
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
