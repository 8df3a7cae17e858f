//! Bearer tokens (RFC 6750).

use crate::error::Result;
use http::HeaderValue;

/// The value of `Authorization`.
///
/// # Errors
///
/// `BadUrl` for a token with control characters.
pub(crate) fn authorization(token: &str) -> Result<HeaderValue> {
    super::secret(format!("Bearer {token}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_bring_no_header_with_them() {
        assert_eq!(authorization("abc").expect("a value"), "Bearer abc");
        let error = authorization("secret\r\nx: y").expect_err("refused");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
