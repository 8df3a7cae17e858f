//! What tells one version of a resource from another, byte by byte: strong validators (RFC 9110,
//! section 8.8), as far as parts of a body may be put together by them.

use super::date::imf_fixdate;
use http::header::{DATE, ETAG, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED};

/// A validator that may stand in `If-Range` (RFC 9110, section 13.1.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Validator {
    /// A strong entity tag, with its quotes.
    ETag(HeaderValue),
    /// A date of last modification, as the server wrote it.
    LastModified(HeaderValue),
}

impl Validator {
    /// The validator of the representation that a response carries.
    ///
    /// A strong entity tag goes before `Last-Modified`, and a weak one is as good as none. A date
    /// is strong if it is at least a second before the `Date` of the response (section 8.8.2.2):
    /// what is changed twice in one second has one date for two contents. Without a `Date` nothing
    /// speaks against it; with one that cannot be read it is not used.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Validator> {
        if let Some(tag) = only(headers, &ETAG).and_then(Validator::etag) {
            return Some(tag);
        }
        let modified = only(headers, &LAST_MODIFIED)?;
        let seconds = imf_fixdate(modified.as_bytes())?;
        if headers.contains_key(DATE) {
            let date = imf_fixdate(only(headers, &DATE)?.as_bytes())?;
            if date - seconds < 1 {
                return None;
            }
        }
        Validator::last_modified(modified)
    }

    /// A strong entity tag: anything else is none.
    pub(crate) fn etag(value: &HeaderValue) -> Option<Validator> {
        let inner = value.as_bytes().strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        // etagc of section 8.8.3. A space would be taken by the header's parser on the other side
        // for the end of the tag.
        let is_tag = inner.iter().all(|byte| matches!(byte, 0x21 | 0x23..=0x7e | 0x80..));
        is_tag.then(|| Validator::ETag(value.clone()))
    }

    /// A date in the form that may be sent: anything else is none.
    pub(crate) fn last_modified(value: &HeaderValue) -> Option<Validator> {
        imf_fixdate(value.as_bytes()).map(|_| Validator::LastModified(value.clone()))
    }

    /// What stands in `If-Range`.
    pub(crate) fn value(&self) -> &HeaderValue {
        match self {
            Validator::ETag(value) | Validator::LastModified(value) => value,
        }
    }

    /// The header it came in.
    pub(crate) fn name(&self) -> &'static HeaderName {
        match self {
            Validator::ETag(_) => &ETAG,
            Validator::LastModified(_) => &LAST_MODIFIED,
        }
    }

    /// Whether a later response can be of the same representation.
    ///
    /// Every value of the header has to be the same. A response that does not have it passes: with
    /// `If-Range` a server may leave `Last-Modified` out of a 206 (RFC 9110, section 15.3.7), and
    /// some leave out the entity tag, which they must not; the 206 itself says that it matched.
    pub(crate) fn matches(&self, headers: &HeaderMap) -> bool {
        headers.get_all(self.name()).iter().all(|value| value == self.value())
    }
}

/// The value of a header that there is once. One that contradicts itself says nothing.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EARLY: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        }
        headers
    }

    fn of(fields: &[(&'static str, &str)]) -> Option<String> {
        let validator = Validator::of(&headers(fields))?;
        Some(String::from_utf8_lossy(validator.value().as_bytes()).into_owned())
    }

    #[test]
    fn a_strong_tag_goes_first() {
        assert_eq!(of(&[("etag", "\"a\""), ("last-modified", EARLY)]).as_deref(), Some("\"a\""));
        assert_eq!(of(&[("etag", "\"\"")]).as_deref(), Some("\"\""));
        assert_eq!(of(&[("etag", "\"W/\u{e4}\"")]).as_deref(), Some("\"W/\u{e4}\""));
    }

    #[test]
    fn a_tag_that_is_not_strong_is_none() {
        for tag in ["W/\"a\"", "w/\"a\"", "a", "\"", "\"a", "\"a b\"", "\"a\"b\"", "\"a\", \"b\"", ""] {
            assert_eq!(of(&[("etag", tag)]), None, "{tag}");
            assert_eq!(of(&[("etag", tag), ("last-modified", EARLY)]).as_deref(), Some(EARLY), "{tag}");
        }
        assert_eq!(of(&[("etag", "\"a\""), ("etag", "\"b\"")]), None);
        assert_eq!(of(&[("etag", "\"a\""), ("etag", "\"a\"")]).as_deref(), Some("\"a\""));
    }

    #[test]
    fn a_date_is_strong_once_a_second_has_passed() {
        let with = |date| of(&[("last-modified", EARLY), ("date", date)]);
        assert_eq!(with(LATER).as_deref(), Some(EARLY));
        assert_eq!(with(EARLY), None);
        assert_eq!(with("Sun, 06 Nov 1994 08:49:36 GMT"), None);
        assert_eq!(with("today"), None);
        assert_eq!(of(&[("last-modified", EARLY)]).as_deref(), Some(EARLY));
        assert_eq!(of(&[("last-modified", "Sun Nov  6 08:49:37 1994")]), None);
        assert_eq!(of(&[("last-modified", EARLY), ("last-modified", LATER)]), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn a_later_response_is_compared_where_it_says_something() {
        let tag = Validator::of(&headers(&[("etag", "\"a\"")])).expect("a tag");
        assert!(tag.matches(&headers(&[])));
        assert!(tag.matches(&headers(&[("etag", "\"a\""), ("last-modified", LATER)])));
        for other in ["\"b\"", "W/\"a\"", "a", ""] {
            assert!(!tag.matches(&headers(&[("etag", other)])), "{other}");
        }
        assert!(!tag.matches(&headers(&[("etag", "\"a\""), ("etag", "\"b\"")])));
        let date = Validator::of(&headers(&[("last-modified", EARLY)])).expect("a date");
        assert!(date.matches(&headers(&[("last-modified", EARLY), ("etag", "\"a\"")])));
        assert!(!date.matches(&headers(&[("last-modified", LATER)])));
        assert!(date.matches(&headers(&[])));
    }
}
