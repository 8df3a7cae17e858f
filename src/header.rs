//! Header fields that a user gives or is shown: parsing with errors that name the field, and
//! printing without secrets. Knows no particular message.

use crate::error::{Error, ErrorKind, Result};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use std::borrow::Cow;
use std::fmt;

/// Parses a field. CR, LF and NUL never pass, so that no field can bring another one with it
/// (RFC 9110 section 5.5). The message names the field and never its value, which may be secret.
pub(crate) fn field<V>(name: &[u8], value: V) -> Result<(HeaderName, HeaderValue)>
where
    V: TryInto<HeaderValue>,
{
    let name = HeaderName::from_bytes(name).map_err(|_| {
        let text = quoted(&String::from_utf8_lossy(name));
        Error::new(ErrorKind::BadUrl, format!("{text} is not a header name: letters, digits and - are"))
    })?;
    let mut value = value.try_into().map_err(|_| {
        let message = "has a control character (CR, LF, NUL or another), which no header may have";
        Error::new(ErrorKind::BadUrl, format!("the value of header `{name}` {message}"))
    })?;
    if is_secret(&name) {
        value.set_sensitive(true);
    }
    Ok((name, value))
}

/// Sets a field in place of all others of that name.
pub(crate) fn insert(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) -> Result<()> {
    headers.try_insert(name, value).map(drop).map_err(|_| too_many())
}

/// Adds a field to those of that name.
pub(crate) fn append(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) -> Result<()> {
    headers.try_append(name, value).map(drop).map_err(|_| too_many())
}

/// Puts all fields of `from` in place of those of the same names.
pub(crate) fn merge(headers: &mut HeaderMap, mut from: HeaderMap) -> Result<()> {
    for (name, value) in &mut from {
        if is_secret(name) {
            value.set_sensitive(true);
        }
    }
    if headers.is_empty() {
        *headers = from;
        return Ok(());
    }
    // The iterator names a field at its first value only.
    let mut last = None;
    for (name, value) in from {
        match (name, &last) {
            (Some(name), _) => {
                insert(headers, name.clone(), value)?;
                last = Some(name);
            }
            (None, Some(name)) => append(headers, name.clone(), value)?,
            (None, None) => {}
        }
    }
    Ok(())
}

/// Whether the values of a field are kept out of everything that is printed.
pub(crate) fn is_secret(name: &HeaderName) -> bool {
    *name == header::AUTHORIZATION
        || *name == header::PROXY_AUTHORIZATION
        || *name == header::COOKIE
        || *name == header::SET_COOKIE
}

/// The text of a value: UTF-8 if it is that, else the ISO-8859-1 it was in the days of RFC 2616.
pub(crate) fn decoded(value: &HeaderValue) -> Cow<'_, str> {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(value.as_bytes().iter().copied().map(char::from).collect()),
    }
}

/// What a user gave, fit for a message: in backticks, escaped, and not longer than a line.
pub(crate) fn quoted(text: &str) -> String {
    const LONGEST: usize = 100;
    let mut shown: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// Prints headers without the values that are secret.
pub(crate) struct Shown<'a>(pub(crate) &'a HeaderMap);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (name, value) in self.0 {
            if is_secret(name) {
                map.entry(&name.as_str(), &format_args!("Sensitive"));
            } else {
                map.entry(&name.as_str(), value);
            }
        }
        map.finish()
    }
}

fn too_many() -> Error {
    Error::new(ErrorKind::BadUrl, "more headers than a message can have (24,576)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_field_brings_another() {
        for value in ["a\r\nb: c", "a\nb", "a\rb", "a\0b", "a\r\n b"] {
            let error = field(b"X-Thing", value).expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::BadUrl);
            assert!(error.to_string().contains("`x-thing`"), "{error}");
        }
        for name in ["", "a b", "a:b", "a\r\nb", "ä"] {
            assert!(field(name.as_bytes(), "v").is_err(), "{name:?}");
        }
        let error = field(b"a\r\nb", "v").expect_err("refused");
        assert!(error.to_string().starts_with(r"`a\r\nb` is not a header name"), "{error}");
    }

    #[test]
    fn secret_values_are_marked() {
        let (_, value) = field(b"authorization", "Bearer x").expect("a field");
        assert!(value.is_sensitive());
        let (_, value) = field(b"accept", "Bearer x").expect("a field");
        assert!(!value.is_sensitive());
    }

    #[test]
    fn merging_replaces_by_name_and_keeps_repeats() {
        let map = |fields: &[(&'static str, &'static str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in fields {
                map.append(*name, HeaderValue::from_static(value));
            }
            map
        };
        let mut headers = map(&[("a", "1"), ("a", "2"), ("b", "1")]);
        merge(&mut headers, map(&[("a", "3"), ("c", "1"), ("c", "2")])).expect("room");
        assert_eq!(headers, map(&[("a", "3"), ("b", "1"), ("c", "1"), ("c", "2")]));
    }

    #[test]
    fn more_headers_than_fit_are_an_error() {
        let mut headers = HeaderMap::new();
        let failed = (0..40_000).any(|i| {
            let (name, value) = field(format!("x-{i}").as_bytes(), "v").expect("a field");
            append(&mut headers, name, value).is_err()
        });
        assert!(failed);
    }

    #[test]
    fn quoting_is_bounded() {
        assert_eq!(quoted("a\nb"), r"`a\nb`");
        assert!(quoted(&"x".repeat(10_000)).chars().count() < 110);
    }
}
