//! Who a session is: where its credentials are, and the authentication schemes that it knows besides those
//! of the library.

use super::Configuration;
use crate::authentication::AuthenticationScheme;
use crate::error::ErrorKind;
use crate::netrc::Netrc;
use crate::storage::CredentialStorage;
use std::path::Path;
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

    /// Has user names and passwords looked up by host in a file of the form of `.netrc`, when a server
    /// asks for them; see [`Netrc`]. What a URL says goes before it, and what is in the
    /// [storage](Configuration::credential_storage) after it. URLSession has no such property.
    ///
    /// The file is read here and now. That it cannot be is an error of the configuration. What a server has
    /// taken is kept in the storage, [for the session](crate::Persistence::ForSession), as other credentials are.
    ///
    /// ```
    /// use urlsession::{Configuration, ErrorKind};
    ///
    /// let error = Configuration::default().netrc("/nowhere/netrc").check().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::FileDoesNotExist);
    /// ```
    pub fn netrc(self, path: impl AsRef<Path>) -> Self {
        self.attempt(|configuration| {
            configuration.netrc = Some(Netrc::from_path(path)?);
            Ok(())
        })
    }

    /// The same with the user's own file, `$NETRC` or `~/.netrc`. If there is none, nothing is looked up.
    pub fn netrc_default(self) -> Self {
        self.attempt(|configuration| {
            configuration.netrc = match Netrc::from_default_path() {
                Err(error) if error.kind() == ErrorKind::FileDoesNotExist => {
                    log::debug!("{error}");
                    None
                }
                read => Some(read?),
            };
            Ok(())
        })
    }

    /// What was read from a `.netrc`.
    pub fn get_netrc(&self) -> Option<&Netrc> {
        self.netrc.as_ref()
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
