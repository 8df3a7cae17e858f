//! The header fields of resumable uploads: reading those of responses, and making those of
//! requests.

use crate::error::Result;
use crate::header;
use crate::proto::redirect::{describes_body, remove_if, same_origin, target};
use crate::proto::structured::{self, Dictionary, MAX_INTEGER, Malformed};
use crate::proto::transport_security::policy::is_downgrade;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue,
    PROXY_AUTHORIZATION, RANGE,
};
use url::Url;

/// The interop version we speak; see the [module](super).
pub(crate) const INTEROP_VERSION: u64 = 8;

pub(crate) const UPLOAD_COMPLETE: HeaderName = HeaderName::from_static("upload-complete");
pub(crate) const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
pub(crate) const UPLOAD_LIMIT: HeaderName = HeaderName::from_static("upload-limit");
pub(crate) const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
pub(crate) const INTEROP: HeaderName = HeaderName::from_static("upload-draft-interop-version");

/// What a server allows (section 4.1.4 of the draft). Sizes in bytes; `None` where it set no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// The largest representation.
    pub(crate) max_size: Option<u64>,
    /// The smallest.
    pub(crate) min_size: Option<u64>,
    /// The most that one request may carry.
    pub(crate) max_append_size: Option<u64>,
    /// The least, unless it is the last one.
    pub(crate) min_append_size: Option<u64>,
    /// How long the upload resource lives on, in seconds from the response that said so.
    pub(crate) max_age: Option<u64>,
}

impl Limits {
    /// Those in a response, if it has any. Unknown keys are passed over, `expires` of the interop
    /// versions up to 6 among them; a known key with another value than a count spoils them all.
    pub(crate) fn of(headers: &HeaderMap) -> std::result::Result<Option<Limits>, Malformed> {
        let Some(members) = structured::dictionary(headers, &UPLOAD_LIMIT)? else { return Ok(None) };
        let limit = |key| limit(&members, key);
        Ok(Some(Limits {
            max_size: limit("max-size")?,
            min_size: limit("min-size")?,
            max_append_size: limit("max-append-size")?,
            min_append_size: limit("min-append-size")?,
            max_age: limit("max-age")?,
        }))
    }
}

fn limit(members: &Dictionary, key: &str) -> std::result::Result<Option<u64>, Malformed> {
    members.get(key).map(|value| value.clone().count()).transpose()
}

/// `Upload-Offset`.
pub(crate) fn offset(headers: &HeaderMap) -> std::result::Result<Option<u64>, Malformed> {
    structured::item(headers, &UPLOAD_OFFSET)?.map(|value| value.count()).transpose()
}

/// `Upload-Length`.
pub(crate) fn length(headers: &HeaderMap) -> std::result::Result<Option<u64>, Malformed> {
    structured::item(headers, &UPLOAD_LENGTH)?.map(|value| value.count()).transpose()
}

/// `Upload-Complete`.
pub(crate) fn complete(headers: &HeaderMap) -> std::result::Result<Option<bool>, Malformed> {
    structured::item(headers, &UPLOAD_COMPLETE)?.map(|value| value.boolean()).transpose()
}

/// Whether a response is of the interop version we speak.
pub(crate) fn speaks_our_version(headers: &HeaderMap) -> bool {
    let version = structured::item(headers, &INTEROP).ok().flatten();
    version.and_then(|version| version.count().ok()) == Some(INTEROP_VERSION)
}

/// Where `Location` of a response to a request for that URL leads, if an upload resource may be
/// there: http or https, never http after https, and with nobody's name and password in it.
pub(crate) fn resource(from: &Url, headers: &HeaderMap) -> Option<Url> {
    let mut url = target(from, headers).ok().flatten().filter(|url| !is_downgrade(from, url))?;
    // RFC 9110 section 4.2.4: user information in a reference from the network hides where it leads.
    if !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    url.set_fragment(None);
    Some(url)
}

/// Adds to a request what makes it the creation of a resumable upload (section 4.2). The length is
/// that of the body, in bytes, if it is known.
pub(crate) fn add_creation_fields(headers: &mut HeaderMap, length: Option<u64>) -> Result<()> {
    header::insert(headers, INTEROP, INTEROP_VERSION.into())?;
    header::insert(headers, UPLOAD_COMPLETE, boolean(true))?;
    headers.remove(UPLOAD_LENGTH);
    match length {
        Some(length) if length <= MAX_INTEGER => header::insert(headers, UPLOAD_LENGTH, length.into()),
        _ => Ok(()),
    }
}

/// Adds to a request to the upload resource what makes it an append (section 4.4).
pub(crate) fn add_append_fields(headers: &mut HeaderMap, offset: u64, complete: bool) -> Result<()> {
    header::insert(headers, INTEROP, INTEROP_VERSION.into())?;
    header::insert(headers, CONTENT_TYPE, HeaderValue::from_static("application/partial-upload"))?;
    header::insert(headers, UPLOAD_OFFSET, offset.into())?;
    header::insert(headers, UPLOAD_COMPLETE, boolean(complete))
}

/// Adds what offset retrieval (HEAD, section 4.3) and cancellation (DELETE, section 4.5) need.
pub(crate) fn add_query_fields(headers: &mut HeaderMap) -> Result<()> {
    header::insert(headers, INTEROP, INTEROP_VERSION.into())
}

/// What of a request's headers goes along to the upload resource: nothing that is about its body,
/// its method's conditions or its own upload, and to another origin no credentials.
pub(crate) fn headers_for_resource(asked: &HeaderMap, from: &Url, to: &Url) -> HeaderMap {
    let mut headers = asked.clone();
    remove_if(&mut headers, |name| {
        let text = name.as_str();
        describes_body(name)
            || text.starts_with("if-")
            || text.starts_with("upload-")
            || matches!(text, "repr-digest" | "want-repr-digest" | "want-content-digest")
            || [RANGE, CACHE_CONTROL].contains(name)
    });
    if !same_origin(from, to) {
        for name in [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, HOST] {
            headers.remove(name);
        }
    }
    headers
}

fn boolean(value: bool) -> HeaderValue {
    HeaderValue::from_static(if value { "?1" } else { "?0" })
}
