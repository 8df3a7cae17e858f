//! What a download is to do besides its request.

use crate::request::Request;
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
