//! `Vary` (RFC 9111, section 4.1): which fields of a request select a response, and whether those of
//! another request are the same.

use super::directives::ResponseDirectives;
use super::fields::RequestFields;
use super::stored::{Selecting, Stored};
use http::header::{
    ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_ENCODING, HOST, HeaderMap, RANGE, VARY,
};
use http::{HeaderName, StatusCode};

/// A user whose credentials are kept, by name: among the headers of a request that the cache looks at, and
/// never sent.
pub(crate) const USER: HeaderName = HeaderName::from_static("urlsession-user");

/// What a request says about who sends it, and to whom: of that its URL need not be the truth.
pub(super) static OF_PARTIES: [HeaderName; 3] = [AUTHORIZATION, USER, HOST];

/// Codings that servers choose by `Accept-Encoding`.
const CODINGS: [&str; 7] = ["gzip", "x-gzip", "deflate", "br", "zstd", "compress", "x-compress"];

/// The most fields a response may be selected by. One that names more is not stored.
const MAX_FIELDS: usize = 64;

/// The fields of a request by which a response to it is selected. `None` if nothing selects it again:
/// `Vary: *`, what is no list of names, and more of them than anybody means.
pub(crate) fn selecting<'a>(
    status: StatusCode,
    response: &HeaderMap,
    request: impl Into<RequestFields<'a>>,
) -> Option<Vec<Selecting>> {
    let request = request.into();
    let mut names = Vec::new();
    for line in response.get_all(VARY) {
        for name in line.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            match name {
                b"" => {}
                b"*" => return None,
                name => names.push(HeaderName::from_bytes(name).ok()?),
            }
        }
        if names.len() > MAX_FIELDS {
            return None;
        }
    }
    // A part is the answer to this range: others may be stored beside it.
    if status == StatusCode::PARTIAL_CONTENT {
        names.push(RANGE);
    }
    names.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    names.dedup();
    let field = |name: HeaderName| Selecting { value: value(&name, request), name: name.as_str().to_owned() };
    Some(names.into_iter().map(field).collect())
}

/// Whether a stored response is one that this request selects. The range of a part is another matter.
pub(crate) fn matches(stored: &Stored, request: RequestFields<'_>) -> bool {
    let is_selected = |name: &HeaderName| stored.selecting.iter().any(|field| field.name == name.as_str());
    let mut unknown = OF_PARTIES.iter().filter(|name| request.contains_key(name) && !is_selected(name));
    // What was answered to nobody in particular is for somebody only if it says so.
    if unknown.any(|name| *name == HOST || !ResponseDirectives::of(&stored.headers).public) {
        return false;
    }
    if !accepts_coding(request, &stored.headers) {
        return false;
    }
    stored.selecting.iter().all(|field| {
        if field.name == RANGE.as_str() && stored.status == StatusCode::PARTIAL_CONTENT {
            return true;
        }
        match HeaderName::from_bytes(field.name.as_bytes()) {
            Ok(name) => value(&name, request) == field.value,
            Err(_) => false,
        }
    })
}

/// Whether a request takes a response in its coding. Many servers send it to those who do, and do not say that
/// others get something else.
fn accepts_coding(request: RequestFields<'_>, response: &HeaderMap) -> bool {
    if !response.contains_key(CONTENT_ENCODING) || !request.contains_key(&ACCEPT_ENCODING) {
        return true;
    }
    let mut accepted = Vec::new();
    request.get_all(&ACCEPT_ENCODING).for_each(|line| split(line.as_bytes(), &mut accepted));
    let is_accepted = |coding: &[u8]| {
        let names = |element: &[u8], name: &[u8]| {
            let mut parts = element.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
            let is_named = parts.next().is_some_and(|found| found.eq_ignore_ascii_case(name));
            // `q=0` and `q=0.000` say that it is not.
            let is_zero = |part: &[u8]| {
                let weight = part.strip_prefix(b"q=").or_else(|| part.strip_prefix(b"Q="));
                weight.is_some_and(|weight| weight.iter().all(|byte| matches!(byte, b'0' | b'.')))
            };
            is_named.then(|| !parts.any(is_zero))
        };
        let by_name = accepted.iter().find_map(|element| names(element, coding));
        let by_name = by_name.or_else(|| match coding.strip_prefix(b"x-") {
            Some(plain) => accepted.iter().find_map(|element| names(element, plain)),
            None => None,
        });
        by_name.or_else(|| accepted.iter().find_map(|element| names(element, b"*"))).unwrap_or(false)
    };
    let mut codings = Vec::new();
    response.get_all(CONTENT_ENCODING).iter().for_each(|line| split(line.as_bytes(), &mut codings));
    // What nobody knows is nothing that a server would have left out.
    let is_known = |coding: &[u8]| CODINGS.iter().any(|known| coding.eq_ignore_ascii_case(known.as_bytes()));
    codings.iter().all(|coding| !is_known(coding) || is_accepted(coding))
}

/// All lines of a field as one, in a form that is the same for what means the same: white space around
/// commas, and how elements are spread over lines, is of no account.
pub(crate) fn value<'a>(name: &HeaderName, request: impl Into<RequestFields<'a>>) -> Option<Vec<u8>> {
    let mut lines = request.into().get_all(name).peekable();
    lines.peek()?;
    let mut elements: Vec<Vec<u8>> = Vec::new();
    for line in lines {
        split(line.as_bytes(), &mut elements);
    }
    if *name == ACCEPT_LANGUAGE {
        // Tags have no case, and their order says nothing that is to be relied upon (RFC 9110, section
        // 12.5.4); what is preferred has a greater weight.
        for element in &mut elements {
            element.retain(|byte| !matches!(byte, b' ' | b'\t'));
            element.make_ascii_lowercase();
        }
        elements.sort();
    }
    Some(elements.join(&b','))
}

/// The elements of a list. A comma within quotes does not part them.
fn split(line: &[u8], elements: &mut Vec<Vec<u8>>) {
    let (mut quoted, mut escaped) = (false, false);
    let elements_of_line = line.split(|&byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
        byte == b',' && !quoted
    });
    let elements_of_line = elements_of_line.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty());
    elements.extend(elements_of_line.map(<[u8]>::to_vec));
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        }
        headers
    }

    fn same(name: &str, one: &[&str], other: &[&str]) -> bool {
        let of = |lines: &[&str]| {
            let fields: Vec<_> = lines.iter().map(|line| (name, *line)).collect();
            value(&HeaderName::from_bytes(name.as_bytes()).expect("a name"), &headers(&fields))
        };
        of(one) == of(other)
    }

    #[test]
    fn what_means_the_same_is_the_same() {
        assert!(same("foo", &["1, 2"], &["1", "2"]));
        assert!(same("foo", &["1,2"], &[" 1 ,\t2 , "]));
        assert!(!same("foo", &["1, 2"], &["2, 1"]));
        assert!(!same("foo", &["a"], &["A"]));
        assert!(!same("foo", &["\"a, b\""], &["\"a,b\""]));
        assert!(!same("foo", &["\"a\\\", b\""], &["\"a\\\",b\""]));
        assert!(!same("foo", &[""], &[]));
        assert!(same("accept-language", &["en, de"], &["De ,  eN"]));
        assert!(same("accept-language", &["en;q=0.5, de"], &["de, en; q=0.5"]));
        assert!(!same("accept-language", &["en;q=0.5, de"], &["en, de;q=0.5"]));
    }

    #[test]
    fn fields_that_select() {
        let request = headers(&[("a", "1"), ("range", "bytes=0-4")]);
        let of = |status, fields: &[(&str, &str)]| selecting(status, &headers(fields), &request);
        let field = |name: &str, value: Option<&str>| Selecting {
            name: name.into(),
            value: value.map(|value| value.as_bytes().to_vec()),
        };
        assert_eq!(of(StatusCode::OK, &[]), Some(Vec::new()));
        let both = Some(vec![field("a", Some("1")), field("b", None)]);
        assert_eq!(of(StatusCode::OK, &[("vary", "B, a"), ("vary", ",A")]), both);
        let part = Some(vec![field("range", Some("bytes=0-4"))]);
        assert_eq!(of(StatusCode::PARTIAL_CONTENT, &[]), part);
        for vary in ["*", "*, *", ", *", "*, a", "a, *", "a b"] {
            assert_eq!(of(StatusCode::OK, &[("vary", vary)]), None, "{vary}");
        }
        assert_eq!(of(StatusCode::OK, &[("vary", ""), ("vary", "*")]), None);
        let many: Vec<String> = (0..=MAX_FIELDS).map(|number| format!("x-{number}")).collect();
        assert_eq!(of(StatusCode::OK, &[("vary", &many.join(","))]), None);
    }
}
