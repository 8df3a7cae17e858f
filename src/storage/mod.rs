//! What outlives a task: what a session remembers, in memory or in files.

mod cached_response;
mod credentials;
#[allow(dead_code)]
mod instances;
#[allow(dead_code)]
pub(crate) mod journal;
#[allow(dead_code)]
pub(crate) mod places;

pub use cached_response::{CachedResponse, StoragePolicy};
pub use credentials::CredentialStorage;

use crate::configuration::Configuration;
use crate::error::Result;

/// The stores of a session.
pub(crate) struct Stores {
    /// None if the session is to have none.
    pub(crate) credentials: Option<CredentialStorage>,
}

impl Stores {
    /// Those that a configuration asks for.
    ///
    /// # Errors
    ///
    /// Why one of them cannot be used.
    pub(crate) fn open(configuration: &Configuration) -> Result<Self> {
        Ok(Stores { credentials: CredentialStorage::of(configuration)? })
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
