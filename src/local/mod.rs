//! What is loaded without a network: the contents of `data:` URLs and of files. Knows where the bytes
//! are and what a head says of them, and nothing of tasks.

mod data;
mod file;
mod mime;

pub(crate) use file::FileBody;
pub(crate) use mime::for_extension as mime_for_extension;

use crate::error::{Error, ErrorKind, Result};
use bytes::Bytes;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use url::Url;

/// What is behind a URL.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// How long the body is, where that is known.
    pub(crate) length: Option<u64>,
    pub(crate) body: Contents,
    /// `data` or `file`.
    pub(crate) scheme: &'static str,
}

/// The bytes.
#[derive(Debug)]
pub(crate) enum Contents {
    Memory(Bytes),
    File(FileBody),
}

/// Whether a scheme is loaded here. What comes from the web never leads to such a URL.
pub(crate) fn is_local(url: &Url) -> bool {
    matches!(url.scheme(), "data" | "file")
}

/// Finds what is behind a `data:` or `file:` URL. May block as long as the file system does.
pub(crate) fn find(method: &Method, url: &Url, headers: &HeaderMap) -> Result<Found> {
    if *method != Method::GET && *method != Method::HEAD {
        let message = format!("{}: URLs can be read and nothing else; GET and HEAD do", url.scheme());
        return Err(Error::new(ErrorKind::UnsupportedUrl, format!("{message}, {method} does not")));
    }
    let mut found = match url.scheme() {
        "data" => data::find(url)?,
        _ => file::find(url, headers)?,
    };
    if let Some(length) = found.length {
        found.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        if found.scheme == "file" {
            found.headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        }
    }
    if *method == Method::HEAD {
        found.body = Contents::Memory(Bytes::new());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_come_without_a_body() {
        let url = Url::parse("data:,hello").expect("a URL");
        let found = find(&Method::HEAD, &url, &HeaderMap::new()).expect("a head");
        assert_eq!(found.headers["content-length"], "5");
        assert!(matches!(found.body, Contents::Memory(bytes) if bytes.is_empty()));
    }

    #[test]
    fn nothing_is_written() {
        for (method, url) in [(Method::PUT, "file:///tmp/x"), (Method::POST, "data:,x")] {
            let url = Url::parse(url).expect("a URL");
            let error = find(&method, &url, &HeaderMap::new()).expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::UnsupportedUrl);
            assert!(error.to_string().contains(method.as_str()), "{error}");
        }
    }
}
