//! Before anything leaves, and when a head has come: is the connection as secure as it has to be? The rules are in
//! [`crate::proto::transport_security`].

use super::Loader;
use crate::error::Result;
use crate::exchange::http1::Exchange;
use crate::proto::http1::head::ParsedHead;
use crate::proto::transport_security::policy::{Allowed, Way};
use crate::sync::Arc;
use crate::task::core::TaskCore;
use http::header::STRICT_TRANSPORT_SECURITY;
use std::time::SystemTime;
use url::Url;

impl Loader {
    /// Makes the request a secure one if its host has asked for that, and fails if it is to go out in cleartext where
    /// that is not allowed. For each request, whatever led to it.
    pub(super) fn secure(&mut self, core: &Arc<TaskCore>) -> Result<()> {
        let url = self.request(core).well_formed()?;
        if url.scheme() != "http" {
            return Ok(());
        }
        if let Some(secure) = upgraded(url, core) {
            log::debug!("task {}: https, as the host has asked for", core.id);
            let mut request = self.request(core).clone();
            request.url = Ok(secure);
            core.set_current(request.clone());
            self.request = Some(request);
            return Ok(());
        }
        // A part of a download goes where the task was led.
        let is_led =
            self.segment.is_some() || (self.request.is_some() && Some(url) != core.original.get_url());
        self.allowed(core).check(url, if is_led { Way::Redirected } else { Way::Asked })
    }

    /// What was said about cleartext.
    pub(super) fn allowed<'a>(&'a self, core: &'a TaskCore) -> Allowed<'a> {
        let configuration = &core.context.configuration;
        Allowed {
            policy: &configuration.transport_security,
            insecure_redirects: configuration.allow_insecure_redirects,
            request: self.request(core).allow_cleartext,
        }
    }

    /// Takes notice of a server that wants to be reached by https only. Not of one that says so in cleartext (RFC 6797
    /// section 8.1), since anybody can have done that.
    pub(super) fn note_security(
        &self,
        exchange: &Exchange,
        head: &ParsedHead,
        core: &TaskCore,
    ) -> Result<()> {
        if !head.is_strict() {
            return Ok(());
        }
        let url = self.request(core).check()?;
        if url.scheme() != "https" || trust_was_overridden(exchange, core) {
            return Ok(());
        }
        // Of several fields the first counts.
        let field = head.headers.get(STRICT_TRANSPORT_SECURITY);
        if let (Some(field), Some(storage)) = (field, &core.context.stores()?.security) {
            storage.note(url, field.as_bytes(), SystemTime::now());
        }
        Ok(())
    }
}

/// Whether a response may be believed by those who would not have accepted its connection.
pub(super) fn is_from_where_it_says(exchange: &Exchange, url: &Url, core: &TaskCore) -> bool {
    url.scheme() != "https" || !trust_was_overridden(exchange, core)
}

/// The secure URL in place of a cleartext one, if its host has asked for that.
pub(super) fn upgraded(url: &Url, core: &TaskCore) -> Option<Url> {
    core.context.stores().ok()?.security.as_ref()?.upgraded(url, SystemTime::now)
}

/// Whether the peer's certificate was accepted although it was not found good: who is at the other end is not known
/// then (RFC 6797 section 8.1).
#[cfg(feature = "tls")]
fn trust_was_overridden(exchange: &Exchange, core: &TaskCore) -> bool {
    exchange.connection().is_overridden()
        || core.context.configuration.get_danger_accept_invalid_certificates()
}

#[cfg(not(feature = "tls"))]
fn trust_was_overridden(_: &Exchange, _: &TaskCore) -> bool {
    true
}
