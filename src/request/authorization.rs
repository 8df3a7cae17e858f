//! `Authorization` values that a user asks for by name: Basic (RFC 7617) and Bearer (RFC 6750).

use crate::error::{Error, ErrorKind, Result};
use http::HeaderValue;

/// `Basic`, in UTF-8. A user name with a colon would be taken apart in the wrong place.
pub(crate) fn basic(user: &str, password: &str) -> Result<HeaderValue> {
    let bad = |what| Error::new(ErrorKind::BadUrl, format!("Basic authentication: {what}"));
    if user.contains(':') {
        return Err(bad("a user name cannot have a colon in it (RFC 7617)"));
    }
    if user.chars().chain(password.chars()).any(char::is_control) {
        return Err(bad("user name and password cannot have control characters in them (RFC 7617)"));
    }
    secret(format!("Basic {}", base64(format!("{user}:{password}").as_bytes())))
}

/// `Bearer`.
pub(crate) fn bearer(token: &str) -> Result<HeaderValue> {
    secret(format!("Bearer {token}"))
}

fn secret(text: String) -> Result<HeaderValue> {
    let mut value = HeaderValue::try_from(text).map_err(|_| {
        Error::new(ErrorKind::BadUrl, "the value of header `authorization` has a control character")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Base64 with padding (RFC 4648 section 4).
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for digit in 0..4 {
            let at = (bits >> (18 - 6 * digit)) & 63;
            text.push(if digit > group.len() { '=' } else { char::from(DIGITS[at as usize]) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_in_rfc_4648_section_10() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn basic_as_in_rfc_7617() {
        let value = basic("Aladdin", "open sesame").expect("a value");
        assert_eq!(value, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(value.is_sensitive());
        assert_eq!(basic("test", "123£").expect("a value"), "Basic dGVzdDoxMjPCow==");
        assert!(basic("a:b", "c").is_err());
        assert!(basic("a", "b\nc").is_err());
    }

    #[test]
    fn bearer_tokens_bring_no_header_with_them() {
        assert_eq!(bearer("abc").expect("a value"), "Bearer abc");
        let error = bearer("secret\r\nx: y").expect_err("refused");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
