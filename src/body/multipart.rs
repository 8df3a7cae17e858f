//! `multipart/form-data` (RFC 7578): a form with files, as a body. Names are escaped as HTML does it,
//! which is what servers expect.

use super::Body;
use crate::error::{Error, ErrorKind, Result};
use bytes::Bytes;
use http::HeaderValue;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

/// A form of this size that is in memory goes out in one piece.
const SMALL: usize = 64 * 1024;

/// A form with files: `multipart/form-data` (RFC 7578). [`Request::multipart`](crate::Request::multipart)
/// sends it.
///
/// Files are read while they are sent. The length is known if that of each part is, and the form can be
/// sent again if each part can; see [`Body`].
///
/// ```
/// use urlsession::{Body, Multipart, Part, Request};
///
/// let form = Multipart::new()
///     .text("title", "Holidays")
///     .bytes("notes", "notes.txt", "Rain, mostly.")
///     .file("picture", "beach.jpg")
///     .part(Part::new("log", Body::reader(std::io::stdin())).file_name("log.txt").content_type("text/plain"));
/// let request = Request::post("https://example.com/trips").multipart(form);
/// ```
#[derive(Clone)]
#[must_use]
pub struct Multipart {
    boundary: String,
    parts: Vec<Part>,
}

/// One field of a [`Multipart`] form.
#[derive(Clone)]
#[must_use]
pub struct Part {
    name: String,
    file_name: Option<String>,
    content_type: Option<Result<HeaderValue>>,
    body: Body,
}

impl Multipart {
    /// A form without fields.
    pub fn new() -> Self {
        // 128 bits that nobody can foresee do not occur in what is sent.
        let random = || RandomState::new().hash_one(0);
        Multipart { boundary: format!("urlsession-{:016x}{:016x}", random(), random()), parts: Vec::new() }
    }

    /// Adds a field with text.
    pub fn text(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.part(Part::new(name, value.into()))
    }

    /// Adds a file that is in memory. Its type goes by the extension of its name.
    pub fn bytes(
        self,
        name: impl Into<String>,
        file_name: impl Into<String>,
        bytes: impl Into<Bytes>,
    ) -> Self {
        self.part(Part::new(name, Body::bytes(bytes)).file_name(file_name))
    }

    /// Adds a file, with the last part of its path for a name.
    pub fn file(self, name: impl Into<String>, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let file_name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        self.part(Part::new(name, Body::file(path)).file_name(file_name))
    }

    /// Adds a field of any kind.
    pub fn part(mut self, part: Part) -> Self {
        self.parts.push(part);
        self
    }

    /// What stands between the parts: long and random.
    pub fn boundary(&self) -> &str {
        &self.boundary
    }

    /// The value for `Content-Type`, or what is wrong with a part.
    pub(crate) fn content_type(&self) -> Result<HeaderValue> {
        if let Some(error) = self.error() {
            return Err(error);
        }
        let value = format!("multipart/form-data; boundary={}", self.boundary);
        HeaderValue::from_str(&value).map_err(|error| {
            Error::new(ErrorKind::BadUrl, "the boundary of a form is no header value").with_source(error)
        })
    }

    fn error(&self) -> Option<Error> {
        self.parts.iter().find_map(|part| part.content_type.as_ref()?.as_ref().err().cloned())
    }
}

impl Default for Multipart {
    fn default() -> Self {
        Multipart::new()
    }
}

impl Part {
    /// A field of that name.
    pub fn new(name: impl Into<String>, body: impl Into<Body>) -> Self {
        Part { name: name.into(), file_name: None, content_type: None, body: body.into() }
    }

    /// Says that it is a file, and its name. Its type goes by the extension, unless it is set.
    pub fn file_name(mut self, name: impl Into<String>) -> Self {
        self.file_name = Some(name.into());
        self
    }

    /// Sets its media type, such as `image/png`. What is malformed is the error of the task.
    pub fn content_type(mut self, value: impl AsRef<str>) -> Self {
        let value = value.as_ref();
        self.content_type = Some(HeaderValue::from_str(value).map_err(|_| {
            let message = format!("the type of the form's field `{}` is malformed", self.name.escape_debug());
            Error::new(ErrorKind::BadUrl, message)
        }));
        self
    }

    /// What comes before its body.
    fn head(&self, boundary: &str) -> Vec<u8> {
        let mut head =
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"", escaped(&self.name));
        if let Some(name) = &self.file_name {
            head.push_str(&format!("; filename=\"{}\"", escaped(name)));
        }
        let mut head = head.into_bytes();
        let by_name = || {
            let name = self.file_name.as_ref()?;
            let known = name.rsplit_once('.').and_then(|(_, extension)| type_of(extension));
            Some(known.unwrap_or("application/octet-stream").as_bytes())
        };
        let given = self.content_type.as_ref().and_then(|value| value.as_ref().ok());
        if let Some(value) = given.map(HeaderValue::as_bytes).or_else(by_name) {
            head.extend_from_slice(b"\r\nContent-Type: ");
            head.extend_from_slice(value);
        }
        head.extend_from_slice(b"\r\n\r\n");
        head
    }
}

impl From<Multipart> for Body {
    /// The body alone: `Content-Type` has to name the boundary, as
    /// [`Request::multipart`](crate::Request::multipart) sees to.
    fn from(form: Multipart) -> Body {
        if let Some(error) = form.error() {
            return Body::from_fn(move || Err::<std::io::Empty, _>(error.clone().into()));
        }
        let mut pieces = Vec::with_capacity(form.parts.len() * 2 + 1);
        let mut between = Vec::new();
        for part in form.parts {
            between.extend(part.head(&form.boundary));
            pieces.push(Body::bytes(std::mem::take(&mut between)));
            pieces.push(part.body);
            between.extend_from_slice(b"\r\n");
        }
        between.extend(format!("--{}--\r\n", form.boundary).into_bytes());
        pieces.push(Body::bytes(between));
        let in_memory: Option<Vec<&[u8]>> = pieces.iter().map(Body::as_bytes).collect();
        match in_memory {
            Some(slices) if slices.iter().map(|slice| slice.len()).sum::<usize>() <= SMALL => {
                Body::bytes(slices.concat())
            }
            _ => Body::parts(pieces),
        }
    }
}

impl fmt::Debug for Multipart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.parts).finish()
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {:?}", self.name, self.body)
    }
}

/// A name in quotes, as HTML's "multipart/form-data encoding algorithm" has it.
fn escaped(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

fn type_of(extension: &str) -> Option<&'static str> {
    crate::local::mime_for_extension(extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(form: Multipart) -> String {
        let boundary = form.boundary().to_owned();
        let body = Body::from(form);
        let text = String::from_utf8(body.as_bytes().expect("small").to_vec()).expect("text");
        text.replace(&boundary, "BOUNDARY")
    }

    #[test]
    fn a_form_is_laid_out_as_rfc_7578_says() {
        let form = Multipart::new()
            .text("a", "1\r\n2")
            .bytes("b", "x.txt", "file")
            .part(Part::new("c", "{}").content_type("application/json"));
        assert_eq!(
            text_of(form),
            "--BOUNDARY\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n2\r\n\
             --BOUNDARY\r\nContent-Disposition: form-data; name=\"b\"; filename=\"x.txt\"\r\n\
             Content-Type: text/plain\r\n\r\nfile\r\n\
             --BOUNDARY\r\nContent-Disposition: form-data; name=\"c\"\r\n\
             Content-Type: application/json\r\n\r\n{}\r\n--BOUNDARY--\r\n"
        );
        assert_eq!(text_of(Multipart::new()), "--BOUNDARY--\r\n");
    }

    #[test]
    fn names_cannot_add_headers() {
        let form = Multipart::new().bytes("a\"\r\nX: y", "b\"\n.weird", "");
        assert!(text_of(form).contains(
            "name=\"a%22%0D%0AX: y\"; filename=\"b%22%0A.weird\"\r\nContent-Type: application/octet-stream\r\n\r\n"
        ));
        let form = Multipart::new().part(Part::new("a", "b").content_type("text/plain\r\nX: y"));
        assert!(form.content_type().is_err());
        assert!(Body::from(form).as_bytes().is_none());
    }

    #[test]
    fn boundaries_differ() {
        let (one, two) = (Multipart::new(), Multipart::new());
        assert_ne!(one.boundary(), two.boundary());
        assert!(one.boundary().len() <= 70, "RFC 2046, section 5.1.1");
    }

    #[test]
    fn the_length_is_that_of_the_parts() {
        let stream = || Body::reader(std::io::empty());
        let empty = Body::from(Multipart::new().part(Part::new("a", stream().with_length(0))));
        let some = Body::from(Multipart::new().part(Part::new("a", stream().with_length(10))));
        assert_eq!(some.len(), empty.len().map(|length| length + 10));
        assert_eq!(Body::from(Multipart::new().part(Part::new("a", stream()))).len(), None);
        assert!(!some.is_repeatable());
    }
}
