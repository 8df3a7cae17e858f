//! How secure connections have to be, and which hosts have asked for that.

use super::Configuration;
use crate::proto::transport_security::policy::TransportSecurity;
use crate::storage::HstsStorage;

impl Configuration {
    /// Sets what may go out in cleartext, and exceptions for TLS. Without this, nothing to a public host may. See
    /// [`TransportSecurity`].
    ///
    /// A domain that is none in an exception is an error of the configuration.
    pub fn transport_security(self, policy: TransportSecurity) -> Self {
        self.attempt(|configuration| {
            policy.check()?;
            configuration.transport_security = policy;
            Ok(())
        })
    }

    /// What [`transport_security`](Configuration::transport_security) has set.
    pub fn get_transport_security(&self) -> &TransportSecurity {
        &self.transport_security
    }

    /// Sets where it is remembered who has asked to be reached by https only (`Strict-Transport-Security`,
    /// RFC 6797); `None` turns that off: nobody is remembered, and nothing upgraded.
    ///
    /// Unless set, it is the storage in the session's own directory, if it has one; without one that of an
    /// [`ephemeral`](Configuration::ephemeral) configuration is the session's alone and in memory, and others have
    /// [`HstsStorage::shared`].
    ///
    /// ```
    /// # use urlsession::{Configuration, HstsStorage};
    /// let configuration = Configuration::default().hsts_storage(HstsStorage::in_memory());
    /// let off = Configuration::default().hsts_storage(None);
    /// ```
    pub fn hsts_storage(mut self, storage: impl Into<Option<HstsStorage>>) -> Self {
        self.hsts_storage = storage.into().into();
        self
    }

    /// What [`hsts_storage`](Configuration::hsts_storage) has set.
    pub fn get_hsts_storage(&self) -> Option<&HstsStorage> {
        self.hsts_storage.own()
    }
}
