//! What the cache did with a request, in the words of `Cache-Status` (RFC 9211).

use http::StatusCode;
use std::fmt;

/// What a cache did with a request: the member of a `Cache-Status` field that it would add (RFC 9211),
/// which is what `Display` gives.
///
/// ```
/// use urlsession::TransactionMetrics;
///
/// fn report(transaction: &TransactionMetrics) {
///     if let Some(status) = transaction.cache_status() {
///         // urlsession; hit; ttl=58
///         println!("{status}");
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheStatus {
    pub(crate) forwarded: Option<ForwardReason>,
    pub(crate) forwarded_status: Option<StatusCode>,
    pub(crate) ttl: Option<i64>,
    pub(crate) stored: bool,
    pub(crate) detail: Option<Detail>,
}

/// Why a request went on to the server. `fwd` of RFC 9211, section 2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ForwardReason {
    /// The cache was not to be used for it.
    Bypass,
    /// Its method is one that no stored response answers.
    Method,
    /// Nothing is stored for its URL.
    UriMiss,
    /// What is stored for its URL was the answer to other headers.
    VaryMiss,
    /// What is stored would do, but the request asks for a newer one.
    Request,
    /// What is stored is stale.
    Stale,
    /// Only a part of it is stored.
    Partial,
}

/// What else is to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// It is used while it is validated.
    Revalidating,
    /// It is used because the server failed.
    Error,
}

impl CacheStatus {
    pub(crate) fn hit(ttl: i64) -> Self {
        CacheStatus { forwarded: None, forwarded_status: None, ttl: Some(ttl), stored: false, detail: None }
    }

    pub(crate) fn forward(why: ForwardReason) -> Self {
        CacheStatus { forwarded: Some(why), forwarded_status: None, ttl: None, stored: false, detail: None }
    }

    /// Whether the response came from the cache without the server being asked.
    pub fn is_hit(&self) -> bool {
        self.forwarded.is_none()
    }

    /// Why the server was asked, if it was.
    pub fn forwarded(&self) -> Option<ForwardReason> {
        self.forwarded
    }

    /// The status the server gave, if that is not the one of the response: 304 for what was validated.
    pub fn forwarded_status(&self) -> Option<StatusCode> {
        self.forwarded_status
    }

    /// For how many seconds the stored response is fresh, less than zero if it is stale.
    pub fn time_to_live(&self) -> Option<i64> {
        self.ttl
    }

    /// Whether the response is being stored.
    pub fn is_stored(&self) -> bool {
        self.stored
    }
}

impl fmt::Display for CacheStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("urlsession")?;
        match self.forwarded {
            None => f.write_str("; hit")?,
            Some(why) => write!(f, "; fwd={why}")?,
        }
        if let Some(status) = self.forwarded_status {
            write!(f, "; fwd-status={}", status.as_u16())?;
        }
        if self.stored {
            f.write_str("; stored")?;
        }
        if let Some(ttl) = self.ttl {
            write!(f, "; ttl={ttl}")?;
        }
        match self.detail {
            Some(Detail::Revalidating) => f.write_str("; detail=stale-while-revalidate"),
            Some(Detail::Error) => f.write_str("; detail=stale-if-error"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for ForwardReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ForwardReason::Bypass => "bypass",
            ForwardReason::Method => "method",
            ForwardReason::UriMiss => "uri-miss",
            ForwardReason::VaryMiss => "vary-miss",
            ForwardReason::Request => "request",
            ForwardReason::Stale => "stale",
            ForwardReason::Partial => "partial",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members() {
        assert_eq!(CacheStatus::hit(-5).to_string(), "urlsession; hit; ttl=-5");
        let stale = CacheStatus {
            forwarded_status: Some(StatusCode::NOT_MODIFIED),
            stored: true,
            ttl: Some(9),
            ..CacheStatus::forward(ForwardReason::Stale)
        };
        assert_eq!(stale.to_string(), "urlsession; fwd=stale; fwd-status=304; stored; ttl=9");
        let error = CacheStatus { detail: Some(Detail::Error), ..CacheStatus::hit(-1) };
        assert_eq!(error.to_string(), "urlsession; hit; ttl=-1; detail=stale-if-error");
        assert!(error.is_hit() && !stale.is_hit() && stale.is_stored());
        for why in [
            ForwardReason::Bypass,
            ForwardReason::Method,
            ForwardReason::UriMiss,
            ForwardReason::VaryMiss,
            ForwardReason::Request,
            ForwardReason::Partial,
        ] {
            let text = CacheStatus::forward(why).to_string();
            assert_eq!(text, format!("urlsession; fwd={why}"));
        }
    }
}
