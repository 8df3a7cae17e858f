//! What rustls tells its verifier and its resolver while it processes a record, and nobody else.
//!
//! Both are shared by all connections of their settings, since a session is resumed only with the very same
//! ones. rustls calls them on the thread that feeds it, so they leave their note with that thread, and
//! the connection takes it when the call has returned.

use rustls::pki_types::CertificateDer;
use std::cell::RefCell;

thread_local! {
    static NOTES: RefCell<Notes> = const { RefCell::new(Notes::new()) };
}

/// What was noted since the last look.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// The chain that was refused.
    pub(super) refused: Vec<CertificateDer<'static>>,
    /// The stapled OCSP response (RFC 6066 §8) of a chain that is still to be judged.
    pub(super) ocsp: Vec<u8>,
    /// A client certificate was asked for, by one of these authorities if there are any: the DER of their
    /// names.
    pub(super) authorities: Option<Vec<Vec<u8>>>,
}

impl Notes {
    const fn new() -> Self {
        Notes { refused: Vec::new(), ocsp: Vec::new(), authorities: None }
    }
}

/// Notes something.
pub(super) fn note(change: impl FnOnce(&mut Notes)) {
    NOTES.with_borrow_mut(change);
}

/// Takes what was noted on this thread.
pub(super) fn take() -> Notes {
    NOTES.take()
}
