//! What may be stored of an exchange, and in which form (RFC 9111, section 3); and what an exchange makes
//! invalid (section 4.4).

use super::decision::Presented;
use super::directives::{RequestDirectives, ResponseDirectives};
use super::fields::RequestFields;
use super::freshness::is_heuristically_cacheable;
use super::ranges::is_part;
use super::stored::{Selecting, Stored};
use super::vary;
use crate::proto::date::to_imf_fixdate;
use http::header::{
    CONNECTION, CONTENT_LOCATION, DATE, EXPIRES, HeaderMap, HeaderName, HeaderValue, LOCATION,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::{Method, StatusCode, Version};
use std::time::SystemTime;
use url::Url;

/// Fields that are about one connection or one proxy (section 3.1; RFC 9110, section 7.6.1).
static NOT_STORED: [HeaderName; 9] = [
    CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-authentication-info"),
    HeaderName::from_static("proxy-connection"),
];

/// A response as it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received<'a> {
    pub(crate) status: StatusCode,
    pub(crate) version: Version,
    pub(crate) headers: &'a HeaderMap,
    /// The end of its body is told by more than the end of the connection.
    pub(crate) is_delimited: bool,
    /// When its request was sent.
    pub(crate) request_time: SystemTime,
    /// When it came.
    pub(crate) response_time: SystemTime,
}

/// What is to be stored of a response, without its body yet; `None` if nothing is.
pub(crate) fn to_store(request: &Presented<'_>, response: &Received<'_>) -> Option<Stored> {
    if request.bypasses_cache() || RequestDirectives::of(request.headers).no_store {
        return None;
    }
    let directives = ResponseDirectives::of(response.headers);
    let is_understood = is_understood(response.status);
    let must_understand = directives.must_understand;
    // Who understands the status need not look at `no-store` beside `must-understand` (section 5.2.2.3).
    if (must_understand && !is_understood) || (directives.no_store && !must_understand) {
        return None;
    }
    let is_final = !response.status.is_informational() && response.status != StatusCode::NOT_MODIFIED;
    if !is_final || !is_for_later(request, response, &directives) {
        return None;
    }
    let is_about_part = response.status == StatusCode::PARTIAL_CONTENT;
    if is_about_part && !is_part(request.headers, response.headers) {
        return None;
    }
    // 416 is about the range, and not about the resource; and the others are about who asks.
    let is_about_request = [
        StatusCode::RANGE_NOT_SATISFIABLE,
        StatusCode::UNAUTHORIZED,
        StatusCode::PROXY_AUTHENTICATION_REQUIRED,
    ];
    if is_about_request.contains(&response.status) {
        return None;
    }
    let selecting = selecting(response.status, response.headers, request.headers)?;
    let stored = Stored {
        status: response.status,
        version: response.version,
        headers: storable(response, &directives),
        selecting,
        request_time: response.request_time,
        response_time: response.response_time,
        body_length: 0,
    };
    Some(stored)
}

/// Whether it is of any use for later requests: to GET that is so for what says how long, and for what has
/// one of the statuses that may be kept without saying it.
fn is_for_later(request: &Presented<'_>, response: &Received<'_>, directives: &ResponseDirectives) -> bool {
    let is_explicit = directives.max_age.is_some() || response.headers.contains_key(EXPIRES);
    // It is complete when the connection ends (RFC 9112, section 8), unless the server has crashed. That is
    // believed where the server has thought of caches.
    if !response.is_delimited && !is_explicit {
        return false;
    }
    if *request.method == Method::POST {
        // RFC 9110, section 9.3.3: what it says is the resource itself can answer a later GET.
        return is_explicit
            && response.status == StatusCode::OK
            && is_about_itself(request, response.headers);
    }
    *request.method == Method::GET
        && (is_explicit
            || directives.public
            || directives.private
            || is_heuristically_cacheable(response.status))
}

fn is_about_itself(request: &Presented<'_>, response: &HeaderMap) -> bool {
    let location = response.get(CONTENT_LOCATION).and_then(|location| location.to_str().ok());
    let Some(mut location) = location.and_then(|location| request.url.join(location).ok()) else {
        return false;
    };
    location.set_fragment(None);
    let mut url = request.url.clone();
    url.set_fragment(None);
    location == url
}

/// By what a response is selected again. One program may act for several users, and what was answered to one
/// of them is not for another, whatever `Vary` says or forgets.
pub(super) fn selecting(
    status: StatusCode,
    response: &HeaderMap,
    request: RequestFields<'_>,
) -> Option<Vec<Selecting>> {
    let mut selecting = vary::selecting(status, response, request)?;
    for name in &vary::OF_PARTIES {
        if request.contains_key(name) && selecting.iter().all(|field| field.name != name.as_str()) {
            let value = vary::value(name, request);
            selecting.push(Selecting { name: name.as_str().to_owned(), value });
            selecting.sort();
        }
    }
    Some(selecting)
}

/// The statuses of RFC 9110, whose rules about caches are kept here. 206 is one of them.
fn is_understood(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200..=206 | 300..=303 | 305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 500..=505
    )
}

/// The headers as they are stored.
fn storable(response: &Received<'_>, directives: &ResponseDirectives) -> HeaderMap {
    let mut headers = response.headers.clone();
    remove_unstorable(&mut headers, directives);
    // RFC 9110, section 6.6.1: whoever keeps what has no date gives it the one when it came.
    if !headers.contains_key(DATE) {
        let since = response.response_time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let date = to_imf_fixdate(since.as_secs()).and_then(|date| HeaderValue::try_from(date).ok());
        if let Some(date) = date {
            let _ = headers.try_insert(DATE, date);
        }
    }
    headers
}

/// Takes out what is not to be stored: what concerns the connection, and what is not to be used without
/// asking the server (`no-cache="…"`).
pub(super) fn remove_unstorable(headers: &mut HeaderMap, directives: &ResponseDirectives) {
    let mut named = Vec::new();
    for line in headers.get_all(CONNECTION) {
        let names = line.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
        let is_known =
            |name: &&[u8]| NOT_STORED.iter().any(|known| name.eq_ignore_ascii_case(known.as_ref()));
        named.extend(
            names.filter(|name| !is_known(name)).filter_map(|name| HeaderName::from_bytes(name).ok()),
        );
    }
    for name in named.iter().chain(&NOT_STORED).chain(&directives.no_cache_fields) {
        headers.remove(name);
    }
}

/// The URLs whose stored responses are not valid any more after an exchange: that of an unsafe request that
/// was done, and those it names in its response, as far as they are of the same origin.
pub(crate) fn invalidated(method: &Method, url: &Url, status: StatusCode, headers: &HeaderMap) -> Vec<Url> {
    let is_done = status.is_success() || status.is_redirection();
    if method.is_safe() || !is_done {
        return Vec::new();
    }
    let mut urls = vec![url.clone()];
    for name in [LOCATION, CONTENT_LOCATION] {
        let target = headers.get(name).and_then(|location| location.to_str().ok());
        if let Some(target) = target.and_then(|location| url.join(location).ok()) {
            if target.origin() == url.origin() && !urls.contains(&target) {
                urls.push(target);
            }
        }
    }
    urls
}
