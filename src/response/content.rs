//! What a task has to show for itself, whatever its kind.

use crate::download::DownloadedFile;
use bytes::Bytes;

/// The body of the response of a task of any kind.
#[derive(Clone, Debug)]
pub enum Content {
    /// In memory.
    Bytes(Bytes),
    /// In a file.
    File(DownloadedFile),
}

impl Content {
    /// A body that went elsewhere.
    pub(crate) const fn empty() -> Self {
        Content::Bytes(Bytes::new())
    }
}
