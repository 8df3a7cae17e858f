//! Who a session is: the authentication schemes that it knows besides those of the library.

use super::Configuration;
use crate::authentication::AuthenticationScheme;
use std::sync::Arc;

impl Configuration {
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
