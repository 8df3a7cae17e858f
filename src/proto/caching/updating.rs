//! What a response says about one that is stored: 304 (RFC 9111, section 4.3.4) and the answer to HEAD
//! (section 4.3.5), and how the stored headers change by it (section 3.2).

use super::decision::{Conditions, Presented};
use super::directives::{RequestDirectives, ResponseDirectives};
use super::stored::Stored;
use super::storing::{Received, remove_unstorable, selecting};
use http::StatusCode;
use http::header::{
    AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, HeaderMap, HeaderName, HeaderValue,
    LAST_MODIFIED, VARY,
};

/// What is known of the stored body, which a response without one does not change.
static OF_BODY: [HeaderName; 5] =
    [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName::from_static("content-md5")];

/// What a 304 says.
#[derive(Debug, PartialEq)]
pub(crate) enum By304 {
    /// The stored response is valid. It becomes this.
    Valid {
        stored: Box<Stored>,
        /// It may stay in the store.
        keep: bool,
    },
    /// It is about something else: the request has to be made again without conditions.
    Other,
}

/// What a stored response becomes by a 304 that was asked for with these conditions.
pub(crate) fn by_304(
    stored: &Stored,
    request: &Presented<'_>,
    asked: Conditions,
    response: &Received<'_>,
) -> By304 {
    let same_tag = same(&ETAG, stored, response.headers, |one, other| opaque(one) == opaque(other));
    let same_date = same(&LAST_MODIFIED, stored, response.headers, |one, other| one == other);
    let is_about_it = match asked {
        // One tag was named, and it is only by this tag that nothing can have changed (RFC 9110, section
        // 13.1.2). What else the response may call it is a mistake.
        Conditions::Tag => true,
        // A server that goes by the date only tells by a new tag that it should not have.
        Conditions::TagAndDate => same_tag != Some(false),
        Conditions::Date => same_date != Some(false),
    };
    if !is_about_it {
        return By304::Other;
    }
    let mut stored = updated(stored, response);
    let mut keep =
        !ResponseDirectives::of(&stored.headers).no_store && !RequestDirectives::of(request.headers).no_store;
    // It may be others by which it is selected now.
    if response.headers.contains_key(VARY) {
        match selecting(stored.status, &stored.headers, request.headers) {
            Some(selecting) => stored.selecting = selecting,
            None => keep = false,
        }
    }
    By304::Valid { stored: Box::new(stored), keep }
}

/// What a stored response to GET becomes by the response to HEAD.
#[derive(Debug, PartialEq)]
pub(crate) enum ByHead {
    /// It is about another version: what is stored is not valid any more.
    Outdated,
    /// It is about the same.
    Updated(Box<Stored>),
    /// It says nothing about it.
    Nothing,
}

/// See [`ByHead`].
pub(crate) fn by_head(stored: &Stored, response: &Received<'_>) -> ByHead {
    if response.status != StatusCode::OK || stored.status != StatusCode::OK {
        return ByHead::Nothing;
    }
    let directives = ResponseDirectives::of(response.headers);
    let same_tag = same(&ETAG, stored, response.headers, |one, other| one == other);
    let same_date = same(&LAST_MODIFIED, stored, response.headers, |one, other| one == other);
    let length = response.headers.get(CONTENT_LENGTH).map(HeaderValue::as_bytes);
    let same_length = length.map(|length| length == stored.body_length.to_string().as_bytes());
    let same_coding = stored.headers.get(CONTENT_ENCODING) == response.headers.get(CONTENT_ENCODING);
    let outdated = [same_tag, same_date, same_length.filter(|_| same_coding)].contains(&Some(false));
    let same_vary = same(&VARY, stored, response.headers, |one, other| one == other);
    let varies = same_vary == Some(false)
        || (response.headers.contains_key(VARY) && !stored.headers.contains_key(VARY));
    if outdated || varies || directives.no_store {
        return ByHead::Outdated;
    }
    ByHead::Updated(Box::new(updated(stored, response)))
}

/// Whether a field is the same in both, if both have it.
fn same(
    name: &HeaderName,
    stored: &Stored,
    response: &HeaderMap,
    is_same: impl Fn(&[u8], &[u8]) -> bool,
) -> Option<bool> {
    let (stored, response) = (stored.headers.get(name)?, response.get(name)?);
    Some(is_same(stored.as_bytes(), response.as_bytes()))
}

/// A tag without what says that it is weak (RFC 9110, section 8.8.3.2).
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

fn updated(stored: &Stored, response: &Received<'_>) -> Stored {
    let mut headers = stored.headers.clone();
    let directives = ResponseDirectives::of(response.headers);
    let mut new = response.headers.clone();
    remove_unstorable(&mut new, &directives);
    OF_BODY.iter().for_each(|name| drop(new.remove(name)));
    // They are about the response that is replaced, whose age is over.
    headers.remove(AGE);
    headers.remove(DATE);
    // More fields than a map takes are not stored: then it stays as it was.
    if crate::header::merge(&mut headers, new).is_err() {
        headers.clone_from(&stored.headers);
    }
    Stored {
        headers,
        request_time: response.request_time,
        response_time: response.response_time,
        ..stored.clone()
    }
}
