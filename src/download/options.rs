//! What a download is to do besides its request.

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
    /// [`request`](DownloadRequest::request).
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

    pub(crate) fn into_parts(self) -> (Request, DownloadOptions) {
        (self.request, self.options)
    }
}

impl<R: Into<Request>> From<R> for DownloadRequest {
    fn from(request: R) -> Self {
        DownloadRequest::new(request)
    }
}
