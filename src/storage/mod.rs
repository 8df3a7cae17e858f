//! What outlives a task: what a session remembers, in memory or in files.

pub(crate) mod cache;
mod cached_response;
mod cookies;
pub(crate) mod credentials;
mod instances;
pub(crate) mod journal;
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
        Ok(Stores {
            cache: Cache::of(configuration)?,
            cookies: CookieStorage::of(configuration)?,
            credentials: CredentialStorage::of(configuration)?,
            security: HstsStorage::of(configuration)?,
        })
    }

    /// Writes them into the configuration in place of how they were chosen.
    pub(crate) fn name_in(&self, configuration: &mut Configuration) {
        configuration.cache = self.cache.clone().into();
        configuration.cookie_storage = self.cookies.clone().into();
        configuration.credential_storage = self.credentials.clone().into();
        configuration.hsts_storage = self.security.clone().into();
    }

    /// Has what was written put on the disk, which takes as long as the disk does.
    pub(crate) fn flush(&self) {
        let flushed = [
            self.cookies.as_ref().map(CookieStorage::flush),
            self.credentials.as_ref().map(CredentialStorage::flush),
            self.security.as_ref().map(HstsStorage::flush),
        ];
        for error in flushed.into_iter().flatten().filter_map(Result::err) {
            log::warn!("{error}");
        }
    }

    /// Empties them, and removes their files.
    pub(crate) fn reset(&self) {
        if let Some(cookies) = &self.cookies {
            cookies.remove_all();
        }
        if let Some(credentials) = &self.credentials {
            credentials.remove_all();
        }
        if let Some(cache) = &self.cache {
            cache.remove_all();
        }
        if let Some(security) = &self.security {
            security.remove_all();
        }
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

impl<T> Choice<T> {
    /// The one that was given, or that the session was found to have.
    pub(crate) fn own(&self) -> Option<&T> {
        match self {
            Choice::Own(store) => Some(store),
            Choice::Automatic | Choice::None => None,
        }
    }
}

impl<T> From<Option<T>> for Choice<T> {
    fn from(store: Option<T>) -> Self {
        store.map_or(Choice::None, Choice::Own)
    }
}
