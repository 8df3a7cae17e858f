//! HTTP authentication (RFC 9110 section 11): challenges as they come in fields, and the answers of the
//! schemes that the library has.
//!
//! ```text
//! fields ─▶ challenges ─▶ offers, the strongest first ─▶ basic | bearer | digest ─▶ Authorization
//! ```
//!
//! Knows user names, passwords and tokens as text; not where they come from, who is asked, or how many
//! rounds there were.

pub(crate) mod basic;
pub(crate) mod bearer;
pub(crate) mod challenges;
pub(crate) mod digest;
pub(crate) mod offers;

use crate::error::{Error, ErrorKind, Result};
use http::HeaderValue;

/// A value that is never printed.
fn secret(value: impl Into<Vec<u8>>) -> Result<HeaderValue> {
    let mut value = HeaderValue::try_from(value.into()).map_err(|_| {
        Error::new(ErrorKind::BadUrl, "the value of header `authorization` has a control character")
    })?;
    value.set_sensitive(true);
    Ok(value)
}
