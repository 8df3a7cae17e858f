//! Who a session is: where its credentials are, and the authentication schemes that it knows besides those
//! of the library.

use super::Configuration;
use crate::authentication::AuthenticationScheme;
use crate::storage::CredentialStorage;
use std::sync::Arc;

impl Configuration {
    /// Sets where credentials are looked up and kept, or with `None` that they are not.
    /// `urlCredentialStorage`.
    ///
    /// Unless set, it is the one of the [application](Configuration::application) or the
    /// [directory](Configuration::storage_directory) of the configuration, and
    /// [`CredentialStorage::shared`] without either; an [ephemeral](Configuration::ephemeral)
    /// configuration has a new one in memory for each session.
    ///
    /// ```
    /// use urlsession::{Configuration, CredentialStorage};
    ///
    /// let configuration = Configuration::default().credential_storage(CredentialStorage::in_memory());
    /// assert!(configuration.get_credential_storage().is_some());
    /// assert!(configuration.credential_storage(None).get_credential_storage().is_none());
    /// ```
    pub fn credential_storage(mut self, storage: impl Into<Option<CredentialStorage>>) -> Self {
        self.credential_storage = storage.into().into();
        self
    }

    /// What [`credential_storage`](Configuration::credential_storage) has set.
    pub fn get_credential_storage(&self) -> Option<&CredentialStorage> {
        self.credential_storage.own()
    }

    /// Adds an authentication scheme of the program's own, such as one for NTLM, Negotiate or AWS
    /// signatures; see [`AuthenticationScheme`]. Those that were added first are preferred, and all before
    /// those of the library. URLSession has no such property.
    ///
    /// Clones of the configuration share it.
    pub fn authentication_scheme(mut self, scheme: impl AuthenticationScheme) -> Self {
        self.authentication_schemes.push(Arc::new(scheme));
        self
    }

    /// The authentication schemes that were added.
    pub fn get_authentication_schemes(&self) -> &[Arc<dyn AuthenticationScheme>] {
        &self.authentication_schemes
    }
}
