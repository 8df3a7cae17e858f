//! The TLS of a session: its settings on each of the terms that its connections are on, made when they
//! are first needed, and the certificates that servers were given.
//!
//! Locks: `SessionTls::state`, `SessionTls::identities`, each taken alone. Keys and roots are parsed
//! outside of them.

use super::settings::{Common, Offer, Terms, TlsOptions, TlsSettings};
use crate::error::Result;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, Mutex, lock};
use crate::tls::Identity;

/// On how many different terms settings are kept. Those made first are forgotten first, with what could
/// be resumed by them.
const MAXIMUM_SETTINGS: usize = 64;

/// For how many servers a certificate is remembered that a delegate gave. The first are forgotten first:
/// the delegate is asked again.
const MAXIMUM_IDENTITIES: usize = 256;

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct SessionTls {
    state: Mutex<State>,
    has_identities: AtomicBool,
    identities: Mutex<Vec<(String, Identity)>>,
}

#[derive(Default)]
struct State {
    common: Option<Arc<Common>>,
    made: Vec<(Terms, TlsSettings)>,
}

impl SessionTls {
    /// The settings on some terms.
    pub(crate) fn settings(&self, terms: Terms, options: impl FnOnce() -> TlsOptions) -> Result<TlsSettings> {
        let common = {
            let state = lock(&self.state);
            if let Some((_, made)) = state.made.iter().find(|(made, _)| *made == terms) {
                return Ok(made.clone());
            }
            state.common.clone()
        };
        let common = match common {
            Some(common) => common,
            None => Arc::new(Common::new(&options())?),
        };
        let settings = common.settings(&terms)?;
        let mut state = lock(&self.state);
        // All on the same terms share what they can resume.
        if let Some((_, made)) = state.made.iter().find(|(made, _)| *made == terms) {
            return Ok(made.clone());
        }
        state.common.get_or_insert(common);
        let oldest = (state.made.len() >= MAXIMUM_SETTINGS).then(|| state.made.remove(0));
        state.made.push((terms, settings.clone()));
        drop(state);
        drop(oldest);
        Ok(settings)
    }

    /// The certificate that was given for an origin (`https://example.com:8443`), for the connections to it.
    pub(crate) fn offer(&self, origin: &str) -> Offer {
        if !self.has_identities.load(Ordering::Acquire) {
            return Offer::Configured;
        }
        let identities = lock(&self.identities);
        let known = identities.iter().find(|(known, _)| known == origin);
        known.map_or(Offer::Configured, |(_, identity)| Offer::Given(identity.clone()))
    }

    /// From now on connections to an origin show this certificate.
    pub(crate) fn remember(&self, origin: &str, identity: Identity) {
        let mut identities = lock(&self.identities);
        identities.retain(|(known, _)| known != origin);
        if identities.len() >= MAXIMUM_IDENTITIES {
            identities.remove(0);
        }
        identities.push((origin.to_owned(), identity));
        self.has_identities.store(true, Ordering::Release);
    }

    /// The server did not want the certificate.
    pub(crate) fn forget_identity(&self, origin: &str) {
        if self.has_identities.load(Ordering::Acquire) {
            lock(&self.identities).retain(|(known, _)| known != origin);
        }
    }

    /// Forgets everything: the sessions that could be resumed, and the certificates that were given.
    pub(crate) fn forget(&self) {
        let gone = std::mem::take(&mut *lock(&self.state));
        let identities = std::mem::take(&mut *lock(&self.identities));
        drop((gone, identities));
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::{Judge, TlsVersion};
    use super::*;

    fn identity() -> Identity {
        let made = rcgen::generate_simple_self_signed(["me".to_owned()]).expect("a certificate");
        Identity::from_pem(made.cert.pem(), made.signing_key.serialize_pem()).expect("an identity")
    }

    #[test]
    fn one_for_each_terms() {
        let tls = SessionTls::default();
        let get = |terms: &Terms| tls.settings(terms.clone(), TlsOptions::default).expect("settings").config;
        let (mine, other) = (identity(), identity());
        let all = [
            Terms::default(),
            Terms { minimum: Some(TlsVersion::Tls13), ..Terms::default() },
            Terms { judge: Judge::Delegate, ..Terms::default() },
            Terms { judge: Judge::OwnDelegate, ..Terms::default() },
            Terms { offer: Offer::Nothing, ..Terms::default() },
            Terms { offer: Offer::Given(mine.clone()), ..Terms::default() },
            Terms { offer: Offer::Given(other), ..Terms::default() },
        ];
        let made = all.each_ref().map(get);
        for (first, terms) in all.iter().enumerate() {
            assert!(Arc::ptr_eq(&made[first], &get(terms)));
            for second in 0..first {
                assert!(!Arc::ptr_eq(&made[first], &made[second]), "{first} {second}");
            }
        }
        tls.forget();
        assert!(!Arc::ptr_eq(&made[0], &get(&all[0])));
        // There is an end to it.
        for _ in 0..2 * MAXIMUM_SETTINGS {
            get(&Terms { offer: Offer::Given(identity()), ..Terms::default() });
        }
        assert_eq!(lock(&tls.state).made.len(), MAXIMUM_SETTINGS);
    }

    #[test]
    fn certificates_are_remembered_by_origin() {
        let tls = SessionTls::default();
        assert_eq!(tls.offer("https://a"), Offer::Configured);
        let (first, second) = (identity(), identity());
        tls.remember("https://a", first.clone());
        tls.remember("https://b", first.clone());
        tls.remember("https://a", second.clone());
        assert_eq!(tls.offer("https://a"), Offer::Given(second));
        assert_eq!(tls.offer("https://b"), Offer::Given(first.clone()));
        assert_eq!(tls.offer("https://a:8443"), Offer::Configured);
        tls.forget_identity("https://b");
        assert_eq!(tls.offer("https://b"), Offer::Configured);
        for number in 0..MAXIMUM_IDENTITIES {
            tls.remember(&number.to_string(), first.clone());
        }
        assert_eq!(tls.offer("https://a"), Offer::Configured);
        assert_eq!(tls.offer("0"), Offer::Given(first));
        tls.forget();
        assert_eq!(tls.offer("0"), Offer::Configured);
    }
}
