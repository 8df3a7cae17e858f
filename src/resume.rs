//! What a transfer that broke off needs to go on: [`ResumeData`]. Knows no files and no connections;
//! what may stand in it is in `facts`, how it is written in `format`.

pub(crate) mod facts;
pub(crate) mod format;

use crate::error::{Error, ErrorKind, Result, redacted};
use crate::proto::validator::Validator;
use crate::request::Request;
use facts::{DownloadFacts, Facts, UploadFacts};
use http::Method;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use url::Url;

/// What a download or a resumable upload needs to go on where it broke off: the resume data of
/// URLSession.
///
/// Within the program the value is all there is to keep. [`to_bytes`](ResumeData::to_bytes) is for a
/// file, a database or another program; later releases of this library read what earlier ones wrote.
///
/// ```
/// use urlsession::{ErrorKind, ResumeData};
///
/// # let stored = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/resume/download.v1"));
/// // `stored` is from a file that a run before this one has written.
/// let resume_data = ResumeData::from_bytes(stored)?;
/// assert_eq!(resume_data.url().as_str(), "https://example.com/big.iso?mirror=2");
/// assert_eq!(resume_data.bytes_received(), 7_340_032);
/// assert_eq!(resume_data.expected_length(), Some(52_428_800));
///
/// // Half of it is not taken for the whole.
/// let error = ResumeData::from_bytes(&stored[..stored.len() / 2]).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::CannotParseResumeData);
/// # Ok::<(), urlsession::Error>(())
/// ```
///
/// # What is in it
///
/// The URL as it was asked for, the headers that the request set, what tells the version of the
/// resource (a strong `ETag`, or `Last-Modified`), and for a download the name of the partial file and
/// which bytes of it are there; for an upload the URL that the server gave to it.
///
/// The bytes hold **no credentials**: user name and password of the URL, `Authorization`,
/// `Proxy-Authorization`, cookies and every header whose value is marked
/// [sensitive](http::HeaderValue::set_sensitive) stay behind, and so do headers that are about one
/// connection or one message, such as `Host` and `Content-Length`. Set them anew, by
/// [`map_request`](ResumeData::map_request), if a transfer read from bytes needs them. The URL's query
/// and all other headers are kept: where those are secret, so are the bytes. The partial file's
/// directory, timeouts and the body of an upload are not in the bytes either.
///
/// # Where it comes from
///
/// Bytes that were cut or changed by accident are found out. They have no protection against
/// forgery, and need none: whatever is read is checked as what a server sends is. A file's
/// name is one of an unfinished download, without a directory, and what can be asked of the network is
/// what any request could ask. Still, whoever can forge them decides which URL is fetched.
#[derive(Clone)]
pub struct ResumeData {
    facts: Facts,
    /// Where the partial file is, if the data never left this program.
    pub(crate) directory: Option<PathBuf>,
    /// The request with all that is not stored, if the data never left this program.
    pub(crate) request: Option<Request>,
}

impl ResumeData {
    /// No more bytes are stored, nor read.
    pub(crate) const MOST_BYTES: usize = format::MOST_BYTES;

    /// The bytes to store. They are at most a mebibyte, and commonly some hundred bytes long.
    pub fn to_bytes(&self) -> Vec<u8> {
        format::encode(&self.facts)
    }

    /// What [`to_bytes`](ResumeData::to_bytes) made the bytes of, except for what stays behind.
    ///
    /// # Errors
    ///
    /// [`CannotParseResumeData`](crate::ErrorKind::CannotParseResumeData) if the bytes are cut,
    /// damaged or forged, or come from a later release.
    pub fn from_bytes(bytes: &[u8]) -> Result<ResumeData> {
        Ok(ResumeData { facts: format::decode(bytes)?, directory: None, request: None })
    }

    /// The URL that was asked for, without user name, password and fragment.
    pub fn url(&self) -> &Url {
        match &self.facts {
            Facts::Download(facts) => &facts.url,
            Facts::Upload(facts) => &facts.url,
        }
    }

    /// How many bytes of a download are there. 0 for an upload, where the server is asked for it.
    pub fn bytes_received(&self) -> u64 {
        match &self.facts {
            Facts::Download(facts) => facts.bytes_received(),
            Facts::Upload(_) => 0,
        }
    }

    /// How many bytes it will be, if that is known.
    pub fn expected_length(&self) -> Option<u64> {
        match &self.facts {
            Facts::Download(facts) => facts.total,
            Facts::Upload(facts) => facts.total,
        }
    }

    /// Whether it is of an upload, and not of a download.
    pub fn is_upload(&self) -> bool {
        matches!(self.facts, Facts::Upload(_))
    }

    /// Changes the request that goes on: for credentials and whatever else is not in the bytes, such as
    /// time limits. Its URL, its method and the body of an upload stay what they are.
    ///
    /// The credentials go to [`url`](ResumeData::url), which is to be looked at first if the bytes may be
    /// somebody else's.
    ///
    /// ```no_run
    /// use urlsession::{Body, ResumeData, Session};
    ///
    /// let data = ResumeData::from_bytes(&std::fs::read("film.resume")?)?;
    /// let data = data.map_request(|request| request.bearer_auth("token"));
    /// Session::shared().upload_task_with_resume_data(data, Body::file("film.mp4")).wait()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn map_request(mut self, change: impl FnOnce(Request) -> Request) -> Self {
        let before = self.to_request();
        let mut request = change(before.clone());
        request.url = before.url;
        request.method = before.method;
        request.body = before.body;
        self.request = Some(request);
        self
    }

    /// Gives the download up: removes the file that was kept for it. Whoever neither goes on nor does
    /// this leaves the file where it is. False if it is not known where that is, because the data came
    /// from bytes, or if there is none.
    ///
    /// ```no_run
    /// # use urlsession::Session;
    /// if let Err(error) = Session::shared().download_task("https://example.com/disk.img").wait() {
    ///     eprintln!("{error}");
    ///     if let Some(data) = error.resume_data() {
    ///         data.discard()?;
    ///     }
    /// }
    /// # Ok::<(), urlsession::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::CannotRemoveFile`](crate::ErrorKind::CannotRemoveFile).
    pub fn discard(&self) -> Result<bool> {
        let (Facts::Download(facts), Some(directory)) = (&self.facts, &self.directory) else {
            return Ok(false);
        };
        let path = directory.join(&facts.file_name);
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => {
                let doing = "removing the file of the download,";
                Err(Error::file(ErrorKind::CannotRemoveFile, doing, &path, error))
            }
        }
    }
}

impl ResumeData {
    /// Of a download whose partial file is in the directory. Ranges, of the bytes that are there, may
    /// be in any order and overlap.
    ///
    /// `None` if that cannot be stored: no byte is there, the file's name is not one, there is too much
    /// of something. And for anything but a GET without a body, since no other can go on.
    pub(crate) fn download(
        request: Request,
        validator: Validator,
        total: Option<u64>,
        ranges: Vec<Range<u64>>,
        directory: PathBuf,
        file_name: &str,
    ) -> Option<Self> {
        if request.method != Method::GET || !request.body.is_empty() {
            return None;
        }
        let facts = Facts::Download(DownloadFacts {
            url: facts::stored_url(request.check().ok()?),
            headers: facts::stored_headers(&request.headers),
            validator,
            total,
            file_name: file_name.to_owned(),
            ranges: facts::joined(ranges),
        });
        Some(ResumeData { facts: facts.checked().ok()?, directory: Some(directory), request: Some(request) })
    }

    /// Of an upload, to the resource that the server made for it, in an interop version of the draft.
    /// `None` if that cannot be stored.
    pub(crate) fn upload(request: Request, resource: &Url, total: Option<u64>, interop: u32) -> Option<Self> {
        let facts = Facts::Upload(UploadFacts {
            resource: facts::stored_url(resource),
            url: facts::stored_url(request.check().ok()?),
            method: request.method.clone(),
            headers: facts::stored_headers(&request.headers),
            total,
            interop,
        });
        Some(ResumeData { facts: facts.checked().ok()?, directory: None, request: Some(request) })
    }

    /// What it is about.
    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The request that is to go on, as far as it is known; without the body of an upload if the
    /// data was stored.
    pub(crate) fn to_request(&self) -> Request {
        if let Some(request) = &self.request {
            return request.clone();
        }
        match &self.facts {
            Facts::Download(facts) => Request::get(&facts.url).headers(facts.headers.clone()),
            Facts::Upload(facts) => Request::new(&facts.method, &facts.url).headers(facts.headers.clone()),
        }
    }
}

impl fmt::Debug for ResumeData {
    /// Without what may be secret: headers, and the query of the URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResumeData")
            .field("is_upload", &self.is_upload())
            .field("url", &redacted(self.url()).as_str())
            .field("bytes_received", &self.bytes_received())
            .field("expected_length", &self.expected_length())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn request() -> Request {
        let mut secret = HeaderValue::from_static("hidden");
        secret.set_sensitive(true);
        Request::get("https://me:hidden@example.com/big.iso?mirror=2#hidden")
            .bearer_auth("hidden")
            .header("cookie", "hidden")
            .header("proxy-authorization", "hidden")
            .header("x-api-key", secret)
            .header("host", "hidden.example")
            .header("range", "bytes=0-hidden")
            .header("accept", "text/plain")
            .add_header("accept", "text/html")
    }

    fn tag() -> Validator {
        Validator::ETag(HeaderValue::from_static("\"v1\""))
    }

    fn download() -> ResumeData {
        let directory = PathBuf::from("/hidden");
        let ranges = vec![20..25, 0..10, 25..30, 5..8, 7..7];
        ResumeData::download(request(), tag(), Some(100), ranges, directory, "big.part").expect("resume data")
    }

    #[test]
    fn stored_data_tells_no_secrets() {
        let data = download();
        let bytes = data.to_bytes();
        assert!(!String::from_utf8_lossy(&bytes).contains("hidden"), "{}", bytes.escape_ascii());
        assert!(!format!("{data:?}").contains("hidden") && !format!("{data:?}").contains("mirror"));
        let stored = ResumeData::from_bytes(&bytes).expect("its own bytes");
        assert_eq!(stored.facts(), data.facts());
        assert_eq!((stored.bytes_received(), stored.expected_length()), (20, Some(100)));
        let request = stored.to_request();
        assert_eq!(request.check().expect("a URL").as_str(), "https://example.com/big.iso?mirror=2");
        assert_eq!(request.get_headers().len(), 2);
        assert_eq!(request.get_headers().get_all("accept").iter().count(), 2);
        assert!(stored.directory.is_none());
    }

    #[test]
    fn in_the_same_program_nothing_is_left_out() {
        let again = download().clone().to_request();
        assert_eq!(again.get_headers(), request().get_headers());
        assert_eq!(again.get_url(), request().get_url());
    }

    #[test]
    fn an_upload_keeps_its_method() {
        let request = Request::patch("https://example.com/").header("x-kept", "1").body("abc");
        let resource = Url::parse("https://me:hidden@example.com/uploads/1#hidden").expect("a URL");
        let data = ResumeData::upload(request, &resource, Some(3), 8).expect("resume data");
        assert!(data.is_upload());
        assert_eq!(data.to_request().get_body().len(), Some(3));
        let bytes = data.to_bytes();
        assert!(!String::from_utf8_lossy(&bytes).contains("hidden"));
        let stored = ResumeData::from_bytes(&bytes).expect("its own bytes");
        assert_eq!(stored.facts(), data.facts());
        assert_eq!((stored.bytes_received(), stored.expected_length()), (0, Some(3)));
        assert_eq!(stored.to_request().get_method(), Method::PATCH);
        assert_eq!(stored.to_request().get_header("x-kept"), Some("1"));
    }

    #[allow(clippy::single_range_in_vec_init)]
    #[test]
    fn what_cannot_go_on_has_no_resume_data() {
        let of = |request: Request, name, ranges| {
            ResumeData::download(request, tag(), Some(10), ranges, PathBuf::new(), name)
        };
        let get = || Request::get("http://a.test/");
        let some = || vec![0..1];
        assert!(of(get(), "a.part", some()).is_some());
        assert!(of(Request::post("http://a.test/"), "a.part", some()).is_none());
        assert!(of(get().body("x"), "a.part", some()).is_none());
        assert!(of(Request::get("nothing"), "a.part", some()).is_none());
        assert!(of(get(), "../a.part", some()).is_none());
        assert!(of(get(), "a.part", vec![]).is_none());
        assert!(of(get(), "a.part", vec![3..3]).is_none());
        assert!(of(get(), "a.part", vec![0..11]).is_none());
        let headers = (0..101).fold(get(), |request, i| request.header(format!("x-{i}"), "1"));
        assert!(of(headers, "a.part", some()).is_none());
    }
}
