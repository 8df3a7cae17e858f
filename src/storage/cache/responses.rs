//! Whole responses, as a program sees them, and what is stored of them.

use super::{Cache, CacheBody, Entry, url_key};
use crate::head::ResponseHead;
use crate::proto::caching::stored::Stored;
use crate::proto::caching::{RequestFields, selecting, value};
use crate::proto::coding::Decoder;
use crate::request::Request;
use crate::response::Response;
use crate::storage::CachedResponse;
use crate::sync::Arc;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, RANGE};
use http::{Method, StatusCode};
use std::sync::OnceLock;
use std::time::SystemTime;
use url::Url;

/// The longest body that is given out: it is all in memory.
const MOST: u64 = 512 * 1024 * 1024;

/// The response for a request.
pub(super) fn find(cache: &Cache, request: &Request) -> Option<CachedResponse> {
    let url = request.get_url()?;
    let method = request.get_method();
    if *method != Method::GET && *method != Method::HEAD {
        return None;
    }
    let entries = cache.variants(&url_key(url));
    let mut fitting = entries.iter().filter(|entry| is_for(entry.stored(), request.get_headers()));
    fitting.find_map(|entry| response(entry, url))
}

/// Stores a response for a request.
pub(super) fn store(cache: &Cache, response: &CachedResponse, request: &Request) -> bool {
    let Some(url) = request.get_url().filter(|_| *request.get_method() == Method::GET) else { return false };
    let (data, now) = (response.data(), SystemTime::now());
    let Some(mut stored) = stored_of(response, request.get_headers(), (now, now)) else { return false };
    // What the request does not say, the session may add when it makes it.
    stored.selecting.retain(|field| field.value.is_some());
    let Some(mut writer) = cache.writer(&url_key(url), stored, response.storage_policy()) else {
        return false;
    };
    writer.announce(data.len() as u64) && writer.write(data) && writer.commit()
}

/// What is stored of a response to a request with these headers, which was sent and answered then. `None`
/// if nothing selects it again.
pub(super) fn stored_of<'a>(
    response: &CachedResponse,
    asked: impl Into<RequestFields<'a>>,
    (request_time, response_time): (SystemTime, SystemTime),
) -> Option<Stored> {
    let (head, data) = (response.head(), response.data());
    let mut headers = head.headers().clone();
    if head.decoded {
        // The data are not what the server has encoded.
        headers.remove(CONTENT_ENCODING);
    }
    if headers.contains_key(CONTENT_LENGTH) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(data.len()));
    }
    let selecting = selecting(head.status(), &headers, asked)?;
    let body_length = data.len() as u64;
    let (status, version) = (head.status(), head.version());
    Some(Stored { status, version, headers, selecting, request_time, response_time, body_length })
}

/// Whether a stored response is for a request with these headers. Those that the request does not have are
/// not compared: the session may have added them. A part is only for who asks for it.
fn is_for(stored: &Stored, headers: &HeaderMap) -> bool {
    let is_part = stored.status == StatusCode::PARTIAL_CONTENT;
    stored.selecting.iter().all(|field| {
        let Ok(name) = HeaderName::from_bytes(field.name.as_bytes()) else { return false };
        match value(&name, headers) {
            None => !is_part || name != RANGE,
            asked => asked == field.value,
        }
    })
}

/// A stored response as a whole, with its body decoded.
fn response(entry: &Entry, url: &Url) -> Option<CachedResponse> {
    let stored = entry.stored();
    let body = collect(entry.body()?)?;
    let codings = stored.headers.get_all(CONTENT_ENCODING);
    let decoder = Decoder::for_encoding(codings.iter().map(HeaderValue::as_bytes)).ok()?;
    let decoded = decoder.is_some();
    let body = match decoder {
        Some(decoder) => decode(decoder, &body)?,
        None => body,
    };
    let head = ResponseHead {
        status: stored.status,
        version: stored.version,
        headers: stored.headers.clone().into(),
        url: url.clone(),
        decoded,
        content_length: Some(stored.body_length),
        trailers: OnceLock::new(),
    };
    Some(CachedResponse::new(Response::new(Arc::new(head), body)))
}

fn collect(mut body: CacheBody) -> Option<Bytes> {
    if body.left() > MOST {
        return None;
    }
    if let CacheBody::Memory(bytes) = body {
        return Some(bytes);
    }
    let mut all = Vec::with_capacity(usize::try_from(body.left()).ok()?);
    loop {
        match body.next() {
            Ok(Some(piece)) => all.extend_from_slice(&piece),
            Ok(None) => return Some(all.into()),
            Err(error) => {
                log::warn!("{error}");
                return None;
            }
        }
    }
}

fn decode(mut decoder: Decoder, mut body: &[u8]) -> Option<Bytes> {
    const ROOM: usize = 64 * 1024;
    let mut decoded = Vec::new();
    loop {
        decoded.reserve(ROOM);
        let progress = decoder.decode_to_vec(body, &mut decoded).ok()?;
        if decoded.len() as u64 > MOST {
            return None;
        }
        body = body.get(progress.consumed..)?;
        if body.is_empty() && !progress.pending {
            decoder.finish().ok()?;
            return Some(decoded.into());
        }
    }
}
