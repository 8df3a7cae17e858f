//! Basic authentication (RFC 7617): user name and password in the clear, in UTF-8, which is what
//! servers of our time expect whether or not they say so.

use crate::error::{Error, ErrorKind, Result};
use http::HeaderValue;

/// The value of `Authorization` or `Proxy-Authorization`.
///
/// # Errors
///
/// `BadUrl` for a user name with a colon, which would be taken apart in the wrong place, and for control
/// characters.
pub(crate) fn authorization(user: &str, password: &str) -> Result<HeaderValue> {
    let bad = |what| Error::new(ErrorKind::BadUrl, format!("Basic authentication: {what}"));
    if user.contains(':') {
        return Err(bad("a user name cannot have a colon in it (RFC 7617)"));
    }
    if user.chars().chain(password.chars()).any(char::is_control) {
        return Err(bad("user name and password cannot have control characters in them (RFC 7617)"));
    }
    super::secret(format!("Basic {}", base64(format!("{user}:{password}").as_bytes())))
}

/// The directory that a path is in: what is at it or below it is in the same protection space (RFC 7617
/// section 2.2), so that the credentials may be sent there unasked.
pub(crate) fn directory(path: &str) -> &str {
    path.rfind('/').and_then(|at| path.get(..=at)).unwrap_or("/")
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
    fn as_in_rfc_7617() {
        let value = authorization("Aladdin", "open sesame").expect("a value");
        assert_eq!(value, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(value.is_sensitive());
        assert_eq!(authorization("test", "123£").expect("a value"), "Basic dGVzdDoxMjPCow==");
        assert!(authorization("", "").is_ok());
        assert!(authorization("a", "b:c").is_ok());
    }

    #[test]
    fn what_cannot_be_sent_is_refused_without_telling_it() {
        for (user, password) in [("hidden:", "c"), ("a", "hidden\nc"), ("hidden\0", "c")] {
            let error = authorization(user, password).expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::BadUrl);
            assert!(!error.to_string().contains("hidden"), "{error}");
        }
    }

    #[test]
    fn directories_as_in_rfc_7617_section_2_2() {
        assert_eq!(directory("/docs/index.html"), "/docs/");
        assert_eq!(directory("/docs/"), "/docs/");
        assert_eq!(directory("/"), "/");
        assert_eq!(directory(""), "/");
        assert_eq!(directory("*"), "/");
    }
}
