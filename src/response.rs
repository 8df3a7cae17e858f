//! A response: its head, and a body of whatever form the task gives it. Knows what the bytes mean
//! as text or JSON, and nothing of how they came.

mod charset;
mod content;

use crate::error::{Error, ErrorKind, Result};
use crate::head::ResponseHead;
use crate::header::{self, quoted};
use bytes::Bytes;
use charset::Charset;
pub use content::Content;
use http::header::CONTENT_LENGTH;
use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};
use url::Url;

/// A response: what [`ResponseHead`] says about it, and its body.
///
/// A status of 4xx or 5xx is a response like any other, as in URLSession;
/// [`error_for_status`](Response::error_for_status) makes an error of it. Cloning shares the head,
/// and a body of [`Bytes`].
///
/// ```
/// use urlsession::{ErrorKind, Response, Url, http};
///
/// let url = Url::parse("https://example.com/missing")?;
/// let answer = http::Response::builder().status(404).body("not here".into())?;
/// let response = Response::from_http(answer, url);
/// assert_eq!(response.status(), 404);
/// assert_eq!(response.text()?, "not here");
/// let error = response.error_for_status().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::HttpStatus);
/// assert_eq!(error.response().unwrap().status(), 404);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Response<B> {
    head: Arc<ResponseHead>,
    body: B,
}

impl<B> Response<B> {
    pub(crate) fn new(head: Arc<ResponseHead>, body: B) -> Self {
        Response { head, body }
    }

    /// A response that came from elsewhere, such as a test, as one that `url` gave.
    pub fn from_http(response: http::Response<B>, url: Url) -> Self {
        let (parts, body) = response.into_parts();
        let length = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let head = ResponseHead {
            status: parts.status,
            version: parts.version,
            headers: parts.headers.into(),
            url,
            decoded: false,
            content_length: length,
            trailers: OnceLock::new(),
        };
        Response::new(Arc::new(head), body)
    }

    /// Everything but the body. A response derefs to it too.
    pub fn head(&self) -> &Arc<ResponseHead> {
        &self.head
    }

    /// The body.
    pub fn body(&self) -> &B {
        &self.body
    }

    /// The body, for writing to it or reading from it.
    pub fn body_mut(&mut self) -> &mut B {
        &mut self.body
    }

    /// The body, without the rest.
    pub fn into_body(self) -> B {
        self.body
    }

    /// Head and body.
    pub fn into_parts(self) -> (Arc<ResponseHead>, B) {
        (self.head, self.body)
    }

    /// The same response with another body, made of this one.
    pub fn map<T>(self, map: impl FnOnce(B) -> T) -> Response<T> {
        Response { head: self.head, body: map(self.body) }
    }

    /// The response itself, unless its status is 4xx or 5xx.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::HttpStatus`] for those, with the head in
    /// [`Error::response`](crate::Error::response). The body is dropped: look at
    /// [`status`](ResponseHead::status) first where it matters.
    pub fn error_for_status(self) -> Result<Self> {
        let status = self.status();
        if !status.is_client_error() && !status.is_server_error() {
            return Ok(self);
        }
        let message = format!("the server answered {status}");
        Err(Error::new(ErrorKind::HttpStatus, message).with_url(self.url()).with_response(self.head))
    }
}

impl Response<Bytes> {
    /// The body, as it is.
    pub fn bytes(&self) -> &Bytes {
        &self.body
    }

    /// The body as text, by the `charset` of `Content-Type`.
    ///
    /// UTF-8 without one, and whatever it says where the body begins with a UTF-8 byte order mark,
    /// which is left out. `US-ASCII`, `ISO-8859-1` and `windows-1252` are read as the last of them,
    /// as browsers do.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::CannotDecodeRawData`] if the charset is another one, or the body is not valid
    /// in it: the message says which, or where. [`text_lossy`](Response::text_lossy) has no errors.
    pub fn text(&self) -> Result<Cow<'_, str>> {
        let (charset, bytes) = self.charset()?;
        match charset {
            Charset::Windows1252 => Ok(charset::windows_1252(bytes)),
            Charset::Utf8 => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|error| {
                // Counted in the body, not behind the mark.
                let offset = self.body.len() - bytes.len() + error.valid_up_to();
                self.not(format!("the body is not valid UTF-8 at byte {offset} of {}", self.body.len()))
            }),
        }
    }

    /// The body as text, like [`text`](Response::text), but with `U+FFFD` in place of what is not
    /// valid. A charset that is not known is read as UTF-8.
    pub fn text_lossy(&self) -> Cow<'_, str> {
        match self.charset() {
            Ok((Charset::Windows1252, bytes)) => charset::windows_1252(bytes),
            Ok((Charset::Utf8, bytes)) => String::from_utf8_lossy(bytes),
            Err(_) => String::from_utf8_lossy(&self.body),
        }
    }

    /// The body as JSON, whatever `Content-Type` says.
    ///
    /// ```
    /// # use urlsession::{Response, Url, http};
    /// # let url = Url::parse("https://example.com/")?;
    /// # let response = Response::from_http(http::Response::new("[1, 2]".into()), url);
    /// let numbers: Vec<u32> = response.json()?;
    /// assert_eq!(numbers, [1, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::CannotDecodeRawData`] with line and column, and with the media type that the
    /// server sent instead, if it did.
    #[cfg(feature = "json")]
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        let bytes = charset::without_mark(&self.body).unwrap_or(&self.body);
        serde_json::from_slice(bytes).map_err(|error| {
            let mime = self.mime_type().unwrap_or(Cow::Borrowed("no Content-Type"));
            self.not(format!("reading the body as JSON ({}, {} bytes)", mime, self.body.len()))
                .with_source(error)
        })
    }

    fn charset(&self) -> Result<(Charset, &[u8])> {
        if let Some(bytes) = charset::without_mark(&self.body) {
            return Ok((Charset::Utf8, bytes));
        }
        let charset = match self.text_encoding_name() {
            None => Charset::Utf8,
            Some(label) => Charset::of(&label).ok_or_else(|| {
                let label = quoted(&label);
                self.not(format!("cannot decode text in the charset {label}; take its bytes instead"))
            })?,
        };
        Ok((charset, &self.body))
    }

    fn not(&self, message: String) -> Error {
        let error = Error::new(ErrorKind::CannotDecodeRawData, message);
        error.with_url(self.url()).with_response(self.head.clone())
    }
}

impl<B> Deref for Response<B> {
    type Target = ResponseHead;

    fn deref(&self) -> &ResponseHead {
        &self.head
    }
}

impl<B: 'static> fmt::Debug for Response<B> {
    /// The head without what is secret in it, and of the body its length or its type.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body: &dyn Any = &self.body;
        let length = body.downcast_ref::<Bytes>().map(Bytes::len);
        let length = length.or_else(|| body.downcast_ref::<Vec<u8>>().map(Vec::len));
        let length = length.or_else(|| body.downcast_ref::<String>().map(String::len));
        let mut shown = f.debug_struct("Response");
        shown
            .field("status", &self.status)
            .field("version", &self.version)
            .field("url", &crate::error::redacted(&self.url).as_str())
            .field("headers", &header::Shown(&self.headers));
        match length {
            Some(length) => shown.field("body", &format_args!("{length} bytes")),
            None => shown.field("body", &format_args!("{}", std::any::type_name::<B>())),
        };
        shown.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, content_type: &str, body: &'static [u8]) -> Response<Bytes> {
        let answer = http::Response::builder().status(status).header("content-type", content_type);
        let url = Url::parse("https://me:secret@example.com/a?token=1").expect("a URL");
        Response::from_http(answer.body(Bytes::from_static(body)).expect("a response"), url)
    }

    fn text(content_type: &str, body: &'static [u8]) -> std::result::Result<String, String> {
        let response = response(200, content_type, body);
        response.text().map(Cow::into_owned).map_err(|error| {
            assert_eq!(error.kind(), ErrorKind::CannotDecodeRawData);
            error.to_string()
        })
    }

    #[test]
    fn text_follows_the_charset() {
        assert_eq!(text("text/plain", "ä€".as_bytes()).as_deref(), Ok("ä€"));
        assert_eq!(text("text/plain; charset=UTF-8", "ä".as_bytes()).as_deref(), Ok("ä"));
        assert_eq!(text("text/plain; charset=\"ISO-8859-1\"", b"\xe4\x80").as_deref(), Ok("ä€"));
        assert_eq!(text("text/plain; charset=us-ascii", b"abc").as_deref(), Ok("abc"));
    }

    #[test]
    fn a_mark_is_left_out_and_believed() {
        assert_eq!(text("text/plain", b"\xef\xbb\xbfa").as_deref(), Ok("a"));
        assert_eq!(text("text/plain; charset=latin1", b"\xef\xbb\xbf\xc3\xa4").as_deref(), Ok("ä"));
        assert_eq!(text("text/plain; charset=koi8-r", b"\xef\xbb\xbfa").as_deref(), Ok("a"));
    }

    #[test]
    fn what_is_no_text_is_named() {
        let error = text("text/plain", b"abc\xff").expect_err("not UTF-8");
        assert!(error.contains("at byte 3 of 4"), "{error}");
        let error = text("text/plain", b"\xef\xbb\xbfabc\xff").expect_err("not UTF-8");
        assert!(error.contains("at byte 6 of 7"), "{error}");
        let error = text("text/plain; charset=Shift_JIS", b"abc").expect_err("unknown");
        assert!(error.contains("`shift_jis`"), "{error}");
        assert_eq!(response(200, "text/plain; charset=shift_jis", b"a\xff").text_lossy(), "a\u{fffd}");
        assert_eq!(response(200, "text/plain; charset=latin1", b"a\xff").text_lossy(), "aÿ");
    }

    #[test]
    fn error_statuses_are_errors_on_demand() {
        assert!(response(302, "text/plain", b"").error_for_status().is_ok());
        let error = response(503, "text/plain", b"").error_for_status().expect_err("an error");
        assert_eq!(error.kind(), ErrorKind::HttpStatus);
        assert_eq!(
            error.to_string(),
            "the server answered 503 Service Unavailable (HttpStatus) [https://example.com/a]"
        );
        assert_eq!(error.response().map(ResponseHead::status), Some(http::StatusCode::SERVICE_UNAVAILABLE));
    }

    #[test]
    fn debug_shows_the_length_of_the_body_only() {
        let response = response(200, "text/plain", b"private");
        let text = format!("{response:?}");
        assert!(text.contains("7 bytes") && !text.contains("private") && !text.contains("secret"), "{text}");
        assert!(format!("{:?}", response.map(|_| 5u8)).contains("u8"));
    }

    #[cfg(feature = "json")]
    #[test]
    fn json_errors_say_where_and_what_came_instead() {
        let error = response(200, "text/html", b"{\n <html>").json::<Vec<u32>>().expect_err("not JSON");
        assert_eq!(error.kind(), ErrorKind::CannotDecodeRawData);
        let text = error.to_string();
        assert!(text.contains("text/html") && text.contains("line 1 column"), "{text}");
        assert_eq!(response(200, "text/plain", b"\xef\xbb\xbf[1]").json::<Vec<u32>>().ok(), Some(vec![1]));
    }
}
