//! What a download is to do besides its request.

use crate::checksum::Checksum;
use crate::error::Error;
use crate::request::Request;
use crate::resume::ResumeData;
use std::path::PathBuf;

/// What to download, and where to. Wherever one is wanted, a URL or a [`Request`] will do.
///
/// ```
/// use urlsession::{DownloadRequest, Request};
///
/// let download = DownloadRequest::new("https://example.com/disk.img").destination("disk.img");
/// let download = DownloadRequest::new(Request::get("https://example.com/").header("x-key", "1"))
///     .directory("/var/tmp");
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct DownloadRequest {
    request: Request,
    options: DownloadOptions,
}

/// Everything but the request.
#[derive(Clone, Debug, Default)]
pub(crate) struct DownloadOptions {
    pub(crate) destination: Option<PathBuf>,
    pub(crate) directory: Option<PathBuf>,
    pub(crate) preallocate: bool,
    pub(crate) sync: bool,
    pub(crate) resumable: bool,
    pub(crate) resume: Option<ResumeData>,
    /// What the file has to have.
    pub(crate) checksums: Vec<Checksum>,
    /// What the response says of its checksum is not looked at.
    pub(crate) ignores_digest: bool,
    /// The first thing that was wrong.
    pub(crate) error: Option<Error>,
    /// How many connections, if that was set.
    pub(crate) segments: usize,
}

impl DownloadRequest {
    /// A download of what a request gives.
    pub fn new(request: impl Into<Request>) -> Self {
        DownloadRequest { request: request.into(), options: DownloadOptions::default() }
    }

    /// Where the file is to be in the end, in place of what is there. It is written to a temporary
    /// file in the same directory and moved when it is complete, so that nobody sees a part of it.
    pub fn destination(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.destination = Some(path.into());
        self
    }

    /// The directory of the temporary file. Without this and without a destination it is that of the
    /// configuration, which is the system's for temporary files unless set.
    pub fn directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.directory = Some(path.into());
        self
    }

    /// Goes on where a download has stopped. What is sent is the request that the resume data holds;
    /// what was secret in its headers is not in resume data that was stored as bytes, so give it again by
    /// [`ResumeData::map_request`].
    ///
    /// The file is looked for where it was, if the resume data has not been stored in between; else in
    /// the [`directory`](DownloadRequest::directory), beside the
    /// [`destination`](DownloadRequest::destination), or in the configuration's directory. If it is
    /// not there, or has changed on the server, the download starts over, and
    /// [`did_resume_at_offset`](crate::Delegate::did_resume_at_offset) says so.
    pub fn resume(data: ResumeData) -> Self {
        let mut download = DownloadRequest::new(data.to_request());
        download.options.resume = Some(data);
        download
    }

    /// Sets the request, in place of the one there was.
    pub fn request(mut self, request: impl Into<Request>) -> Self {
        self.request = request.into();
        self
    }

    /// Sets whether what has come of the download stays beside its
    /// [`destination`](DownloadRequest::destination) when it fails, is cancelled, or the program is
    /// killed: as `NAME.part`, with `NAME.part.resume`. The next download of the same URL to the same
    /// destination goes on from there. Off unless set, and without effect without a destination.
    pub fn resumable(mut self, resumable: bool) -> Self {
        self.options.resumable = resumable;
        self
    }

    /// Sets over how many connections the download may come, each of which brings a part of the file: from
    /// 1, which is what there is unless set, to 16.
    ///
    /// For a server that gives each connection only so much, or a path on which one connection does not
    /// use what there is. It is a wish: there are no more connections than
    /// [`maximum_connections_per_host`](crate::Configuration::maximum_connections_per_host), nor than the
    /// download has mebibytes left. And the server has to answer ranges, to say how long the file is, and
    /// to tell its versions apart (a strong `ETag`, or `Last-Modified`); else all comes over one
    /// connection, without a further request. If it refuses some of the connections, those it has
    /// accepted bring the rest. A connection that fails is replaced as long as another one
    /// works; after that it is a matter of the [`RetryPolicy`](crate::RetryPolicy).
    ///
    /// The task is one task all the same: its delegate, progress, priority and time limits are those of
    /// the whole, and its metrics list the requests of all connections. Bytes do not come in order, and
    /// [`ResumeData`] knows which are there.
    ///
    /// ```no_run
    /// # use urlsession::{DownloadRequest, Session};
    /// let download = DownloadRequest::new("https://example.com/disk.img").destination("disk.img").segments(4);
    /// Session::shared().download_task(download).wait()?.error_for_status()?;
    /// # Ok::<(), urlsession::Error>(())
    /// ```
    pub fn segments(mut self, segments: usize) -> Self {
        self.options.segments = segments.clamp(1, 16);
        self
    }

    /// Sets whether the room for the file is taken at once, if its length is known: so that a full
    /// disk is noticed at the beginning. Off unless set.
    pub fn preallocate(mut self, preallocate: bool) -> Self {
        self.options.preallocate = preallocate;
        self
    }

    /// Sets whether the file is on the disk before the task ends (`fsync`). Off unless set.
    pub fn sync(mut self, sync: bool) -> Self {
        self.options.sync = sync;
        self
    }

    /// Sets the SHA-256 that the file has to have, in hexadecimal digits. What is wrong with them is the
    /// error of the task, as with a URL. See [`checksum`](DownloadRequest::checksum).
    #[cfg(feature = "checksum")]
    pub fn sha256(mut self, hex: impl AsRef<str>) -> Self {
        match Checksum::sha256(hex) {
            Ok(checksum) => self.checksum(checksum),
            Err(error) => {
                self.options.error.get_or_insert(error.into());
                self
            }
        }
    }

    /// Sets a checksum that the file has to have. One of each algorithm can be set.
    ///
    /// A file that has another one is removed, and the task fails with
    /// [`ErrorKind::ChecksumMismatch`](crate::ErrorKind::ChecksumMismatch): it is never at its
    /// destination, and there is nothing to go on with. The same checksum is not in resume data, so
    /// set it again for a download that goes on. A response without success is not what was to have
    /// the checksum: the task fails with [`ErrorKind::HttpStatus`](crate::ErrorKind::HttpStatus).
    ///
    /// ```no_run
    /// use urlsession::{DownloadRequest, Session};
    ///
    /// let download = DownloadRequest::new("https://example.com/disk.img")
    ///     .sha256("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")
    ///     .destination("disk.img");
    /// Session::shared().download_task(download).wait()?;
    /// # Ok::<(), urlsession::Error>(())
    /// ```
    #[cfg(feature = "checksum")]
    pub fn checksum(mut self, checksum: Checksum) -> Self {
        self.options.checksums.retain(|other| other.algorithm() != checksum.algorithm());
        self.options.checksums.push(checksum);
        self
    }

    /// Sets whether the file is held to what the response says of it in `Content-Digest` and
    /// `Repr-Digest` (RFC 9530), if it does. On unless set; a mismatch is the same as for a
    /// [`checksum`](DownloadRequest::checksum) given beforehand.
    #[cfg(feature = "checksum")]
    pub fn verify_digest(mut self, verify: bool) -> Self {
        self.options.ignores_digest = !verify;
        self
    }

    pub(crate) fn into_parts(self) -> (Request, DownloadOptions) {
        (self.request, self.options)
    }
}

impl<R: Into<Request>> From<R> for DownloadRequest {
    fn from(request: R) -> Self {
        DownloadRequest::new(request)
    }
}
