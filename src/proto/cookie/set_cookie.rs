//! What a `Set-Cookie` says (section 5.6), without a judgement on it.

use super::admission::Refusal;
use super::date::cookie_date;
use crate::cookie::{LONGEST_ATTRIBUTE, LONGEST_PAIR, SameSite, is_control};
use std::borrow::Cow;

/// A `Set-Cookie` field. Of attributes that are there several times, the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SetCookie {
    pub(super) name: String,
    pub(super) value: String,
    /// Name and value are ISO-8859-1, since they are no UTF-8.
    pub(super) latin1: bool,
    /// Seconds since 1970.
    pub(super) expires: Option<i64>,
    /// Seconds from now, not above that.
    pub(super) max_age: Option<i64>,
    /// Without a dot at the beginning, in lower case; never empty.
    pub(super) domain: Option<String>,
    /// Begins with a slash.
    pub(super) path: Option<String>,
    pub(super) secure: bool,
    pub(super) http_only: bool,
    pub(super) same_site: Option<SameSite>,
}

impl SetCookie {
    /// Reads a field.
    ///
    /// # Errors
    ///
    /// Why it sets no cookie, wherever it comes from.
    pub(super) fn parse(field: &[u8]) -> Result<Self, Refusal> {
        if field.iter().any(|&byte| is_control(byte)) {
            return Err(Refusal::Control);
        }
        let mut parts = field.split(|&byte| byte == b';');
        let pair = parts.next().unwrap_or_default();
        let (name, value) = match pair.iter().position(|&byte| byte == b'=') {
            Some(equals) => {
                (pair.get(..equals).unwrap_or_default(), pair.get(equals + 1..).unwrap_or_default())
            }
            None => (&[][..], pair),
        };
        let (name, value) = (trimmed(name), trimmed(value));
        if name.is_empty() && value.is_empty() {
            return Err(Refusal::Empty);
        }
        if name.len() + value.len() > LONGEST_PAIR {
            return Err(Refusal::TooLong);
        }
        let (name, value, latin1) = match (std::str::from_utf8(name), std::str::from_utf8(value)) {
            (Ok(name), Ok(value)) => (name.to_owned(), value.to_owned(), false),
            _ => (latin1(name), latin1(value), true),
        };
        let mut cookie = SetCookie {
            name,
            value,
            latin1,
            expires: None,
            max_age: None,
            domain: None,
            path: None,
            secure: false,
            http_only: false,
            same_site: None,
        };
        for attribute in parts {
            let (name, value) = match attribute.iter().position(|&byte| byte == b'=') {
                Some(equals) => (attribute.get(..equals), attribute.get(equals + 1..)),
                None => (Some(attribute), None),
            };
            let (name, value) = (trimmed(name.unwrap_or_default()), trimmed(value.unwrap_or_default()));
            if value.len() <= LONGEST_ATTRIBUTE {
                cookie.attribute(name, value);
            }
        }
        Ok(cookie)
    }

    fn attribute(&mut self, name: &[u8], value: &[u8]) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("expires") {
            self.expires = cookie_date(value).or(self.expires);
        } else if is("max-age") {
            self.max_age = delta_seconds(value).or(self.max_age);
        } else if is("domain") {
            // What is not ASCII matches no host, so that the cookie is not set (section 5.7).
            let domain = text(value);
            let domain = domain.strip_prefix('.').unwrap_or(&domain).to_ascii_lowercase();
            self.domain = Some(domain).filter(|domain| !domain.is_empty());
        } else if is("path") {
            self.path = value.starts_with(b"/").then(|| text(value).into_owned());
        } else if is("secure") {
            self.secure = true;
        } else if is("httponly") {
            self.http_only = true;
        } else if is("samesite") {
            let is = |known: &str| value.eq_ignore_ascii_case(known.as_bytes());
            self.same_site = match () {
                () if is("none") => Some(SameSite::None),
                () if is("lax") => Some(SameSite::Lax),
                () if is("strict") => Some(SameSite::Strict),
                () => None,
            };
        }
    }
}

/// Section 5.6.2: digits, with a minus or without. What is above or below all times is as good as that.
fn delta_seconds(value: &[u8]) -> Option<i64> {
    let (negative, digits) = match value.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, value),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds = std::str::from_utf8(digits).ok()?.parse().unwrap_or(i64::MAX);
    Some(if negative { -seconds } else { seconds })
}

/// Without spaces and tabs around it.
fn trimmed(bytes: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = bytes.iter().position(|byte| !is_space(byte)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    bytes.get(start..end).unwrap_or_default()
}

/// Domains and paths of URLs are ASCII: others match none, whatever they are taken for.
fn text(value: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(value)
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}
