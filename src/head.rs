//! The head of a response, without its body: what [`Response`](crate::Response) and
//! [`Error`](crate::Error) share. Knows what its headers mean, and nothing of how they came.

mod fields;
mod filename;
mod parameters;

pub(crate) use fields::Fields;
pub(crate) use filename::percent_decoded;

use crate::error::redacted;
use crate::header;
use http::header::{CONTENT_TYPE, HeaderMap};
use http::{StatusCode, Version};
use parameters::Parameters;
use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;
use url::Url;

/// Status, headers and final URL of a response: `HTTPURLResponse`. A
/// [`Response`](crate::Response) derefs to it.
///
/// ```
/// use urlsession::{Response, Url, http};
///
/// let url = Url::parse("https://example.com/report.pdf")?;
/// let answer = http::Response::builder()
///     .header("content-type", "Application/PDF")
///     .header("content-disposition", "attachment; filename*=UTF-8''%e2%82%ac.pdf")
///     .body("…")?;
/// let response = Response::from_http(answer, url);
/// assert_eq!(response.status(), 200);
/// assert_eq!(response.header("Content-Type"), Some("Application/PDF"));
/// assert_eq!(response.mime_type().as_deref(), Some("application/pdf"));
/// assert_eq!(response.suggested_filename(), "€.pdf");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ResponseHead {
    pub(crate) status: StatusCode,
    pub(crate) version: Version,
    pub(crate) headers: Fields,
    pub(crate) url: Url,
    /// Whether the body is delivered decoded, so that Content-Length is not its length.
    pub(crate) decoded: bool,
    /// Length of the body as the framing gives it, before content decoding.
    pub(crate) content_length: Option<u64>,
    pub(crate) trailers: OnceLock<HeaderMap>,
}

impl ResponseHead {
    /// The status code. `statusCode`.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The version of HTTP the response came in.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The headers, as they were sent. `allHeaderFields`, but with every value of a header that
    /// was sent several times.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The first value of a header, whatever the case of its name. `value(forHTTPHeaderField:)`.
    ///
    /// `None` if there is no such header, and also if its value is not valid UTF-8, such as one in
    /// ISO-8859-1: its bytes are in [`headers`](ResponseHead::headers).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| std::str::from_utf8(value.as_bytes()).ok())
    }

    /// The URL that gave the response: the last one, where redirects were followed. `url`.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The media type from `Content-Type`, in lower case and without parameters. `mimeType`.
    pub fn mime_type(&self) -> Option<Cow<'_, str>> {
        let value = self.header("content-type")?;
        let mime = value.split(';').next().unwrap_or_default().trim();
        (!mime.is_empty()).then(|| lower_cased(Cow::Borrowed(mime)))
    }

    /// The `charset` parameter of `Content-Type`, in lower case. `textEncodingName`.
    pub fn text_encoding_name(&self) -> Option<Cow<'_, str>> {
        let value = std::str::from_utf8(self.headers.get(CONTENT_TYPE)?.as_bytes()).ok()?;
        let charset = Parameters::of(value).named("charset")?;
        let charset = match charset {
            Cow::Borrowed(charset) => Cow::Borrowed(charset.trim()),
            Cow::Owned(charset) => Cow::Owned(charset.trim().to_owned()),
        };
        (!charset.is_empty()).then(|| lower_cased(charset))
    }

    /// The length of the body in bytes, where it is known before the body has come.
    /// `expectedContentLength`.
    ///
    /// `None` for a body of unknown length, and for one that is delivered decoded, because
    /// `Content-Length` counts the encoded bytes.
    pub fn expected_content_length(&self) -> Option<u64> {
        self.content_length.filter(|_| !self.decoded)
    }

    /// A name for a file of the body. `suggestedFilename`.
    ///
    /// From `Content-Disposition` (`filename*` of RFC 8187 before `filename`), else the last part
    /// of the URL's path, else `Unknown`. Whatever the server sent, it is one component of a path,
    /// at most 255 bytes long, and does not begin with a dot: separators, control characters
    /// and leading dots are replaced with `_`.
    pub fn suggested_filename(&self) -> String {
        filename::suggested(&self.headers, &self.url)
    }

    /// The headers that came after the body (RFC 9110 section 6.5). `None` until the body is
    /// complete, or if there were none. They are not to be trusted for what headers are for.
    pub fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.get()
    }
}

impl fmt::Debug for ResponseHead {
    /// Without what is secret: cookies, and user name, password and query of the URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseHead")
            .field("status", &self.status)
            .field("version", &self.version)
            .field("url", &redacted(&self.url).as_str())
            .field("headers", &header::Shown(&self.headers))
            .field("expected_content_length", &self.expected_content_length())
            .finish()
    }
}

fn lower_cased(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn head(fields: &[(&'static str, &[u8])]) -> ResponseHead {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_bytes(value).expect("a value"));
        }
        ResponseHead {
            status: StatusCode::OK,
            version: Version::HTTP_11,
            headers: headers.into(),
            url: Url::parse("https://me:secret@example.com/a?token=1").expect("a URL"),
            decoded: false,
            content_length: Some(7),
            trailers: OnceLock::new(),
        }
    }

    fn types(content_type: &str) -> (Option<String>, Option<String>) {
        let head = head(&[("content-type", content_type.as_bytes())]);
        (head.mime_type().map(Cow::into_owned), head.text_encoding_name().map(Cow::into_owned))
    }

    #[test]
    fn content_type_is_taken_apart() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(types("text/html"), (some("text/html"), None));
        assert_eq!(types("Text/HTML ; Charset=UTF-8"), (some("text/html"), some("utf-8")));
        assert_eq!(types("text/html;charset=\"Latin1\""), (some("text/html"), some("latin1")));
        assert_eq!(types("text/html; charset=\" utf-8 \""), (some("text/html"), some("utf-8")));
        assert_eq!(types("text/html; charset="), (some("text/html"), None));
        assert_eq!(types("text/html; charset"), (some("text/html"), None));
        assert_eq!(types("; charset=x"), (None, some("x")));
        assert_eq!(types(""), (None, None));
        assert_eq!(head(&[]).mime_type(), None);
        assert_eq!(head(&[("content-type", b"text/\xff")]).mime_type(), None);
    }

    #[test]
    fn headers_by_name() {
        let head = head(&[("X-Thing", b"one"), ("x-thing", b"two"), ("x-old", b"\xe4")]);
        assert_eq!(head.header("x-THING"), Some("one"));
        assert_eq!(head.header("x-old"), None);
        assert_eq!(head.header("not a name"), None);
        assert_eq!(head.headers().get_all("x-thing").iter().count(), 2);
    }

    #[test]
    fn a_decoded_body_has_no_known_length() {
        let mut head = head(&[]);
        assert_eq!(head.expected_content_length(), Some(7));
        head.decoded = true;
        assert_eq!(head.expected_content_length(), None);
    }

    #[test]
    fn debug_keeps_secrets() {
        let text = format!("{:?}", head(&[("set-cookie", b"id=hidden"), ("server", b"nginx")]));
        assert!(text.contains("nginx") && text.contains("set-cookie"), "{text}");
        assert!(!text.contains("secret") && !text.contains("hidden") && !text.contains("token"), "{text}");
    }
}
