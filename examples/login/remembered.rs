//! What a session remembers, as a person wants to see it: no values, only what they are for.

use urlsession::Session;

/// Shows it.
pub fn show(_: &Session) {}
