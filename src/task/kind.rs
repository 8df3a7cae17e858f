//! The kinds of tasks that request something, and what each gives.

use crate::download::DownloadedFile;
use crate::error::{Error, ErrorKind, Result};
use crate::response::Content;
use bytes::Bytes;

/// A kind of task that requests something and ends with a response: [`Data`], [`Upload`] or
/// [`Download`].
pub trait TaskKind: sealed::Sealed {
    /// What the body of the response is.
    type Body: Clone + Send + Sync + 'static;

    #[doc(hidden)]
    fn body(content: Content) -> Result<Self::Body>;
}

mod sealed {
    pub trait Sealed: 'static {}
    impl Sealed for super::Data {}
    impl Sealed for super::Upload {}
    impl Sealed for super::Download {}
}

/// The kind of a [`DataTask`](crate::DataTask).
#[derive(Debug)]
pub enum Data {}

/// The kind of an [`UploadTask`](crate::UploadTask).
#[derive(Debug)]
pub enum Upload {}

/// The kind of a [`DownloadTask`](crate::DownloadTask).
#[derive(Debug)]
pub enum Download {}

impl TaskKind for Data {
    type Body = Bytes;

    fn body(content: Content) -> Result<Bytes> {
        Ok(in_memory(content))
    }
}

impl TaskKind for Upload {
    type Body = Bytes;

    fn body(content: Content) -> Result<Bytes> {
        Ok(in_memory(content))
    }
}

impl TaskKind for Download {
    type Body = DownloadedFile;

    fn body(content: Content) -> Result<DownloadedFile> {
        match content {
            Content::File(file) => Ok(file),
            Content::Bytes(_) => Err(Error::new(ErrorKind::Unknown, "a download without a file")),
        }
    }
}

/// The body in memory. One that became a file is not there: its task has become a download.
pub(super) fn in_memory(content: Content) -> Bytes {
    match content {
        Content::Bytes(bytes) => bytes,
        Content::File(_) => Bytes::new(),
    }
}
