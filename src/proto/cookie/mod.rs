//! Cookies by RFC 6265bis (draft-ietf-httpbis-rfc6265bis), whose sections the files name: what a
//! `Set-Cookie` says, whether it may be set from where it came, what is kept, and what goes with which
//! request. Knows no clock, files or threads.
//!
//! ```text
//!  Set-Cookie ── set_cookie.rs, date.rs ──▶ SetCookie ── admission.rs ──▶ Cookie ── jar.rs ──▶ Cookie
//! ```
//!
//! What is not of the RFC: `record.rs` and `netscape.rs` are the two forms in which cookies are in files.

mod admission;
mod date;
mod jar;
mod matching;
mod netscape;
mod record;
mod set_cookie;
#[cfg(test)]
mod tests;

pub(crate) use admission::{Refusal, check_prefix, received};
pub(crate) use jar::{Asked, Change, Jar, Key};
pub(crate) use matching::{is_same_party, is_same_site, is_secure, is_web};
pub(crate) use netscape::{Line, read_line, write_line};
pub(crate) use record::{decode, encode};
