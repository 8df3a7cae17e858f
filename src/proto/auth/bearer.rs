//! Bearer tokens (RFC 6750): the header that carries one, and why one was refused.

use super::challenges::AuthChallenge;
use crate::error::Result;
use http::HeaderValue;
use std::fmt;

/// The value of `Authorization`.
///
/// # Errors
///
/// `BadUrl` for a token with control characters.
pub(crate) fn authorization(token: &str) -> Result<HeaderValue> {
    super::secret(format!("Bearer {token}"))
}

/// What a challenge says about the token (RFC 6750 section 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Demand {
    /// Why it was refused; `None` if there was none.
    pub(crate) refusal: Option<Refusal>,
    /// What it is to be good for.
    pub(crate) scope: Vec<String>,
    /// For developers, as the server put it.
    pub(crate) description: Option<String>,
}

/// Why a token was refused (RFC 6750 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The request is malformed.
    InvalidRequest,
    /// The token has expired, or was revoked, or was never one. Another one may do.
    InvalidToken,
    /// The token is sound, and not good for this.
    InsufficientScope,
    Other,
}

/// The most scopes and the longest text that are kept.
const MOST_SCOPES: usize = 100;
const LONGEST: usize = 1000;

impl Demand {
    pub(crate) fn of(challenge: &AuthChallenge) -> Self {
        let refusal = challenge.parameter("error").map(|error| match error {
            "invalid_request" => Refusal::InvalidRequest,
            "invalid_token" => Refusal::InvalidToken,
            "insufficient_scope" => Refusal::InsufficientScope,
            _ => Refusal::Other,
        });
        let scope = challenge.parameter("scope").unwrap_or_default().split_ascii_whitespace();
        let text = |text: &str| text.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
        Demand {
            refusal,
            scope: scope.take(MOST_SCOPES).map(str::to_owned).collect(),
            description: challenge.parameter("error_description").map(text),
        }
    }
}

impl fmt::Display for Demand {
    /// For a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.refusal {
            None => "a token is wanted",
            Some(Refusal::InvalidRequest) => "the request is malformed",
            Some(Refusal::InvalidToken) => "the token is invalid or has expired",
            Some(Refusal::InsufficientScope) => "the token is not good for this",
            Some(Refusal::Other) => "the token is refused",
        })?;
        if !self.scope.is_empty() {
            write!(f, ", scope {:?}", self.scope.join(" "))?;
        }
        if let Some(description) = &self.description {
            write!(f, ": {description:?}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::proto::auth::challenges::challenges;
    use http::header::{HeaderMap, WWW_AUTHENTICATE};

    #[test]
    fn tokens_bring_no_header_with_them() {
        let value = authorization("abc").expect("a value");
        assert_eq!(value, "Bearer abc");
        assert!(value.is_sensitive());
        let error = authorization("secret\r\nx: y").expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::BadUrl);
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    fn demand(field: &'static str) -> Demand {
        let headers = HeaderMap::from_iter([(WWW_AUTHENTICATE, HeaderValue::from_static(field))]);
        Demand::of(challenges(&headers, &WWW_AUTHENTICATE).first().expect("a challenge"))
    }

    #[test]
    fn refusals_as_in_rfc_6750_section_3() {
        let nothing = demand(r#"Bearer realm="example""#);
        assert_eq!(nothing, Demand { refusal: None, scope: Vec::new(), description: None });
        let expired = demand(
            r#"Bearer realm="example", error="invalid_token", error_description="The access token expired""#,
        );
        assert_eq!(expired.refusal, Some(Refusal::InvalidToken));
        assert_eq!(expired.description.as_deref(), Some("The access token expired"));
        assert_eq!(expired.to_string(), r#"the token is invalid or has expired: "The access token expired""#);
        let scope = demand(r#"bearer error=insufficient_scope, SCOPE="urn:a  read""#);
        assert_eq!(scope.refusal, Some(Refusal::InsufficientScope));
        assert_eq!(scope.scope, ["urn:a", "read"]);
        assert_eq!(demand("Bearer error=invalid_request").refusal, Some(Refusal::InvalidRequest));
        assert_eq!(demand("Bearer error=x").refusal, Some(Refusal::Other));
    }
}
