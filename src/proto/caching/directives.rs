//! `Cache-Control` (RFC 9111, section 5.2): its directives in requests and in responses. What cannot be
//! understood counts as the more careful of what it could mean.

use super::fields::RequestFields;
use crate::proto::http1::has_element;
use http::header::{CACHE_CONTROL, HeaderMap, PRAGMA};
use http::{HeaderName, HeaderValue};
use std::borrow::Cow;

/// Seconds that count as for ever (section 1.2.2).
pub(crate) const FOREVER: u64 = 1 << 31;
/// The most field names that are looked at in one `no-cache="…"`. Longer lists count as all fields.
const MAX_NAMES: usize = 64;

/// What a response allows (section 5.2.2). What concerns shared caches only is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResponseDirectives {
    /// In seconds, 0 if it is no number. The least of several.
    pub(crate) max_age: Option<u64>,
    pub(crate) no_store: bool,
    /// Without field names, or with some that cannot be read.
    pub(crate) no_cache: bool,
    /// The fields of a `no-cache="…"`, which are not to be used without validation.
    pub(crate) no_cache_fields: Vec<HeaderName>,
    pub(crate) must_revalidate: bool,
    pub(crate) must_understand: bool,
    pub(crate) public: bool,
    pub(crate) private: bool,
    /// RFC 8246.
    pub(crate) immutable: bool,
    /// RFC 5861, section 3, in seconds.
    pub(crate) stale_while_revalidate: Option<u64>,
    /// RFC 5861, section 4, in seconds.
    pub(crate) stale_if_error: Option<u64>,
}

/// What a request asks for (section 5.2.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestDirectives {
    /// 0 if it is no number.
    pub(crate) max_age: Option<u64>,
    /// [`FOREVER`] without a number.
    pub(crate) max_stale: Option<u64>,
    /// [`FOREVER`] if it is no number.
    pub(crate) min_fresh: Option<u64>,
    pub(crate) no_cache: bool,
    pub(crate) no_store: bool,
    pub(crate) only_if_cached: bool,
    /// RFC 5861, section 4.
    pub(crate) stale_if_error: Option<u64>,
}

impl ResponseDirectives {
    /// Those of a response.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut found = ResponseDirectives::default();
        for directive in directives(headers.get_all(CACHE_CONTROL).iter()) {
            let Some(Directive { name, value }) = directive else {
                // A string without an end may hold anything.
                found.no_cache = true;
                continue;
            };
            let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
            if is("max-age") {
                least(&mut found.max_age, value.seconds().unwrap_or(0));
            } else if is("no-store") {
                found.no_store = true;
            } else if is("no-cache") {
                match value.names() {
                    Some(names) => found.no_cache_fields.extend(names),
                    None => found.no_cache = true,
                }
            } else if is("must-revalidate") {
                found.must_revalidate = true;
            } else if is("must-understand") {
                found.must_understand = true;
            } else if is("public") {
                found.public = true;
            } else if is("private") {
                found.private = true;
            } else if is("immutable") {
                found.immutable = true;
            } else if is("stale-while-revalidate") {
                least(&mut found.stale_while_revalidate, value.seconds().unwrap_or(0));
            } else if is("stale-if-error") {
                least(&mut found.stale_if_error, value.seconds().unwrap_or(0));
            }
        }
        if found.no_cache_fields.len() > MAX_NAMES {
            found.no_cache_fields.clear();
            found.no_cache = true;
        }
        found
    }
}

impl RequestDirectives {
    /// Those of a request. `Pragma: no-cache` counts where there is no `Cache-Control` (section 5.4).
    pub(crate) fn of<'a>(fields: impl Into<RequestFields<'a>>) -> Self {
        let fields = fields.into();
        let mut found = RequestDirectives::default();
        if !fields.contains_key(&CACHE_CONTROL) {
            let mut lines = fields.get_all(&PRAGMA);
            found.no_cache = lines.any(|line| has_element(line.as_bytes(), "no-cache"));
            return found;
        }
        for directive in directives(fields.get_all(&CACHE_CONTROL)) {
            let Some(Directive { name, value }) = directive else {
                found.no_cache = true;
                continue;
            };
            let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
            if is("max-age") {
                least(&mut found.max_age, value.seconds().unwrap_or(0));
            } else if is("max-stale") {
                let most = if matches!(value, Value::None) { FOREVER } else { value.seconds().unwrap_or(0) };
                least(&mut found.max_stale, most);
            } else if is("min-fresh") {
                let least = value.seconds().unwrap_or(FOREVER);
                found.min_fresh = Some(found.min_fresh.unwrap_or(0).max(least));
            } else if is("no-cache") {
                found.no_cache = true;
            } else if is("no-store") {
                found.no_store = true;
            } else if is("only-if-cached") {
                found.only_if_cached = true;
            } else if is("stale-if-error") {
                least(&mut found.stale_if_error, value.seconds().unwrap_or(0));
            }
        }
        found
    }
}

/// Of several values the strictest counts: which of them was meant nobody can tell (section 4.2.1).
fn least(found: &mut Option<u64>, value: u64) {
    *found = Some(found.map_or(value, |found| found.min(value)));
}

/// A directive with its value.
struct Directive<'a> {
    name: &'a [u8],
    value: Value<'a>,
}

enum Value<'a> {
    None,
    /// Without quotes, or what stood between them.
    Some(Cow<'a, [u8]>),
    /// It is neither a token nor a quoted string.
    Malformed,
}

impl Value<'_> {
    /// Delta-seconds. Both forms are read (section 5.2).
    fn seconds(&self) -> Option<u64> {
        match self {
            Value::Some(digits) => delta_seconds(digits),
            Value::None | Value::Malformed => None,
        }
    }

    /// Field names. `None` if there are none, or something that is not one.
    fn names(&self) -> Option<Vec<HeaderName>> {
        let Value::Some(list) = self else { return None };
        let names = list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
        let names = names.filter(|name| !name.is_empty()).take(MAX_NAMES + 1);
        let names: Vec<HeaderName> = names.map(HeaderName::from_bytes).collect::<Result<_, _>>().ok()?;
        (!names.is_empty()).then_some(names)
    }
}

/// Seconds, of which more than a number holds are for ever (section 1.2.2).
pub(super) fn delta_seconds(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits
        .iter()
        .try_fold(0_u64, |value, digit| value.checked_mul(10)?.checked_add(u64::from(digit - b'0')));
    Some(value.map_or(FOREVER, |value| value.min(FOREVER)))
}

/// All directives of all lines. `None` for one that has no end.
fn directives<'a>(
    lines: impl Iterator<Item = &'a HeaderValue>,
) -> impl Iterator<Item = Option<Directive<'a>>> {
    lines.flat_map(|line| Directives { rest: line.as_bytes() })
}

struct Directives<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Directives<'a> {
    type Item = Option<Directive<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let begin = self.rest.iter().position(|byte| !matches!(byte, b',' | b' ' | b'\t'))?;
        let rest = self.rest.get(begin..)?;
        let Some(end) = element_end(rest) else {
            self.rest = &[];
            return Some(None);
        };
        let (element, rest) = rest.split_at(end);
        self.rest = rest;
        Some(Some(directive(element)))
    }
}

/// Where the element ends: at a comma that is not within quotes. `None` if a quote has no end.
fn element_end(text: &[u8]) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return Some(at),
            _ => {}
        }
    }
    (!quoted).then_some(text.len())
}

fn directive(element: &[u8]) -> Directive<'_> {
    let Some(at) = element.iter().position(|&byte| byte == b'=') else {
        return Directive { name: element.trim_ascii(), value: Value::None };
    };
    let (name, value) = element.split_at(at);
    let value = value.get(1..).unwrap_or_default().trim_ascii_end();
    let malformed =
        name.last().is_some_and(u8::is_ascii_whitespace) || value.first().is_none_or(u8::is_ascii_whitespace);
    let value = if malformed { Value::Malformed } else { unquoted(value) };
    Directive { name: name.trim_ascii(), value }
}

fn unquoted(value: &[u8]) -> Value<'_> {
    let Some(inner) = value.strip_prefix(b"\"") else {
        let is_token = !value.iter().any(|byte| matches!(byte, b'"' | b' ' | b'\t'));
        return if is_token { Value::Some(Cow::Borrowed(value)) } else { Value::Malformed };
    };
    if let Some(plain) = inner.strip_suffix(b"\"") {
        if !plain.iter().any(|byte| matches!(byte, b'"' | b'\\')) {
            return Value::Some(Cow::Borrowed(plain));
        }
    }
    let mut text = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' if bytes.as_slice().is_empty() => return Value::Some(Cow::Owned(text)),
            b'"' => return Value::Malformed,
            b'\\' => match bytes.next() {
                Some(byte) => text.push(*byte),
                None => return Value::Malformed,
            },
            byte => text.push(*byte),
        }
    }
    Value::Malformed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CACHE_CONTROL, HeaderValue::from_bytes(line.as_bytes()).expect("a value"));
        }
        headers
    }

    fn max_age(line: &str) -> Option<u64> {
        ResponseDirectives::of(&headers(&[line])).max_age
    }

    #[test]
    fn lifetimes() {
        for (line, seconds) in [
            ("max-age=60", Some(60)),
            ("MaX-aGe=60", Some(60)),
            ("a, b=c,max-age=60 , d", Some(60)),
            ("max-age=\"60\"", Some(60)),
            ("max-age=\"\\6\\0\"", Some(60)),
            ("max-age=003600", Some(3600)),
            ("max-age=2147483647", Some(2_147_483_647)),
            ("max-age=2147483649", Some(FOREVER)),
            ("max-age=99999999999999999999999999", Some(FOREVER)),
            ("max-age=60, max-age=10", Some(10)),
            ("x=\"max-age=60\"", None),
            ("x=\"a\\\", max-age=60\"", None),
            ("s-maxage=60", None),
            ("xmax-age=60", None),
            ("", None),
            (",, ,", None),
            // What cannot be read is not fresh.
            ("max-age", Some(0)),
            ("max-age=", Some(0)),
            ("max-age='60'", Some(0)),
            ("max-age=-60", Some(0)),
            ("max-age=6.0", Some(0)),
            ("max-age=60a", Some(0)),
            ("max-age =60", Some(0)),
            ("max-age= 60", Some(0)),
            ("max-age=6 0", Some(0)),
            ("max-age=\"60\"x", Some(0)),
            ("max-age=6\"0\"", Some(0)),
            ("max-age=60;public", Some(0)),
        ] {
            assert_eq!(max_age(line), seconds, "{line}");
        }
        assert_eq!(ResponseDirectives::of(&headers(&["max-age=9", "max-age=5"])).max_age, Some(5));
    }

    #[test]
    fn quotes_hide_what_is_in_them() {
        let found =
            ResponseDirectives::of(&headers(&["x=\"no-store, no-cache\", public, y=\"\\\\\", private"]));
        assert!(!found.no_store && !found.no_cache && found.public && found.private);
    }

    #[test]
    fn a_string_without_an_end_is_not_used() {
        let found = ResponseDirectives::of(&headers(&["max-age=60, x=\"no-store"]));
        assert!(found.no_cache && found.max_age == Some(60));
        let found = ResponseDirectives::of(&headers(&["x=\"a\\\"", "no-store"]));
        assert!(found.no_cache && found.no_store);
        assert!(RequestDirectives::of(&headers(&["x=\""])).no_cache);
    }

    #[test]
    fn no_cache_with_and_without_fields() {
        let found = ResponseDirectives::of(&headers(&["no-cache=\"Set-Cookie, x-a\", no-cache=foo"]));
        assert!(!found.no_cache);
        assert_eq!(found.no_cache_fields, ["set-cookie", "x-a", "foo"].map(HeaderName::from_static));
        for line in ["no-cache", "no-cache=\"\"", "no-cache=\"a b\"", "no-cache=", "no-cache=\"a\"b"] {
            assert!(ResponseDirectives::of(&headers(&[line])).no_cache, "{line}");
        }
        let many = format!("no-cache=\"{}\"", "a,".repeat(MAX_NAMES + 1));
        let found = ResponseDirectives::of(&headers(&[&many]));
        assert!(found.no_cache && found.no_cache_fields.is_empty());
    }

    #[test]
    fn all_of_a_response() {
        let line = "NO-STORE=x, must-revalidate, Must-Understand, immutable, stale-while-revalidate=5, \
                    stale-if-error=x";
        let found = ResponseDirectives::of(&headers(&[line]));
        assert!(found.no_store && found.must_revalidate && found.must_understand && found.immutable);
        assert_eq!((found.stale_while_revalidate, found.stale_if_error), (Some(5), Some(0)));
    }

    #[test]
    fn all_of_a_request() {
        let line = "no-cache, no-store, only-if-cached, max-age=a, min-fresh=4, max-stale, stale-if-error=9";
        let found = RequestDirectives::of(&headers(&[line]));
        assert!(found.no_cache && found.no_store && found.only_if_cached);
        assert_eq!((found.max_age, found.min_fresh), (Some(0), Some(4)));
        assert_eq!((found.max_stale, found.stale_if_error), (Some(FOREVER), Some(9)));
        let found = RequestDirectives::of(&headers(&["max-stale=5, min-fresh=x, max-stale"]));
        assert_eq!((found.max_stale, found.min_fresh), (Some(5), Some(FOREVER)));
    }

    #[test]
    fn pragma_counts_alone() {
        let mut headers = HeaderMap::new();
        headers.insert(PRAGMA, HeaderValue::from_static("x, No-Cache"));
        assert!(RequestDirectives::of(&headers).no_cache);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=5"));
        assert!(!RequestDirectives::of(&headers).no_cache);
        assert_eq!(RequestDirectives::of(&HeaderMap::new()), RequestDirectives::default());
    }
}
